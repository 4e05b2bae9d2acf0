//! Response bodies; that of a download is read as far as its client takes it, and ends in one audit line.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::SizeHint;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tracing::{info, warn};

use super::downloads::{Downloads, Key};
use crate::archive::bundle::{BundleError, BundleReader, Pin as ChunkPin};
use crate::archive::snapshot::Token;
use crate::http1::{Pieces, StreamedBody};
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::{DownloadLabels, WebMetrics};

/// Bytes read at a time: large enough that a call costs little beside its copy, small enough for hundreds of clients
/// that take nothing.
const PIECE: usize = 64 << 10;

/// Pieces read ahead, so that the disk and the network work at the same time.
const AHEAD: usize = 4;

/// Pieces that must be missing before a thread is asked for more: asking costs as much as reading one.
const ENOUGH: usize = 3;

/// The body of a response; that of a download is read while it is sent.
pub(super) type WebBody = StreamedBody<Download>;

/// A body that is read while it is sent.
pub(super) struct Download {
    pieces: Receiver<Result<Bytes, BundleError>>,
    record: Record,
}

/// What is known about a download: written to the log when its body is dropped, however it ends.
pub(super) struct Record {
    pub(super) key: Key,
    pub(super) token: Option<Token>,
    /// The bytes of the snapshot that are asked for.
    pub(super) range: Range<u64>,
    pub(super) content_len: u64,
    /// How many of them were handed to the connection.
    pub(super) sent: u64,
    pub(super) failed: bool,
    pub(super) downloads: Arc<Downloads>,
    pub(super) metrics: WebMetrics,
    pub(super) pin: Option<ChunkPin>,
    /// Dropped with the record: then another download may begin.
    pub(super) _permit: OwnedSemaphorePermit,
}

impl Download {
    /// Makes the body of a download and the task that fills it, with work of the group `tasks`.
    pub(super) fn new(
        reader: BundleReader,
        record: Record,
        tasks: Shutdown,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, pieces) = channel(AHEAD);
        let range = record.range.clone();
        record.metrics.downloads_running.inc();
        record.note(range.start);
        (Self { pieces, record }, fill(Rest { reader, range, sender }, tasks))
    }
}

impl Pieces for Download {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.has_ended() {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| {
            Some(match piece {
                Some(Ok(bytes)) => {
                    self.record.advance(bytes.len() as u64);
                    Ok(bytes)
                }
                // An error ends the connection: a client must never take a part for the whole.
                Some(Err(error)) => {
                    self.record.failed = true;
                    warn!(error = &error as &dyn std::error::Error, "download broken off");
                    Err(io::Error::other(error))
                }
                None => Err(io::ErrorKind::UnexpectedEof.into()),
            })
        })
    }

    fn has_ended(&self) -> bool {
        self.record.missing() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.record.missing())
    }
}

/// What is yet to be read, and where it goes.
struct Rest {
    reader: BundleReader,
    range: Range<u64>,
    sender: Sender<Result<Bytes, BundleError>>,
}

/// Reads a range until its receiver is gone.
///
/// A thread is busy only while it reads: a client that takes nothing holds none.
async fn fill(mut rest: Rest, tasks: Shutdown) {
    while !rest.range.is_empty() {
        // Room first: what is read waits for nobody but the client.
        if rest.sender.reserve_many(ENOUGH).await.is_err() {
            return;
        }
        rest = tasks.blocking(move || rest.read_ahead()).await;
    }
}

impl Rest {
    /// Reads for as long as there is room: with a client that keeps up, until the end.
    fn read_ahead(mut self) -> Self {
        let sender = self.sender.clone();
        while !self.range.is_empty() {
            let Ok(room) = sender.try_reserve() else { break };
            let piece = self.next_piece();
            if piece.is_err() {
                self.range.start = self.range.end;
            }
            room.send(piece);
        }
        self
    }

    fn next_piece(&mut self) -> Result<Bytes, BundleError> {
        let len = usize::try_from(self.range.end - self.range.start).unwrap_or(PIECE).min(PIECE);
        let mut piece = vec![0; len];
        let n = self.reader.read_at(self.range.start, &mut piece)?;
        // Shorter only at the end of the bundle, which a range never passes.
        piece.truncate(n);
        self.range.start = if n < len { self.range.end } else { self.range.start + len as u64 };
        Ok(Bytes::from(piece))
    }
}

impl Record {
    fn missing(&self) -> u64 {
        (self.range.end - self.range.start).saturating_sub(self.sent)
    }

    fn advance(&mut self, n: u64) {
        self.sent += n;
        self.metrics.download_bytes.inc_by(n);
        if let Some(pin) = &self.pin {
            pin.touch();
        }
        self.note(self.range.start + self.sent);
    }

    /// Remembers how far the snapshot is sent.
    fn note(&self, position: u64) {
        self.downloads.note(&self.key, self.token.as_ref(), position);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let complete = self.missing() == 0;
        let outcome = match (complete, self.failed) {
            (true, _) => "complete",
            (false, true) => "failed",
            (false, false) => "cut",
        };
        self.metrics.downloads_running.dec();
        self.metrics.downloads.get_or_create(&DownloadLabels { outcome }).inc();
        let pin = self.pin.take();
        if let Some(pin) = pin.filter(|_| complete && self.range.end == self.content_len) {
            pin.release();
        }
        info!(
            target: "audit",
            principal = self.key.principal.0,
            capture = %self.key.capture,
            range = %format_args!("{}-{}/{}", self.range.start, self.range.end, self.content_len),
            bytes = self.sent,
            complete,
            outcome,
            "download ended"
        );
    }
}
