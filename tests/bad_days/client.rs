//! A small blocking HTTP/1.1 client, the requests it sends, and waiting for a condition.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use prost::Message;

pub(crate) use crate::spans::{message, next_id, span};
use crate::support::Run;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, read to its end.
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

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A connection that is kept from request to request.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    authority: String,
}

impl Client {
    /// Connects to `http://host:port`.
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let authority = address.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&authority)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), authority })
    }

    /// Sends the head of a request and what of its body is given.
    pub(crate) fn begin(&mut self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
        let mut head = format!("{line} HTTP/1.1\r\nhost: {}\r\n", self.authority);
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let stream = self.stream.get_mut();
        stream.write_all(&[head.as_bytes(), b"\r\n", body].concat())
    }

    /// Sends more of a body.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads a head; the body is yet to be read.
    pub(crate) fn head(&mut self) -> io::Result<Answer> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                text => lines.push(text.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let pair = |line: &String| line.split_once(':').map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned()));
        Ok(Answer { status, headers: lines[1..].iter().filter_map(pair).collect(), body: Vec::new() })
    }

    /// Reads the body that a head announced.
    pub(crate) fn body(&mut self, mut answer: Answer) -> io::Result<Answer> {
        let len = answer.header("content-length").map_or(0, |len| len.parse().unwrap());
        answer.body.resize(len, 0);
        self.stream.read_exact(&mut answer.body)?;
        Ok(answer)
    }

    /// Sends a body to the traces path.
    pub(crate) fn post(&mut self, body: &[u8]) -> io::Result<Answer> {
        let len = body.len().to_string();
        let headers = [("content-type", "application/x-protobuf"), ("content-length", &len)];
        self.begin("POST /v1/traces", &headers, body)?;
        let head = self.head()?;
        self.body(head)
    }
}

/// Sends one request with one new span and returns the answer.
pub(crate) fn post_one(run: &Run) -> (u64, Answer) {
    let id = next_id();
    let answer = Client::connect(run.http()).unwrap().post(&request(&[id], 0)).unwrap();
    (id, answer)
}

/// Asks the web address, with its token.
pub(crate) fn get(run: &Run, path: &str) -> Answer {
    call(run, "GET", path)
}

/// As [`get`], with another method.
pub(crate) fn call(run: &Run, method: &str, path: &str) -> Answer {
    let bearer = format!("Bearer {}", run.token());
    let mut client = Client::connect(run.web()).unwrap();
    client.begin(&format!("{method} {path}"), &[("authorization", &bearer)], b"").unwrap();
    let head = client.head().unwrap();
    client.body(head).unwrap()
}

/// Returns the value of a metric's line, which is named with its labels.
pub(crate) fn metric(run: &Run, line: &str) -> u64 {
    let text = get(run, "/metrics").text();
    let value = text.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().unwrap())
}

/// Returns the sum over all labels of a metric.
pub(crate) fn metric_sum(run: &Run, name: &str) -> u64 {
    let text = get(run, "/metrics").text();
    let lines = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

/// A request with one span per id, as protobuf.
pub(crate) fn request(ids: &[u64], filler: usize) -> Vec<u8> {
    message(ids.iter().map(|&id| span(id, filler)).collect()).encode_to_vec()
}

/// Waits until `condition` holds; fails with `what` where it does not come true.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        pause();
    }
}

/// Leaves the processor to others between two looks at what tells nobody when it changes.
pub(crate) fn pause() {
    thread::sleep(Duration::from_millis(10));
}
