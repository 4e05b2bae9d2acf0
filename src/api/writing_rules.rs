//! The rules that bind only what somebody writes now.
//!
//! Earlier definitions let in what breaks them, and such captures run: the operator goes on with them, while the API
//! server, `validate`, `generate` and `run` refuse what is written anew.

use super::quantity::Quantity;
use super::rule::Rule;

/// The least memory that a collector works in, in bytes: idle it has 9 MiB, under load with small requests 20 to 60.
const LEAST_MEMORY: i128 = 64 << 20;

const NANOS: i128 = 1_000_000_000;

/// The rules about what is written now.
pub(super) const WRITING_RULES: &[Rule] = &[
    Rule {
        at: "spec.collector",
        field: ".image",
        // What is not printable ASCII breaks another rule.
        cel: Some(
            "!has(self.image) || !self.image.matches('^[!-~]+$') || self.image.matches(\
              '^(([A-Za-z0-9][-A-Za-z0-9.]*|\\\\[[0-9A-Fa-f:.]+\\\\])(:[0-9]+)?/)?\
              [a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*\
              (:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@[A-Za-z][-A-Za-z0-9+._]*:[0-9A-Fa-f]+)?$')",
        ),
        message: "write the reference of an image: a name, a tag and perhaps a digest, such as \
                  `images.example.com/tracecapture:1.0.0`",
        reads: &["spec.collector.image"],
        holds: |spec| {
            let is_printable = |image: &str| image.bytes().all(|byte| byte.is_ascii_graphic());
            spec.collector.image.as_deref().is_none_or(|image| !is_printable(image) || is_reference(image))
        },
    },
    Rule {
        at: "spec.collector.resources",
        field: ".limits",
        cel: Some(
            "!has(self.limits) || !('memory' in self.limits) || !string(self.limits['memory'])\
              .matches('^[0-9]{1,15}([.][0-9]{1,9})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$') \
              || quantity(string(self.limits['memory'])).compareTo(quantity('64Mi')) >= 0",
        ),
        message: "a collector needs a memory limit of at least 64Mi: raise it, or remove it",
        reads: &["spec.collector.resources.limits"],
        holds: |spec| {
            let limits = spec.collector.resources.as_ref().map(|resources| &resources.limits);
            let memory = limits.and_then(|limits| limits.get("memory")).and_then(Quantity::nanos);
            memory.is_none_or(|memory| memory >= LEAST_MEMORY * NANOS)
        },
    },
    Rule {
        at: "spec.storage",
        field: ".subPath",
        // What leads out of the claim breaks another rule.
        cel: Some(
            "!has(self.subPath) || self.subPath.matches('^/|(^|/)[.][.](/|$)') \
              || !self.subPath.matches('/$|//|(^|/)[.](/|$)')",
        ),
        message: "write the directory in its shortest form, such as `captures/checkout`: without `.`, `//` and a `/` \
                  at the end; for the root of the claim remove the field",
        reads: &["spec.storage.subPath"],
        holds: |spec| {
            let leads_out = |path: &str| path.starts_with('/') || path.split('/').any(|name| name == "..");
            let shortest = spec.storage.directory().join("/");
            spec.storage.sub_path.as_deref().is_none_or(|path| leads_out(path) || path == shortest)
        },
    },
];

/// Tells whether `text` is `[domain/]path[:tag][@digest]`.
///
/// Source: `regexp.go` of `github.com/distribution/reference`; digests may be of any length here.
fn is_reference(text: &str) -> bool {
    let (text, digest) = text.split_once('@').map_or((text, None), |(text, digest)| (text, Some(digest)));
    let (path, name) = text.split_at(text.rfind('/').map_or(0, |slash| slash + 1));
    let (name, tag) = name.split_once(':').map_or((name, None), |(name, tag)| (name, Some(tag)));
    let mut before = path.split_terminator('/');
    before.next().is_none_or(|first| is_domain(first) || is_path_part(first))
        && before.all(is_path_part)
        && is_path_part(name)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

fn is_path_part(text: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(is_end) && text.ends_with(is_end) && text.chars().all(|c| is_end(c) || "._-".contains(c))
}

fn is_domain(text: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let (is_host, port) = if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_address = |b: u8| b.is_ascii_hexdigit() || b":.".contains(&b);
        (!address.is_empty() && address.bytes().all(is_address), rest)
    } else {
        let (host, port) = text.find(':').map_or((text, ""), |at| text.split_at(at));
        let is_host = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
        (is_host && host.starts_with(|c: char| c.is_ascii_alphanumeric()), port)
    };
    is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_tag(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128 && text.starts_with(is_word) && text.chars().all(|c| is_word(c) || "-.".contains(c))
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, digits)) = text.split_once(':') else { return false };
    let is_algorithm = algorithm.starts_with(|c: char| c.is_ascii_alphabetic())
        && algorithm.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+._".contains(&b));
    is_algorithm && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())
}
