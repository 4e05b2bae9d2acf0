//! The command that goes on with a replay, as it is told to whoever ended it.

use std::time::Duration;

use clap::ValueEnum;

use super::args::{BATCH_BYTES, BATCH_SPANS, GIVE_UP_AFTER, ReplayArgs};
use crate::archive::read::Limits;
use crate::tools::args::TextOrJson;
use crate::tools::cluster::text::quoted;

/// Returns the command, without the values of headers: they may be secrets.
///
/// `program` is what the user types before `replay`. How far times are moved is in the checkpoint.
pub(super) fn command(args: &ReplayArgs, program: &str) -> String {
    let mut words = vec![program.to_owned(), "replay".to_owned()];
    words.extend(args.paths.iter().map(|path| quoted(&path.display().to_string()).into_owned()));
    let headers = args.header.iter().map(|(name, _)| ("--header", format!("{name}=…")));
    let flags = flags(args).into_iter().filter_map(|(flag, value)| Some((flag, value?)));
    for (flag, value) in flags.chain(headers) {
        words.extend([flag.to_owned(), quoted(&value).into_owned()]);
    }
    words.join(" ")
}

/// Returns the flags that may be given once, with the values that differ from what they are by default.
fn flags(args: &ReplayArgs) -> [(&'static str, Option<String>); 12] {
    let ReplayArgs { batch_bytes, give_up_after, limits, .. } = args;
    let default = Limits::default();
    let max_line_bytes = u64::try_from(default.max_line_bytes).unwrap_or(u64::MAX);
    let number = |value: u64, default| (value != default).then(|| value.to_string());
    [
        ("--to", Some(args.to.to_string())),
        ("--protocol", args.protocol.as_ref().and_then(name_of)),
        ("--rate", args.rate.map(|rate| rate.to_string())),
        ("--speed", args.speed.factor().map(|factor| format!("{factor}x"))),
        ("--batch-spans", number(args.batch_spans, BATCH_SPANS)),
        ("--batch-bytes", (*batch_bytes != BATCH_BYTES).then(|| batch_bytes.to_string())),
        ("--give-up-after", (*give_up_after != GIVE_UP_AFTER).then(|| typed(*give_up_after))),
        ("--output", Some(&args.output).filter(|output| **output != TextOrJson::Text).and_then(name_of)),
        ("--max-line-bytes", number(limits.max_line_bytes.0, max_line_bytes)),
        ("--max-entries", number(limits.max_entries, default.max_entries)),
        ("--max-ratio", number(limits.max_ratio, default.max_ratio)),
        ("--checkpoint", args.checkpoint.as_ref().map(|path| path.display().to_string())),
    ]
}

/// Returns what is typed for one of a few values.
fn name_of(value: &impl ValueEnum) -> Option<String> {
    value.to_possible_value().map(|value| value.get_name().to_owned())
}

/// Returns what is typed for a duration; those that can be typed have no finer part than milliseconds.
fn typed(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
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

    /// Checks the command for a path with a space in its name and these flags.
    fn check(flags: &str, expected: &str) {
        let flags = flags.split_whitespace().map(|flag| flag.replace('_', " "));
        let words = ["replay", "a b"].map(str::to_owned).into_iter().chain(flags);
        let args = Typed::parse_from(words).replay;
        assert_eq!(command(&args, "kubectl tracecapture"), format!("kubectl tracecapture replay 'a b' {expected}"));
        assert!(!format!("{args:?}").contains("s3cret"));
    }

    #[test]
    fn it_means_the_same_and_tells_no_secret() {
        check("--to http://h:1", "--to http://h:1");
        let all = "--to http://h:1 --protocol http --rate 5 --speed 0.5x --batch-spans 7 --batch-bytes 1Mi \
                   --give-up-after 1500ms --output json --max-line-bytes 1000 --max-entries 8 --max-ratio 9 \
                   --checkpoint c";
        check(all, &all.split_whitespace().collect::<Vec<_>>().join(" "));
        check("--to http://h --give-up-after 1h", "--to http://h --give-up-after 3600s");
        check("--to http://h --header Authorization=Bearer_s3cret", "--to http://h --header 'authorization=…'");
    }
}
