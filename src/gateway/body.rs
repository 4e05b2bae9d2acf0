//! Response bodies; that of a stream takes from the keeper what the client takes, and ends in one audit line.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::DropGuard;

use super::audit::{Access, Outcome};
use super::places::Place;
use crate::http1::{Pieces, StreamedBody};
use crate::telemetry::metrics::GatewayMetrics;

/// The body of a response; that of a stream comes from a keeper while it is sent.
pub(super) type GatewayBody = StreamedBody<Stream>;

/// A body that comes from a keeper.
///
/// Nothing is read ahead beyond the buffer of its connection: what the client does not take stays with the keeper.
pub(super) struct Stream {
    body: Incoming,
    /// How many bytes the keeper announced.
    expected: Option<u64>,
    sent: u64,
    has_ended: bool,
    has_failed: bool,
    idle: Duration,
    /// Runs while the keeper is waited for.
    deadline: Option<Pin<Box<Sleep>>>,
    access: Option<Access>,
    metrics: GatewayMetrics,
    /// Dropped with the body: then another stream may begin.
    _place: Place,
    /// Dropped with the body: then the keeper's connection is closed.
    _connection: DropGuard,
}

impl GatewayBody {
    /// Returns how many bytes it will have, as far as that is known.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Full(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::Stream(stream) => stream.expected.unwrap_or_default(),
        }
    }
}

impl Stream {
    /// Passes on what a keeper sends; it may be silent for so long.
    pub(super) fn new(
        (body, connection): (Incoming, DropGuard),
        expected: Option<u64>,
        idle: Duration,
        place: Place,
        metrics: GatewayMetrics,
    ) -> Self {
        metrics.streams_running.inc();
        Self {
            body,
            expected,
            sent: 0,
            has_ended: false,
            has_failed: false,
            idle,
            deadline: None,
            access: None,
            metrics,
            _place: place,
            _connection: connection,
        }
    }

    /// Lets the audit line be written when the stream ends.
    pub(super) fn record(&mut self, access: Access) {
        self.access = Some(access);
    }

    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<T>>> {
        let idle = self.idle;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + idle)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => {
                self.has_failed = true;
                Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, "the keeper sends nothing"))))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Pieces for Stream {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return self.wait(context),
            };
            self.deadline = None;
            match frame.map(|frame| frame.map(Frame::into_data)) {
                None => {
                    self.has_ended = true;
                    return Poll::Ready(None);
                }
                Some(Ok(Ok(bytes))) => {
                    let n = bytes.len() as u64;
                    self.sent += n;
                    self.metrics.bytes.inc_by(n);
                    return Poll::Ready(Some(Ok(bytes)));
                }
                // Trailers are of the connection to the keeper, not of what it sends.
                Some(Ok(Err(_))) => {}
                // An error ends the connection: a client must never take a part for the whole.
                Some(Err(error)) => {
                    self.has_failed = true;
                    return Poll::Ready(Some(Err(io::Error::other(error))));
                }
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.metrics.streams_running.dec();
        let outcome = match (self.has_failed, self.has_ended || self.expected == Some(self.sent)) {
            (true, _) => Outcome::Failed,
            (false, true) => Outcome::Complete,
            (false, false) => Outcome::Cut,
        };
        if let Some(access) = self.access.take() {
            access.ended(self.sent, outcome);
        }
    }
}
