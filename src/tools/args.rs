//! What may be typed, typed: one struct per command, after which nothing looks at a flag.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use thiserror::Error;

use super::exit::{ExitCode, Failure};
use crate::api::access::INSTALLATION_NAMESPACE;
use crate::api::grant::GrantPublicKey;
use crate::api::link::LinkScope;
use crate::clock::Timestamp;
use crate::ids::{TraceId, WriterId};
use crate::settings::CollectorSettings;
use crate::telemetry::log;
use crate::units::ByteSize;

/// The port of the web address of `run`, next to the two that OTLP is assigned.
const WEB_PORT: u16 = 4319;

/// How the process logs.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// Form of log lines on stderr; `auto` is text on a terminal and JSON otherwise.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Auto, value_name = "FORMAT")]
    log_format: LogFormat,
    /// Log the steps in between too; `RUST_LOG` decides in more detail.
    #[arg(long, global = true)]
    debug: bool,
}

impl LogArgs {
    /// Returns the form of log lines.
    pub fn format(&self) -> log::Format {
        match self.log_format {
            LogFormat::Auto => log::Format::Auto,
            LogFormat::Text => log::Format::Text,
            LogFormat::Json => log::Format::Json,
        }
    }

    /// Returns how much is logged.
    pub fn verbosity(&self) -> log::Verbosity {
        if self.debug { log::Verbosity::Debug } else { log::Verbosity::Normal }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Auto,
    Text,
    Json,
}

/// The flags of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// `TraceCapture` YAML, as a cluster takes it; `-` is stdin. A change takes effect without restart.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Directory for the chunks; made if it is missing.
    #[arg(long, value_name = "DIR", default_value = "./tracecapture-data")]
    pub data_dir: PathBuf,
    /// Address of OTLP over gRPC [default: 127.0.0.1 and the port in FILE, 4317]. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub grpc_listen: Option<SocketAddr>,
    /// Address of OTLP over HTTP [default: 127.0.0.1 and the port in FILE, 4318]. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub http_listen: Option<SocketAddr>,
    /// Address of the web pages and downloads. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = parse_address,
          default_value_t = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), WEB_PORT))]
    pub web_listen: SocketAddr,
    /// Allow addresses that other machines can reach.
    #[arg(long)]
    pub allow_remote: bool,
    /// Name of this writer in the names of its chunks; writers that share a directory need different ones.
    #[arg(long, value_name = "ID", default_value = "local")]
    pub writer_id: WriterId,
    /// The token of the web address instead of one made up at each start.
    // Hidden, because a command line is visible to every user of the machine: the
    // documented way is the variable. Empty it would let everybody in.
    #[arg(long, hide = true, env = "TRACECAPTURE_TOKEN", hide_env_values = true, value_name = "TOKEN",
          value_parser = parse_token)]
    pub token: Option<String>,
}

/// Where `run` listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddresses {
    /// OTLP over gRPC; `None` where the capture does not offer it.
    pub grpc: Option<SocketAddr>,
    /// OTLP over HTTP; `None` where the capture does not offer it.
    pub http: Option<SocketAddr>,
    /// Web pages and downloads.
    pub web: SocketAddr,
}

/// An address that other machines can reach, without leave to open it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{flag} {address} can be reached from other machines")]
pub struct RemoteAddress {
    flag: &'static str,
    address: SocketAddr,
}

impl From<RemoteAddress> for Failure {
    fn from(error: RemoteAddress) -> Self {
        Self::new(ExitCode::Usage, error)
            .with_hint("use an address of this machine such as 127.0.0.1, or add --allow-remote")
    }
}

impl RunArgs {
    /// Returns where to listen: the capture decides whether and on which port, flags decide on which address.
    ///
    /// # Errors
    /// [`RemoteAddress`] names the first address beyond loopback, unless `--allow-remote` was given.
    pub fn listen(&self, settings: &CollectorSettings) -> Result<ListenAddresses, RemoteAddress> {
        let local = |port: u16| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let addresses = ListenAddresses {
            grpc: settings.grpc_port.map(|port| self.grpc_listen.unwrap_or(local(port))),
            http: settings.http_port.map(|port| self.http_listen.unwrap_or(local(port))),
            web: self.web_listen,
        };
        let ListenAddresses { grpc, http, web } = addresses;
        let named = [("--grpc-listen", grpc), ("--http-listen", http), ("--web-listen", Some(web))];
        for (flag, address) in named {
            if let Some(address) = address.filter(|address| !self.allow_remote && !is_loopback(address.ip())) {
                return Err(RemoteAddress { flag, address });
            }
        }
        Ok(addresses)
    }
}

/// Bounds on what a file that someone else made may ask for.
#[derive(Debug, Clone, Args)]
pub struct LimitArgs {
    /// The longest line of files without frames, in bytes.
    #[arg(long, value_name = "SIZE", default_value = "64Mi", hide_short_help = true)]
    pub max_line_bytes: ByteSize,
    /// How many members archives may have.
    #[arg(long, value_name = "N", default_value_t = 10_000_000, hide_short_help = true)]
    pub max_entries: u64,
    /// How many times its size compressed data without frames may grow to, beyond 256 MiB.
    #[arg(long, value_name = "N", default_value_t = 1_000, hide_short_help = true)]
    pub max_ratio: u64,
}

/// Which spans, where not all of them are meant.
#[derive(Debug, Clone, Args)]
pub struct ScopeArgs {
    /// Only spans that end at this time or later: RFC 3339 or Unix seconds.
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Only spans that start before this time: RFC 3339 or Unix seconds.
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
    /// Only spans of this service (`service.name`).
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Only spans of this trace: 32 hexadecimal digits.
    #[arg(long, value_name = "ID")]
    pub trace_id: Option<TraceId>,
}

