//! The flags of `replay`, and what they mean together.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::endpoint::{Protocol, Target};
use crate::otlp::export::Shift;
use crate::tools::args::{LimitArgs, TextOrJson};
use crate::tools::cluster::text::parse_duration;
use crate::tools::exit::{ExitCode, Failure};
use crate::units::ByteSize;

/// What `--help` says behind the flags.
const AFTER_HELP: &str = "\
Reads what `cat` reads, and what other programs write: the files of the Collector's file exporter (JSON lines; with \
`compression: zstd` or `format: proto`), and Teleport's (one ResourceSpans per line).

Sending: codes that OTLP calls retryable are retried, after the time that the endpoint asks for or with exponential \
back-off, until --give-up-after. A batch that the endpoint refuses for good counts as failed, and the next one is sent. \
Spans that it refuses by partial success count as rejected. So read = sent + rejected + failed.

Checkpoint: written after each batch, and only then. A replay that ended early goes on with the same command: no span \
is lost, and at most the one batch that was in flight is sent twice. It keeps how far each chunk and each file is sent: \
after a replay that came to its end, the same command sends what any of them has gained since, and those that are new. \
It also keeps how far times are moved, so that all spans are moved alike. A path that cannot be read ends such a replay \
there, unless an earlier one came beyond it.

Exit codes: 0 everything was sent; 1 failed, or spans were read and none was taken; 2 usage; 3 not found, or no spans; 4 \
the endpoint asks for other credentials; 5 something in the archives is damaged or no OTLP, all else was sent; 6 spans \
were rejected or failed, or a path could not be read, all else was sent, but for what is damaged; 8 the endpoint did not take a batch within --give-up-after; 130 interrupted.";

/// Spans of a request, as SDKs send them.
pub(super) const BATCH_SPANS: u64 = 512;

/// Bytes of a request: half of what servers of gRPC take unless they are told otherwise.
pub(super) const BATCH_BYTES: ByteSize = ByteSize(2 << 20);

/// How long a batch is tried: the `5m` of the flag.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_mins(5);

/// The flags of `replay`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ReplayArgs {
    /// Data directories, chunks, bundles, chunks in progress, JSON lines (also compressed); `-` is stdin.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The endpoint, `http://` or `https://`. Without a port: 4317 or 4318 (https: 443). Over HTTP a path is taken as it is; none means `/v1/traces`.
    #[arg(long, value_name = "URL")]
    pub to: Target,
    /// How to send [default: http where the URL has a path or port 4318, else grpc].
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,
    /// At most this many spans per second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// `max`, or the pace at which spans started, scaled: `1x`, `10x`, `0.5x`. Pauses of more than an hour are passed over.
    #[arg(long, value_name = "SPEED", default_value = "max", value_parser = parse_speed)]
    pub speed: Speed,
    /// Moves the times of spans and events: `now` lets the earliest span start when the replay does, `+1h30m` or `-7d` moves by that much.
    #[arg(long, value_name = "now|±DURATION|none", default_value = "none", value_parser = parse_shift, allow_hyphen_values = true)]
    pub shift_time: ShiftTime,
    /// A header of every request, such as `Authorization=Bearer …`; may be given again.
    #[arg(long = "header", value_name = "K=V", value_parser = parse_header)]
    pub header: Vec<(HeaderName, HeaderValue)>,
    /// Where to keep how far the replay is; if the file exists, it goes on from there.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// At most this many spans in a request.
    #[arg(long, value_name = "N", default_value_t = BATCH_SPANS, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub batch_spans: u64,
    /// At most about this many bytes in a request, unless a single span is longer. Many endpoints take 4Mi.
    #[arg(long, value_name = "SIZE", default_value_t = BATCH_BYTES)]
    pub batch_bytes: ByteSize,
    /// How long to go on trying to send a batch, such as `30s` or `10m`.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_some_duration)]
    pub give_up_after: Duration,
    /// Form of the totals.
    #[arg(short, long, value_enum, default_value_t = TextOrJson::Text, value_name = "FORMAT")]
    pub output: TextOrJson,
    /// Bounds on hostile files.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// How fast, measured by the times in the capture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As fast as the endpoint takes them.
    Max,
    /// So many times as fast as the spans started.
    Times(f64),
}

/// What happens to the times of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShiftTime {
    /// Nothing.
    None,
    /// The earliest span of all starts now, the others keep their distance.
    Now,
    /// They are moved.
    By(Shift),
}

impl Speed {
    /// Returns the factor; `None` for as fast as possible.
    pub(super) fn factor(self) -> Option<f64> {
        match self {
            Self::Max => None,
            Self::Times(factor) => Some(factor),
        }
    }
}

