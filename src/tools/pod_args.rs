//! What may be typed for the roles that run as pods.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use clap::Args;

use super::args::parse_address;
use crate::api::names::{ADMIN_PORT, WEB_PORT};
use crate::settings::CollectorSettings;

/// The flags of `collector`.
#[derive(Debug, Clone, Args)]
pub struct CollectorArgs {
    /// Directory of the settings: a `TraceCapture` in `capture.yaml`, and the keys that sign grants in `grant-keys`.
    #[arg(long, value_name = "DIR", default_value = "/etc/tracecapture")]
    pub settings_dir: PathBuf,
    /// Directory for the chunks, on the volume that the pods of a capture share.
    #[arg(long, value_name = "DIR", default_value = "/data")]
    pub data_dir: PathBuf,
    /// Name of the pod, as a `StatefulSet` makes it: the one with ordinal 0 keeps the directory.
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub pod_name: String,
    /// Address of OTLP over gRPC [default: every address, and the port in the settings]. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub grpc_listen: Option<SocketAddr>,
    /// Address of OTLP over HTTP [default: every address, and the port in the settings]. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub http_listen: Option<SocketAddr>,
    /// Address of inventory and downloads, for requests with a grant [default: every address, and port 4319]. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub web_listen: Option<SocketAddr>,
    /// Address of probes and metrics [default: every address, and port 8080]. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub admin_listen: Option<SocketAddr>,
}

/// Where a collector pod listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PodAddresses {
    pub(super) grpc: Option<SocketAddr>,
    pub(super) http: Option<SocketAddr>,
    pub(super) web: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl CollectorArgs {
    /// Returns where to listen: the capture decides whether and on which port, flags decide otherwise; `any` is every address.
    pub(super) fn listen(&self, settings: &CollectorSettings, any: IpAddr) -> PodAddresses {
        let meant = |given: Option<SocketAddr>, port| given.unwrap_or(SocketAddr::new(any, port));
        PodAddresses {
            grpc: settings.grpc_port.map(|port| meant(self.grpc_listen, port)),
            http: settings.http_port.map(|port| meant(self.http_listen, port)),
            web: meant(self.web_listen, WEB_PORT),
            admin: meant(self.admin_listen, ADMIN_PORT),
        }
    }
}

/// Returns the address that stands for every one: of both families, or of IPv4 alone on a machine without IPv6.
pub(super) fn any_address() -> IpAddr {
    let both = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    // Whether a machine has IPv6 is seldom known before it is tried.
    match TcpListener::bind(SocketAddr::new(both, 0)) {
        Ok(_) => both,
        Err(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::clock::Timestamp;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        collector: CollectorArgs,
    }

    fn check(typed: &[&str], spec: &str, meant: (Option<&str>, Option<&str>, &str, &str)) {
        let args = Typed::try_parse_from([&["collector", "--pod-name", "a-0"], typed].concat()).unwrap().collector;
        let text =
            format!("apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {{name: a}}\nspec: {spec}\n");
        let settings = CollectorSettings::of(&crate::api::parse(&text).unwrap(), Timestamp::default());
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (grpc, http, web, admin) = meant;
        let expected =
            PodAddresses { grpc: grpc.map(address), http: http.map(address), web: address(web), admin: address(admin) };
        assert_eq!(args.listen(&settings, Ipv6Addr::UNSPECIFIED.into()), expected, "{typed:?}");
    }

    #[test]
    fn a_pod_listens_everywhere_and_the_capture_names_the_ports() {
        check(&[], "{}", (Some("[::]:4317"), Some("[::]:4318"), "[::]:4319", "[::]:8080"));
        check(
            &["--web-listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:1"],
            "{receiver: {grpc: {enabled: false}, http: {port: 14318}}}",
            (None, Some("[::]:14318"), "127.0.0.1:0", "[::]:8080"),
        );
    }
}
