//! HTTP/1.1 by hand, so that also what no client library sends can be sent.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use prost::Message;
use serde_json::Value;

use crate::target::Target;

/// Longer than any answer should take, shorter than a test run's patience.
const PATIENCE: Duration = Duration::from_mins(1);

/// `google.rpc.Status`, written down here once more.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body as a status, in whichever encoding the answer names.
    pub(crate) fn rpc_status(&self) -> Status {
        match self.header("content-type") {
            Some("application/x-protobuf") => Status::decode(&*self.body).unwrap(),
            Some("application/json") => {
                let json = self.json();
                let message = json["message"].as_str().unwrap().to_owned();
                Status {
                    code: i32::try_from(json["code"].as_i64().unwrap_or(0)).unwrap(),
                    message,
                    details: Vec::new(),
                }
            }
            other => panic!("the body of an error is {other:?}"),
        }
    }
}

/// A connection.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Reads up to the empty line behind a head.
    pub(crate) fn head(&mut self) -> String {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            assert_eq!(self.0.read(&mut byte).unwrap(), 1, "closed after {:?}", String::from_utf8_lossy(&head));
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads one answer.
    pub(crate) fn answer(&mut self) -> Answer {
        let head = self.head();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pair = |line: &str| line.split_once(':').map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned()));
        let mut answer = Answer { status, headers: lines.filter_map(pair).collect(), body: Vec::new() };
        let len = answer.header("content-length").map_or(0, |len| len.parse().unwrap());
        answer.body.resize(len, 0);
        self.0.read_exact(&mut answer.body).unwrap();
        answer
    }

    /// Sends bytes to a side that may close meanwhile.
    pub(crate) fn send_ignoring_close(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// Tells whether the other side closes within the patience, orderly or by a reset.
    pub(crate) fn closes(&mut self) -> bool {
        let read = self.0.read_to_end(&mut Vec::new());
        !read.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }
}

/// Returns the bytes of a request with a body of known length.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut lines = vec![format!("{method} {path} HTTP/1.1"), "host: otlp".to_owned()];
    lines.push(format!("content-length: {}", body.len()));
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    [lines.join("\r\n").as_bytes(), b"\r\n\r\n", body].concat()
}

/// Sends one request and returns its answer.
pub(crate) fn send(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    send_to(&Target::shared(), method, path, headers, body)
}

fn send_to(target: &Target, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut connection = Connection::open(target.http());
    connection.send(&request(method, path, headers, body));
    connection.answer()
}

/// Sends a body to the traces path of an endpoint of the caller's.
pub(crate) fn post_to(target: &Target, media_type: &str, body: &[u8]) -> Answer {
    send_to(target, "POST", "/v1/traces", &[("content-type", media_type)], body)
}

/// Sends a body to the traces path.
pub(crate) fn post(media_type: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    send("POST", "/v1/traces", &[&[("content-type", media_type)], headers].concat(), body)
}

/// Sends protobuf.
pub(crate) fn post_protobuf(headers: &[(&str, &str)], body: &[u8]) -> Answer {
    post("application/x-protobuf", headers, body)
}

/// Sends JSON.
pub(crate) fn post_json(body: &[u8]) -> Answer {
    post("application/json", &[], body)
}
