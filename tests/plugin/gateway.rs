//! A gateway in this process: one bundle, ranges, and whatever goes wrong with them; or what it is told to answer.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use serde_json::{Value, json};

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// The token that opens it.
pub(crate) const TOKEN: &str = "good-token";

/// What becomes of a response.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// The connection ends after so many bytes.
    Cut(usize),
    /// Nothing more comes after so many bytes, and somebody is told.
    Stall(usize, Sender<()>),
    /// This status with this detail instead of a bundle.
    Refuse(u16, &'static str),
    /// This status with this document instead of a bundle.
    Tell(u16, Value),
    /// Success, with this media type, and these bytes instead of a bundle.
    Stranger(Option<&'static str>, &'static [u8]),
}

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
    pub(crate) body: String,
}

/// What it has and what it was asked.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) body: Vec<u8>,
    pub(crate) etag: String,
    pub(crate) plans: VecDeque<Plan>,
    pub(crate) asked: Vec<Asked>,
}

#[derive(Clone, Default)]
pub(crate) struct Gateway(Arc<Mutex<State>>);

impl Gateway {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn plan(&self, plans: impl IntoIterator<Item = Plan>) {
        self.lock().plans.extend(plans);
    }

    /// Answers a request; behind the API server's proxy only the second header counts.
    pub(crate) fn answer(&self, request: &Request<Bytes>) -> Answer {
        let headers = request.headers();
        let is_proxied = request.uri().path().contains("/proxy/");
        let token = if is_proxied {
            text(headers, "x-tracecapture-token")
        } else {
            text(headers, "authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned))
        };
        let mut state = self.lock();
        let (range, if_range) = (text(headers, "range"), text(headers, "if-range"));
        state.asked.push(Asked {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            range: range.clone(),
            if_range: if_range.clone(),
            body: String::from_utf8(request.body().to_vec()).unwrap(),
        });
        if token.as_deref() != Some(TOKEN) {
            return refusal(401, "no token that holds");
        }
        let plan = state.plans.pop_front();
        if let Some(Plan::Refuse(code, detail)) = plan {
            return refusal(code, detail);
        }
        if let Some(Plan::Tell(code, document)) = plan {
            return tell(code, &document);
        }
        if let Some(Plan::Stranger(media_type, bytes)) = plan {
            let response = Response::builder().header("content-length", bytes.len());
            let response =
                media_type.into_iter().fold(response, |response, told| response.header("content-type", told));
            return response.body(body(Bytes::from_static(bytes), None)).unwrap();
        }
        let total = state.body.len();
        let start = range.filter(|_| if_range.is_none_or(|tag| tag == state.etag));
        let start: Option<usize> = start.map(|range| range["bytes=".len()..range.len() - 1].parse().unwrap());
        let bytes = Bytes::from(state.body[start.unwrap_or(0)..].to_vec());
        let mut response = Response::builder().header("etag", &state.etag).header("content-length", bytes.len());
        response = response.header("content-type", "application/x-tar");
        if let Some(start) = start {
            let range = format!("bytes {start}-{}/{total}", total - 1);
            response = response.status(206).header("content-range", range);
        }
        response.body(body(bytes, plan)).unwrap()
    }
}

fn body(bytes: Bytes, plan: Option<Plan>) -> UnsyncBoxBody<Bytes, io::Error> {
    let data = |bytes: Bytes| Ok(Frame::data(bytes));
    match plan {
        Some(Plan::Cut(n)) => {
            let cut = stream::once(async {
                // The bytes before go out first.
                tokio::task::yield_now().await;
                Err(io::Error::other("cut"))
            });
            StreamBody::new(stream::iter([data(bytes.slice(..n))]).chain(cut)).boxed_unsync()
        }
        Some(Plan::Stall(n, told)) => {
            let stall = stream::once(async move {
                told.send(()).unwrap();
                std::future::pending().await
            });
            StreamBody::new(stream::iter([data(bytes.slice(..n))]).chain(stall)).boxed_unsync()
        }
        _ => Full::new(bytes).map_err(|never| match never {}).boxed_unsync(),
    }
}

fn refusal(code: u16, detail: &str) -> Answer {
    tell(code, &json!({ "status": code, "detail": detail }))
}

fn tell(code: u16, document: &Value) -> Answer {
    let body = Full::new(Bytes::from(document.to_string())).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(code).body(body).unwrap()
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}
