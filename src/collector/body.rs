//! Reads a request's body into memory, counted and bounded.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use thiserror::Error;
use tokio::time::timeout;

use super::admission::{Overloaded, Permit};
use super::outcome::{Outcome, Refusal, RetryReason};

/// A body of which nothing arrives for this long is given up.
const IDLE_LIMIT: Duration = Duration::from_secs(20);

/// A body must be there as a whole within this time; 64 MiB then need 2 Mbit/s.
const WHOLE_LIMIT: Duration = Duration::from_mins(5);

/// The first allocation for a body that comes in parts.
const FIRST_CAPACITY: usize = 64 << 10;

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum ReadError {
    /// It is, or says that it will be, larger than the limit; retrying never helps.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It does not fit into memory now; retrying helps.
    #[error("cannot hold the body")]
    Overloaded(#[source] Overloaded),
    /// The client stopped sending; retrying helps.
    #[error("the body did not arrive in time")]
    Stalled,
    /// The connection broke or the framing is wrong.
    #[error("cannot read the body: {0}")]
    Broken(String),
}

impl From<ReadError> for Outcome {
    fn from(error: ReadError) -> Self {
        let refusal = match error {
            ReadError::Overloaded(_) => return Self::retry(RetryReason::Overloaded),
            ReadError::TooLarge { .. } => Refusal::TooLarge,
            ReadError::Stalled => return Self::retry(RetryReason::Incomplete),
            ReadError::Broken(_) => Refusal::BadData,
        };
        Self::refused(refusal, error.to_string())
    }
}

/// What is known about a body before all of it is there.
pub(super) struct Expected {
    /// The largest length, in bytes.
    pub(super) limit: usize,
    /// Reads the whole length out of the first bytes, where the body begins with it.
    pub(super) announced: fn(&[u8]) -> Option<u64>,
}

/// Reads a body to its end.
///
/// A length that is known beforehand is checked at once, but taken from the budget only as the bytes
/// arrive: otherwise a client that announces much and sends little would shut out all others.
///
/// # Errors
/// [`ReadError`]; what was read is dropped.
///
/// # Cancel safety
/// Cancelling drops what was read.
pub(super) async fn read<B>(body: &mut B, expected: &Expected, permit: &mut Permit) -> Result<Bytes, ReadError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    timeout(WHOLE_LIMIT, read_parts(body, expected, permit)).await.unwrap_or(Err(ReadError::Stalled))
}

async fn read_parts<B>(body: &mut B, expected: &Expected, permit: &mut Permit) -> Result<Bytes, ReadError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut length = checked_length(body.size_hint().exact(), expected.limit, permit)?;
    let Some(mut first) = next_part(body).await? else { return Ok(Bytes::new()) };
    permit.grow(first.len()).map_err(ReadError::Overloaded)?;
    let mut parts = Vec::new();
    loop {
        let begin = if parts.is_empty() { &*first } else { &*parts };
        if length.is_none() {
            length = checked_length((expected.announced)(begin), expected.limit, permit)?;
        }
        let next = next_part(body).await?;
        let len = begin.len().saturating_add(next.as_ref().map_or(0, Bytes::len));
        if len > expected.limit {
            return Err(ReadError::TooLarge { limit: expected.limit });
        }
        let Some(part) = next else { break };
        if parts.is_empty() {
            append(&mut parts, &std::mem::take(&mut first), length.unwrap_or(expected.limit), permit)?;
        }
        append(&mut parts, &part, length.unwrap_or(expected.limit), permit)?;
    }
    Ok(if parts.is_empty() { first } else { Bytes::from(parts) })
}

/// Returns the next data of the body; trailers are ignored.
async fn next_part<B>(body: &mut B) -> Result<Option<Bytes>, ReadError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    while !body.is_end_stream() {
        match timeout(IDLE_LIMIT, body.frame()).await {
            Err(_) => return Err(ReadError::Stalled),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(ReadError::Broken(error.to_string())),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
    Ok(None)
}

/// Returns a length that was told, where it could be taken.
fn checked_length(told: Option<u64>, limit: usize, permit: &Permit) -> Result<Option<usize>, ReadError> {
    let Some(told) = told else { return Ok(None) };
    let Some(length) = usize::try_from(told).ok().filter(|&length| length <= limit) else {
        return Err(ReadError::TooLarge { limit });
    };
    if permit.has_room_for(told) { Ok(Some(length)) } else { Err(ReadError::Overloaded(Overloaded)) }
}

/// Appends a part to a body of at most `most` bytes, asking for memory first.
///
/// The capacity doubles, so a half-sent body never holds more than twice its bytes.
fn append(whole: &mut Vec<u8>, part: &[u8], most: usize, permit: &mut Permit) -> Result<(), ReadError> {
    let needed = whole.len().saturating_add(part.len());
    if needed > whole.capacity() {
        let doubled = whole.capacity().saturating_mul(2).max(FIRST_CAPACITY);
        let capacity = doubled.min(most).max(needed);
        permit.grow(capacity - whole.capacity()).map_err(ReadError::Overloaded)?;
        whole.reserve_exact(capacity - whole.len());
    }
    whole.extend_from_slice(part);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use futures::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::super::admission::Budget;
    use super::*;

    /// The first byte tells the length of the whole.
    const EXPECTED: Expected = Expected { limit: 10, announced: |begin| begin.first().map(|&len| u64::from(len)) };

    /// Reads these parts within a budget of `budget` bytes, and tells how many bytes were held.
    async fn read_all(parts: &[&'static [u8]], budget: u64) -> (Result<Bytes, ReadError>, u64) {
        let frames: VecDeque<_> =
            parts.iter().map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from(*part)))).collect();
        let (budget, limit) = (Budget::default(), budget);
        let mut permit = budget.permit(limit);
        let result = read(&mut StreamBody::new(stream::iter(frames)), &EXPECTED, &mut permit).await;
        (result, budget.used())
    }

    #[tokio::test]
    async fn parts_are_put_together_and_counted() {
        assert_eq!(read_all(&[], 100).await, (Ok(Bytes::new()), 0));
        assert_eq!(read_all(&[b"\x03ab"], 100).await, (Ok(Bytes::from("\x03ab")), 3));
        let (whole, held) = read_all(&[b"\x06ab", b"", b"c", b"de"], 100).await;
        assert_eq!((whole, held), (Ok(Bytes::from("\x06abcde")), 3 + 6));
    }

    #[tokio::test]
    async fn too_large_is_seen_in_what_is_announced_and_in_what_comes() {
        let too_large = Err(ReadError::TooLarge { limit: 10 });
        assert_eq!(read_all(&[b"\x0b"], 100).await.0, too_large);
        assert_eq!(read_all(&[b"\x01", b"0123456789"], 100).await.0, too_large);
        assert_eq!(read_all(&[b"\x010123456789"], 100).await.0, too_large);
    }

    #[tokio::test]
    async fn what_does_not_fit_now_is_told_apart() {
        let overloaded = Err(ReadError::Overloaded(Overloaded));
        assert_eq!(read_all(&[b"\x01abc"], 3).await.0, overloaded);
        assert_eq!(read_all(&[b"\x08", b"x"], 7).await.0, overloaded);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_given_up() {
        let mut body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let mut permit = Budget::default().permit(100);
        assert_eq!(read(&mut body, &EXPECTED, &mut permit).await, Err(ReadError::Stalled));
    }
}
