//! A limit on how deeply the captures that the API server answers with are nested.
//!
//! The API server takes ten thousand levels; a parser gives up after some hundred, and with it on the whole list or
//! watch that the object is in. One such capture would keep every other one from being seen. So what lies too deep
//! is cut out of the text before anything is made of it: the object is then at fault, and it alone.
//!
//! # Guarantees
//! - Nothing is copied where nothing is cut, and no more than one frame of an answer is held.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Either};
use kube::Client;
use kube::client::Body;

use crate::api::API_VERSION;

/// How deep values may lie in an answer: a pod has about twenty levels, `serde_json` stops at 128, and whoever
/// writes an object into another one adds some.
const MAX_DEPTH: usize = 64;

/// What stands in the place of what is cut out.
///
/// Not `null`: in an overlay that asks for a field to be removed, and the object would pass as sound. A text is no field
/// of a pod at this depth.
const LEFT_OUT: &[u8] = b"\"left out: nested too deeply\"";

/// Returns a client for which the captures in answers have the limit.
///
/// Must be called within the runtime, which runs the queue in front of the connections.
pub fn limited(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let captures = format!("/apis/{API_VERSION}/");
    let service = tower::service_fn(move |request: Request<Body>| {
        let client = client.clone();
        let is_of_captures = request.uri().path().starts_with(&captures);
        async move {
            let answer = client.send(request).await?;
            let limit = |body: Body| {
                if !is_of_captures {
                    return Either::Right(body);
                }
                let mut cutter = Cutter::default();
                Either::Left(body.map_frame(move |frame| frame.map_data(|bytes| cutter.cut(&bytes))))
            };
            Ok::<_, kube::Error>(answer.map(limit))
        }
    });
    Client::new(service, namespace)
}

/// Reads JSON texts, one after another, just as far as it takes to know how deep each byte lies.
#[derive(Debug, Default)]
struct Cutter {
    /// The maps and lists around the next byte.
    depth: usize,
    is_in_text: bool,
    is_escaped: bool,
}

/// Where what is cut out begins or ends.
#[derive(Debug, Clone, Copy)]
enum Edge {
    /// The byte is its first.
    First,
    /// The byte is its last.
    Last,
}

impl Cutter {
    /// Returns the next part of a text without what lies too deep.
    fn cut(&mut self, part: &Bytes) -> Bytes {
        let mut kept = Vec::new();
        // Where the bytes to keep begin; `None` within what is cut out.
        let mut from = (self.depth <= MAX_DEPTH).then_some(0);
        for (at, byte) in part.iter().enumerate() {
            match self.step(*byte) {
                None => {}
                Some(Edge::First) => {
                    let before = from.take().and_then(|from| part.get(from..at));
                    kept.extend_from_slice(before.unwrap_or_default());
                    kept.extend_from_slice(LEFT_OUT);
                }
                Some(Edge::Last) => from = Some(at.saturating_add(1)),
            }
        }
        match from {
            Some(0) => part.clone(),
            from => {
                kept.extend_from_slice(from.and_then(|from| part.get(from..)).unwrap_or_default());
                kept.into()
            }
        }
    }

    fn step(&mut self, byte: u8) -> Option<Edge> {
        if self.is_in_text {
            let is_escaped = std::mem::take(&mut self.is_escaped);
            match byte {
                b'\\' if !is_escaped => self.is_escaped = true,
                b'"' if !is_escaped => self.is_in_text = false,
                _ => {}
            }
            return None;
        }
        match byte {
            b'"' => self.is_in_text = true,
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                return (self.depth == MAX_DEPTH + 1).then_some(Edge::First);
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return (self.depth == MAX_DEPTH).then_some(Edge::Last);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts a text that comes in parts of `len` bytes.
    fn cut(text: &str, len: usize) -> String {
        let mut cutter = Cutter::default();
        let parts = text.as_bytes().chunks(len).map(|part| cutter.cut(&Bytes::copy_from_slice(part)));
        String::from_utf8(parts.flatten().collect()).unwrap()
    }

    /// Checks what becomes of a text, whatever the parts that it comes in.
    fn check(text: &str, expected: &str) {
        for len in [1, 2, 7, text.len()] {
            assert_eq!(cut(text, len), expected, "in parts of {len} bytes");
        }
    }

    /// Returns lists within lists around a text.
    fn nested(levels: usize, inner: &str) -> String {
        format!("{}{inner}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn what_lies_too_deep_is_cut_out() {
        let left_out = str::from_utf8(LEFT_OUT).unwrap();
        check(&nested(MAX_DEPTH, "1,[],{\"a\":[]},2"), &nested(MAX_DEPTH, &format!("1,{left_out},{left_out},2")));
        check(&nested(500, "1"), &nested(MAX_DEPTH, left_out));
        // Lines of a watch.
        check(&(nested(70, "1") + "\n" + &nested(2, "1")), &(nested(MAX_DEPTH, left_out) + "\n" + &nested(2, "1")));
    }

    #[test]
    fn what_only_looks_like_depth_stays() {
        for text in ["[[[", "\\\"[[", "]]", "\\\\"] {
            let quoted = format!("\"{}\"", text.repeat(MAX_DEPTH));
            check(&nested(MAX_DEPTH, &quoted), &nested(MAX_DEPTH, &quoted));
        }
        let wide = format!("[{}]", ["[]"; 500].join(","));
        check(&wide, &wide);
    }
}
