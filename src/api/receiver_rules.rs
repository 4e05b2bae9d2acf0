//! The rules about `spec.receiver`.

use super::names::{ADMIN_PORT, WEB_PORT};
use super::rule::{Rule, is_between, size_cel, size_message};

/// What is said of a port that the pod itself needs.
const TAKEN_MESSAGE: &str = "4319 and 8080 are the collector's own ports for its web address and its probes: choose \
                             another, such as 4317 for gRPC and 4318 for HTTP";

/// The rules about the OTLP endpoint.
pub(super) const RECEIVER_RULES: &[Rule] = &[
    Rule {
        at: "spec.receiver",
        field: ".maxRequestBytes",
        cel: Some(size_cel!("maxRequestBytes", "1Ki", "1Gi")),
        message: size_message!("1Ki", "1Gi", "64Mi"),
        reads: &["spec.receiver.maxRequestBytes"],
        holds: |spec| is_between(&spec.receiver.max_request_bytes, 1 << 10, 1 << 30),
    },
    Rule {
        at: "spec.receiver",
        field: "",
        cel: Some(
            "!has(self.grpc) || !has(self.grpc.enabled) || self.grpc.enabled \
              || !has(self.http) || !has(self.http.enabled) || self.http.enabled",
        ),
        message: "enable `grpc` or `http`; to refuse spans for a while set `spec.state: Stopped` instead",
        reads: &["spec.receiver.grpc", "spec.receiver.http"],
        holds: |spec| spec.receiver.grpc.enabled || spec.receiver.http.enabled,
    },
    Rule {
        at: "spec.receiver",
        field: ".http.port",
        cel: Some(
            "!has(self.grpc) || !has(self.grpc.port) || !has(self.http) || !has(self.http.port) \
              || (has(self.grpc.enabled) && !self.grpc.enabled) || (has(self.http.enabled) && !self.http.enabled) \
              || self.grpc.port != self.http.port",
        ),
        message: "gRPC and HTTP cannot share a port: give each its own, such as 4317 for gRPC and 4318 for HTTP",
        reads: &["spec.receiver.grpc", "spec.receiver.http"],
        holds: |spec| {
            let (grpc, http) = (&spec.receiver.grpc, &spec.receiver.http);
            !grpc.enabled || !http.enabled || grpc.port != http.port
        },
    },
    Rule {
        at: "spec.receiver",
        field: ".grpc.port",
        cel: Some(
            "!has(self.grpc) || !has(self.grpc.port) || (has(self.grpc.enabled) && !self.grpc.enabled) \
              || !(self.grpc.port in [4319, 8080])",
        ),
        message: TAKEN_MESSAGE,
        reads: &["spec.receiver.grpc"],
        holds: |spec| !spec.receiver.grpc.enabled || !is_taken(spec.receiver.grpc.port),
    },
    Rule {
        at: "spec.receiver",
        field: ".http.port",
        cel: Some(
            "!has(self.http) || !has(self.http.port) || (has(self.http.enabled) && !self.http.enabled) \
              || !(self.http.port in [4319, 8080])",
        ),
        message: TAKEN_MESSAGE,
        reads: &["spec.receiver.http"],
        holds: |spec| !spec.receiver.http.enabled || !is_taken(spec.receiver.http.port),
    },
    Rule {
        at: "spec.receiver",
        field: ".cors.allowedOrigins",
        cel: Some(
            "!has(self.cors) || !has(self.cors.allowedOrigins) || self.cors.allowedOrigins.all(o, o == '*' \
              || o.matches('^[a-z][-a-z0-9+.]*://([-a-z0-9._]+|\\\\[[0-9a-f:.]+\\\\])(:[0-9]{1,5})?$'))",
        ),
        message: "write `*`, or origins as browsers send them: scheme, host and perhaps a port, in lower case and \
                  without a path, such as `https://shop.example.com`",
        reads: &["spec.receiver.cors.allowedOrigins"],
        holds: |spec| spec.receiver.cors.allowed_origins.iter().all(|origin| origin == "*" || is_origin(origin)),
    },
];

/// Tells whether a collector pod listens on this port for other things than OTLP.
fn is_taken(port: i32) -> bool {
    [WEB_PORT, ADMIN_PORT].map(i32::from).contains(&port)
}

/// Tells whether `text` is `scheme://host`, with or without a port, in lower case.
fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let is_lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| is_lower(b) || b"-+.".contains(&b));
    // A literal IPv6 address is in brackets, since it has colons itself.
    let (is_host, port) = if let Some((address, rest)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_address = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b) || b":.".contains(&b);
        (!address.is_empty() && address.bytes().all(is_address), rest)
    } else {
        let (host, port) = rest.find(':').map_or((rest, ""), |at| rest.split_at(at));
        (!host.is_empty() && host.bytes().all(|b| is_lower(b) || b"-._".contains(&b)), port)
    };
    let is_number = |digits: &str| (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_scheme && is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(is_number))
}