impl ReplayArgs {
    /// Checks what flags cannot say alone.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let usage = |what: &'static str, hint: &'static str| Err(Failure::new(ExitCode::Usage, what).with_hint(hint));
        if self.protocol() == Protocol::Grpc && self.to.has_path() {
            return usage(
                "gRPC has a path of its own, the URL must have none",
                "leave the path out, or use --protocol http",
            );
        }
        let is_stdin = |path: &PathBuf| path == Path::new("-");
        if self.shift_time == ShiftTime::Now && self.paths.iter().any(is_stdin) {
            return usage(
                "`--shift-time now` reads everything twice, which stdin cannot be",
                "write it to a file first, or move by a duration",
            );
        }
        Ok(())
    }

    /// Returns how to send.
    pub(super) fn protocol(&self) -> Protocol {
        self.protocol.unwrap_or_else(|| if self.to.suggests_http() { Protocol::Http } else { Protocol::Grpc })
    }

    /// Returns the headers of every request.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.header {
            headers.append(name, value.clone());
        }
        headers
    }

    /// Returns the most spans of a batch: at a low rate no more than a second's worth, so that they come evenly.
    pub(super) fn max_batch_spans(&self) -> usize {
        let spans = self.rate.map_or(self.batch_spans, |rate| rate.min(self.batch_spans));
        usize::try_from(spans).unwrap_or(usize::MAX)
    }

    /// Returns the most bytes of a batch.
    pub(super) fn batch_bytes(&self) -> usize {
        usize::try_from(self.batch_bytes.0).unwrap_or(usize::MAX)
    }
}

fn parse_speed(text: &str) -> Result<Speed, &'static str> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let factor = text.strip_suffix('x').and_then(|factor| factor.parse().ok());
    factor
        .filter(|factor: &f64| (1e-3..=1e6).contains(factor))
        .map(Speed::Times)
        .ok_or("write `max`, or a factor such as `1x`, `10x` or `0.5x`")
}

fn parse_shift(text: &str) -> Result<ShiftTime, &'static str> {
    let wrong = "write `now`, `none`, or a duration with its sign such as `+1h30m` or `-7d`";
    let nanos = |text| parse_some_duration(text).ok().and_then(|duration| i128::try_from(duration.as_nanos()).ok());
    match text {
        "none" => Ok(ShiftTime::None),
        "now" => Ok(ShiftTime::Now),
        _ => match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(later), _) => nanos(later).map(|nanos| ShiftTime::By(Shift(nanos))).ok_or(wrong),
            (_, Some(earlier)) => nanos(earlier).map(|nanos| ShiftTime::By(Shift(-nanos))).ok_or(wrong),
            _ => Err(wrong),
        },
    }
}

/// Reads a duration that is not nothing.
fn parse_some_duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text)
        .and_then(|duration| if duration.is_zero() { Err("write more than zero") } else { Ok(duration) })
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let name: HeaderName = name.trim().parse().map_err(|_| "the name is none of a header")?;
    let mut value: HeaderValue =
        value.trim().parse().map_err(|_| "the value has characters that no header may have")?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        replay: ReplayArgs,
    }

    fn typed(flags: &[&str]) -> Result<ReplayArgs, String> {
        let all = [&["replay", "a b", "--to"], flags].concat();
        Typed::try_parse_from(all).map(|typed| typed.replay).map_err(|error| error.to_string())
    }

    #[test]
    fn the_url_suggests_the_protocol_and_a_flag_decides_it() {
        let check = |flags: &[&str], meant| assert_eq!(typed(flags).unwrap().protocol(), meant, "{flags:?}");
        check(&["http://h"], Protocol::Grpc);
        check(&["http://h:4317"], Protocol::Grpc);
        check(&["http://h:4318"], Protocol::Http);
        check(&["https://h/v1/traces"], Protocol::Http);
        check(&["http://h:4318", "--protocol", "grpc"], Protocol::Grpc);
    }

    #[test]
    fn durations_speeds_and_shifts_are_read() {
        let shift = |text| typed(&["http://h", "--shift-time", text]).map(|args| args.shift_time).ok();
        let by = |nanos| Some(ShiftTime::By(Shift(nanos)));
        assert_eq!((shift("-1h30m"), shift("+250ms")), (by(-5_400_000_000_000), by(250_000_000)));
        assert_eq!((shift("+2w"), shift("+1")), (by(1_209_600_000_000_000), by(1_000_000_000)));
        assert_eq!((shift("now"), shift("none")), (Some(ShiftTime::Now), Some(ShiftTime::None)));
        for text in ["1h", "+", "-0s", "+1y", "+h", "+-1h", "+99999999999999999999d", "yesterday"] {
            assert_eq!(shift(text), None, "{text}");
        }
        let speed = |text| typed(&["http://h", "--speed", text]).map(|args| args.speed).ok();
        assert_eq!((speed("max"), speed("0.5x")), (Some(Speed::Max), Some(Speed::Times(0.5))));
        for text in ["0x", "-1x", "1", "x", "NaNx", "infx"] {
            assert_eq!(speed(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_together_is_refused() {
        let check = |flags: &[&str]| assert_eq!(typed(flags).unwrap().check().unwrap_err().code(), ExitCode::Usage);
        check(&["http://h/path", "--protocol", "grpc"]);
        check(&["http://h", "--shift-time", "now", "-"]);
    }
}
