//! Bodies of responses.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// The body of a response: at hand, or made while it is sent.
pub enum StreamedBody<S> {
    /// All of it; `None` once it was taken, and where there is none.
    Full(Option<Bytes>),
    /// Its pieces come one after the other.
    Stream(Box<S>),
}

/// What comes in pieces.
pub trait Pieces {
    /// Returns the next piece; `None` at the end.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>>;

    /// Tells whether no piece will come any more.
    fn has_ended(&self) -> bool;

    /// Returns how many bytes will come.
    fn size_hint(&self) -> SizeHint;
}

impl<S> StreamedBody<S> {
    /// Makes a body of bytes.
    pub fn full(bytes: Bytes) -> Self {
        Self::Full(Some(bytes))
    }

    /// Makes a body without bytes.
    pub fn empty() -> Self {
        Self::Full(None)
    }
}

impl<S: Pieces> Body for StreamedBody<S> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => stream.poll_piece(context).map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Stream(stream) => stream.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}
