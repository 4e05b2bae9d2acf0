//! gRPC calls over hyper's HTTP/2 client, message frames by hand.

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::GeneralPurposeConfig;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::SendRequest;
use hyper::rt::Executor;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;

use crate::http_client::Status;
use crate::target::Target;

pub(crate) const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

pub(crate) type Body = BoxBody<Bytes, std::convert::Infallible>;

/// A reply, whether its status came in headers or in trailers.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) http_status: u16,
    /// `grpc-status`, -1 where there is none.
    pub(crate) status: i32,
    pub(crate) headers: hyper::HeaderMap,
    /// Headers and trailers.
    pub(crate) all: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The status in `grpc-status-details-bin`.
    pub(crate) fn details(&self) -> Option<Status> {
        let lenient =
            GeneralPurposeConfig::new().with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent);
        let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
        let bytes = engine.decode(self.all.get("grpc-status-details-bin")?).unwrap();
        Some(Status::decode(&*bytes).unwrap())
    }

    /// The names of the messages in the details.
    pub(crate) fn detail_types(&self) -> Vec<String> {
        let details = self.details().map(|status| status.details).unwrap_or_default();
        details.iter().map(|any| any.type_url.rsplit('/').next().unwrap().to_owned()).collect()
    }
}

/// A message in its frame.
pub(crate) fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

/// A body that is there as a whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// A body that begins with `begin` and never ends.
pub(crate) fn endless(begin: Vec<u8>) -> Body {
    let first = stream::iter([Ok(Frame::data(Bytes::from(begin)))]);
    BodyExt::boxed(StreamBody::new(first.chain(stream::pending())))
}

/// Opens an HTTP/2 connection.
pub(crate) async fn connect_to(address: &str) -> SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    TokioExecutor::new().execute(async move {
        // The test sees a broken connection in its call.
        let _ = connection.await;
    });
    sender
}

/// Makes a request with the headers of a call, and these instead or beside.
pub(crate) fn request(path: &str, headers: &[(&str, &str)], body: Body) -> hyper::Request<Body> {
    let mut request = hyper::Request::post(format!("http://otlp{path}")).body(body).unwrap();
    for (name, value) in [&[("content-type", "application/grpc"), ("te", "trailers")], headers].concat() {
        request.headers_mut().insert(hyper::header::HeaderName::try_from(name).unwrap(), value.try_into().unwrap());
    }
    request
}

/// Makes a call.
pub(crate) async fn call(sender: &mut SendRequest<Body>, request: hyper::Request<Body>) -> Reply {
    sender.ready().await.unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    // A refused call's stream is reset once the answer is complete.
    let (body, trailers) = match body.collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().cloned().unwrap_or_default();
            (collected.to_bytes(), trailers)
        }
        Err(_) => Default::default(),
    };
    let mut all = head.headers.clone();
    all.extend(trailers);
    let status = all.get("grpc-status").map_or(-1, |value| value.to_str().unwrap().parse().unwrap());
    Reply { http_status: head.status.as_u16(), status, headers: head.headers, all, body }
}

/// Makes a call of Export on a connection of its own; `body` is framed already.
pub(crate) async fn export(headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
    export_to(&Target::shared(), headers, whole(body)).await
}

/// The same at an endpoint of the caller's.
pub(crate) async fn export_to(target: &Target, headers: &[(&str, &str)], body: Body) -> Reply {
    let mut sender = connect_to(target.grpc()).await;
    call(&mut sender, request(EXPORT, headers, body)).await
}
