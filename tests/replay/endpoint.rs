//! An OTLP/HTTP endpoint that says what a test wants, and keeps what it was sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

/// How long a test waits for a request.
const DEADLINE: Duration = Duration::from_secs(30);

/// One answer of an endpoint.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// 200 with this body, which is protobuf.
    Taken(&'static [u8]),
    /// 200 with this media type and body: something that is no OTLP endpoint.
    Page(&'static str, &'static [u8]),
    /// This status, with `Retry-After` where it is given.
    Status(u16, Option<u64>),
    /// Nothing, for ever.
    Nothing,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The head, in lower case.
    pub(crate) head: String,
    pub(crate) request: ExportTraceServiceRequest,
    pub(crate) said: u16,
}

impl Seen {
    /// Names of the spans.
    pub(crate) fn names(&self) -> Vec<String> {
        let scopes = self.request.resource_spans.iter().flat_map(|group| &group.scope_spans);
        scopes.flat_map(|scope| &scope.spans).map(|span| span.name.clone()).collect()
    }
}

/// The endpoint; it lives as long as the test process.
pub(crate) struct Endpoint {
    address: String,
    seen: Receiver<Seen>,
}

impl Endpoint {
    /// Starts an endpoint that gives one answer after the other, and takes everything then.
    pub(crate) fn start(answers: &[Said]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(answers.iter().rev().cloned().collect::<Vec<_>>()));
        let (sender, seen) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answers, sender) = (Arc::clone(&answers), sender.clone());
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Some((head, request)) = read(&mut reader) {
                        let said = answers.lock().unwrap().pop().unwrap_or(Said::Taken(b""));
                        let status = match said {
                            Said::Taken(_) | Said::Page(..) => 200,
                            Said::Status(status, _) => status,
                            Said::Nothing => 0,
                        };
                        let _ = sender.send(Seen { head, request, said: status });
                        answer(&stream, &said);
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// The URL of traces.
    pub(crate) fn url(&self) -> &str {
        &self.address
    }

    /// Waits for the next request.
    pub(crate) fn next(&self) -> Seen {
        self.seen.recv_timeout(DEADLINE).unwrap()
    }

    /// Returns the requests that have arrived.
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.seen.try_iter().collect()
    }

    /// Returns the names of the spans that were taken.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.all().iter().filter(|seen| seen.said == 200).flat_map(Seen::names).collect()
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, ExportTraceServiceRequest)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    Some((head, ExportTraceServiceRequest::decode(body.as_slice()).unwrap()))
}

fn answer(mut stream: &TcpStream, said: &Said) {
    let (status, more, body): (u16, String, &[u8]) = match said {
        Said::Taken(body) => (200, "content-type: application/x-protobuf\r\n".to_owned(), body),
        Said::Page(media_type, body) => (200, format!("content-type: {media_type}\r\n"), body),
        Said::Status(status, after) => {
            (*status, after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default(), b"")
        }
        Said::Nothing => return,
    };
    let head = format!("HTTP/1.1 {status} x\r\n{more}content-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}
