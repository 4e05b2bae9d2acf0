//! A raw HTTP/1.1 client that can stop reading wherever a test wants.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than anything takes here: a server that stalls fails the test instead of blocking it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where requests go and what they carry.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    authority: String,
    token: Option<String>,
}

/// A response whose body is read by the caller.
pub(crate) struct Started {
    pub(crate) status: u16,
    headers: HashMap<String, String>,
    pub(crate) stream: BufReader<TcpStream>,
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Makes a client of `http://host:port`.
    pub(crate) fn new(address: &str, token: Option<&str>) -> Self {
        let authority = address.trim_start_matches("http://").to_owned();
        Self { authority, token: token.map(ToOwned::to_owned) }
    }

    /// Sends a request without a body and reads the head of its response.
    pub(crate) fn begin(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Started {
        self.begin_with(method, target, headers, &[])
    }

    fn begin_with(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Started {
        let stream = TcpStream::connect(&self.authority).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
        let given = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        if !given("host") {
            push(&mut head, "Host", &self.authority);
        }
        if let Some(token) = self.token.as_ref().filter(|_| !given("authorization")) {
            push(&mut head, "Authorization", &format!("Bearer {token}"));
        }
        for (name, value) in headers {
            push(&mut head, name, value);
        }
        push(&mut head, "Content-Length", &body.len().to_string());
        head.push_str("\r\n");
        (&stream).write_all(&[head.as_bytes(), body].concat()).unwrap();
        Started::read(stream)
    }

    /// Sends a request and reads the whole response.
    pub(crate) fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.begin(method, target, headers).finish()
    }

    /// Sends a GET and reads the whole response.
    pub(crate) fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", target, headers)
    }

    /// Sends a request with spans; tells whether all of them are stored.
    pub(crate) fn post(&self, body: &[u8]) -> bool {
        let answer = self.begin_with("POST", "/v1/traces", &[("Content-Type", "application/x-protobuf")], body);
        answer.finish().status == 200
    }
}

impl Started {
    fn read(stream: TcpStream) -> Self {
        let mut stream = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let status = lines[0][9..12].parse().unwrap();
        let headers = lines[1..].iter().map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { status, headers, stream }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Reads up to `len` bytes of the body, then breaks the connection off.
    pub(crate) fn cut(mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match self.stream.read(&mut bytes[filled..]) {
                Ok(0) | Err(_) => break,
                Ok(n) => filled += n,
            }
        }
        bytes.truncate(filled);
        bytes
    }

    /// Reads the body to its stated end.
    pub(crate) fn finish(mut self) -> Answer {
        let mut body = Vec::new();
        self.stream.read_to_end(&mut body).unwrap();
        Answer { status: self.status, headers: self.headers, body }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks that the answer is a problem document of this status, and returns its reason.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/problem+json");
        let document = self.json();
        assert_eq!(document["status"], status);
        assert!(document["type"].is_string() && document["title"].is_string() && document["detail"].is_string());
        document["reason"].as_str().unwrap().to_owned()
    }
}

/// Appends a header.
fn push(head: &mut String, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        head.push_str(part);
    }
}