impl ScopeArgs {
    /// Returns it as the gateway takes it.
    pub fn scope(&self) -> LinkScope {
        let Self { since, until, service, trace_id } = self;
        let trace_id = trace_id.map(|id| id.to_string());
        LinkScope { since: *since, until: *until, service: service.clone(), trace_id }
    }
}

/// The flags of `verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Data directories, chunks, bundles, chunks in progress, JSON lines (also compressed); `-` is stdin.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t = TextOrJson::Text, value_name = "FORMAT")]
    pub output: TextOrJson,
    /// Bounds on hostile files.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// The flags of `cat`.
#[derive(Debug, Clone, Args)]
pub struct CatArgs {
    /// Data directories, chunks, bundles, chunks in progress, JSON lines (also compressed); `-` is stdin.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Which spans.
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Bounds on hostile files.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// The flags of `stats`.
#[derive(Debug, Clone, Args)]
pub struct StatsArgs {
    /// Data directories, chunks, bundles, chunks in progress, JSON lines (also compressed); `-` is stdin.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t = StatsFormat::Text, value_name = "FORMAT")]
    pub output: StatsFormat,
    /// Bounds on hostile files.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// The flags of `recover`.
#[derive(Debug, Clone, Args)]
pub struct RecoverArgs {
    /// The data directory of a collector or of `run`.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Print what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Recover only chunks of this writer.
    #[arg(long, value_name = "ID")]
    pub writer_id: Option<WriterId>,
}

/// The flags of `validate`.
#[derive(Debug, Clone, Args)]
pub struct ValidateArgs {
    /// `TraceCapture` YAML; `-` is stdin.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
}

/// The flags of `generate`.
#[derive(Debug, Clone, Args)]
pub struct GenerateArgs {
    /// `TraceCapture` YAML; `-` is stdin.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// Image of collector pods where the capture names none.
    #[arg(long, value_name = "IMAGE", default_value = concat!("tracecapture:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
    /// When that image is pulled, as the operator was told [default: what Kubernetes chooses by its tag].
    #[arg(long, value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub image_pull_policy: Option<String>,
    /// Secret that images of collector pods are pulled with, as the operator was told; may be repeated.
    #[arg(long = "image-pull-secret", value_name = "NAME")]
    pub image_pull_secrets: Vec<String>,
    /// Namespace of the installation, whose operator and gateway may reach the collectors.
    #[arg(short, long, value_name = "NAMESPACE", default_value = INSTALLATION_NAMESPACE)]
    pub namespace: String,
    /// Public key of the installation, in base64url; may be given again. Without one, collectors serve nobody.
    #[arg(long = "grant-key", value_name = "KEY", value_parser = GrantPublicKey::from_text)]
    pub grant_keys: Vec<GrantPublicKey>,
}

/// The flags of `version`.
#[derive(Debug, Clone, Args)]
pub struct VersionArgs {
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t = TextOrJson::Text, value_name = "FORMAT")]
    pub output: TextOrJson,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TextOrJson {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The forms of the result of `stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatsFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For an issue or a wiki.
    Markdown,
}

/// Reads `IP:PORT`, or `localhost:PORT`.
pub(super) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    numeric.parse().map_err(|_| "write an IP address and a port, such as `127.0.0.1:4317` or `[::1]:4317`".to_owned())
}

fn parse_token(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("the variable TRACECAPTURE_TOKEN is empty; give it a token, or unset it to have one made up");
    }
    Ok(text.to_owned())
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ValidCapture;
    use crate::ids::CaptureId;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        run: RunArgs,
    }

    fn check(typed: &[&str], meant: Result<(&str, &str, &str), &str>) {
        let args = Typed::try_parse_from([&["run"], typed].concat()).unwrap_or_else(|error| panic!("{error}")).run;
        let capture = ValidCapture::with_defaults(&CaptureId::new("default", "local").unwrap()).unwrap();
        let text = |address: Option<SocketAddr>| address.unwrap().to_string();
        let listen = args.listen(&CollectorSettings::of(&capture, Timestamp::default()));
        let listen = listen.map(|l| (text(l.grpc), text(l.http), l.web.to_string())).map_err(|e| e.to_string());
        let meant = meant.map(|(grpc, http, web)| (grpc.into(), http.into(), web.into())).map_err(str::to_owned);
        assert_eq!(listen, meant, "{typed:?}");
    }

    #[test]
    fn everything_is_on_loopback_by_default() {
        check(&[], Ok(("127.0.0.1:4317", "127.0.0.1:4318", "127.0.0.1:4319")));
    }

    #[test]
    fn flags_move_the_addresses() {
        check(
            &["--grpc-listen", "localhost:0", "--http-listen", "[::1]:5318", "--web-listen", "127.0.0.2:1"],
            Ok(("127.0.0.1:0", "[::1]:5318", "127.0.0.2:1")),
        );
    }

    #[test]
    fn other_machines_need_leave() {
        let refused = "--http-listen 0.0.0.0:4318 can be reached from other machines";
        check(&["--http-listen", "0.0.0.0:4318"], Err(refused));
        check(
            &["--http-listen", "0.0.0.0:4318", "--allow-remote"],
            Ok(("127.0.0.1:4317", "0.0.0.0:4318", "127.0.0.1:4319")),
        );
    }

    #[test]
    fn an_address_has_a_port() {
        for typed in ["127.0.0.1", "4317", "example.com:4317", "localhost:99999"] {
            assert!(parse_address(typed).is_err(), "{typed}");
        }
    }
}
