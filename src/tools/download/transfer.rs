//! Receiving: one request after the other, each from where the last one was cut.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use indicatif::ProgressBar;
use kube::client::Body;
use thiserror::Error;
use tokio::time::{sleep, timeout};

use super::part::Part;
use crate::api::access::BUNDLE_MEDIA_TYPE;
use crate::telemetry::chain;
use crate::tools::cluster::door::{Door, IDLE_LIMIT};
use crate::tools::cluster::refusal::{Advice, Refusal};
use crate::tools::exit::{ExitCode, Failure};
use crate::tools::output::say;

/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// The pause after the first cut; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Tries before anything has come: an address that never answers is told soon.
const FIRST_TRIES: u32 = 3;

/// What to do where a download is refused.
const ADVICE: Advice =
    Advice { role: "tracecapture-support", missing: "`kubectl tracecapture list -A` shows every capture" };

/// A download on its way.
pub(super) struct Transfer<'a> {
    pub(super) door: Door<'a>,
    /// Path and query of the bundle at the gateway.
    pub(super) path: String,
    pub(super) part: Part,
    pub(super) bar: ProgressBar,
    /// Tries without progress.
    pub(super) retries: u32,
    /// The line that goes on with it.
    pub(super) again: &'a str,
}

/// How a try ended that did not reach the end.
enum End {
    /// Another try may reach it.
    Cut { cause: String, pause: Option<Duration> },
    /// No other try does.
    Failed(Failure),
}

/// Why there is no download.
#[derive(Debug, Error)]
enum TransferError {
    #[error("the download was cut at byte {at}: {cause}")]
    Cut { at: u64, cause: String },
    #[error("cannot download: {0}")]
    Refused(String),
    #[error("the snapshot that was begun is gone: {0}")]
    Gone(String),
    #[error("the answer makes no sense: {0}")]
    Answer(&'static str),
    #[error("{at} answered with {media_type}, not with a capture ({BUNDLE_MEDIA_TYPE})")]
    Stranger { at: String, media_type: String },
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Transfer<'_> {
    /// Receives until everything is there.
    ///
    /// # Errors
    /// A [`Failure`] that says why no further try is made; what was received stays.
    ///
    /// # Cancel safety
    /// Safe: what was received is in the part.
    pub(super) async fn run(&mut self) -> Result<(), Failure> {
        let (mut tries, mut has_begun) = (0, false);
        loop {
            let before = self.part.len();
            let (cause, pause) = match self.attempt().await {
                Ok(()) => return Ok(()),
                Err(End::Failed(failure)) => return Err(failure),
                Err(End::Cut { cause, pause }) => (cause, pause),
            };
            if self.part.len() > before {
                (tries, has_begun) = (0, true);
            }
            tries += 1;
            if tries > if has_begun { self.retries } else { self.retries.min(FIRST_TRIES) } {
                return Err(self.gave_up(cause));
            }
            let pause = pause.unwrap_or_else(|| FIRST_PAUSE.saturating_mul(1 << tries.min(10)).min(MAX_PAUSE));
            let at = self.part.len();
            self.bar.suspend(|| say(&format!("cut at byte {at}, trying again: {cause}")));
            sleep(pause).await;
        }
    }

    fn gave_up(&self, cause: String) -> Failure {
        let at = self.part.len();
        let code = if at > 0 { ExitCode::Partial } else { ExitCode::Failed };
        let mut hint = format!("`{}` goes on where it was cut", self.again);
        if at > 0 {
            // What cannot be read where it is stored breaks every try of one snapshot, and is left out of the next.
            hint.push_str("; if it is always cut at the same byte, add --restart to get what can be read");
        }
        Failure::new(code, TransferError::Cut { at, cause }).with_hint(hint)
    }

    /// Asks once, and receives as much as comes.
    async fn attempt(&mut self) -> Result<(), End> {
        if self.part.tag().is_some() && self.part.total() == Some(self.part.len()) {
            return Ok(());
        }
        let response = match timeout(IDLE_LIMIT, self.door.ask(self.request()?)).await {
            Ok(answer) => answer?.map_err(|error| cut(chain(&error)))?,
            Err(_) => return Err(cut("no answer within a minute".to_owned())),
        };
        match response.status() {
            StatusCode::OK => self.whole(response.headers())?,
            StatusCode::PARTIAL_CONTENT => self.rest(response.headers())?,
            _ => return Err(self.refused(response).await),
        }
        self.receive(response.into_body()).await
    }

    /// Asks for the bundle, from a byte on where there is a tag to continue.
    fn request(&self) -> Result<Request<Body>, Failure> {
        let mut request = Request::get(&self.path);
        if let Some(tag) = self.part.tag() {
            request = request.header(RANGE, format!("bytes={}-", self.part.len())).header(IF_RANGE, tag);
        }
        request.body(Body::empty()).map_err(|error| Failure::new(ExitCode::Failed, error))
    }

    /// Takes up an answer with everything.
    fn whole(&mut self, headers: &HeaderMap) -> Result<(), End> {
        self.check_sender(headers)?;
        let etag = text(headers, &ETAG).filter(|tag| !tag.starts_with("W/"));
        if self.part.tag().is_some_and(|tag| etag != Some(tag)) {
            return Err(self.gone("the gateway has another one now").into());
        }
        let total = text(headers, &CONTENT_LENGTH).and_then(|len| len.parse().ok());
        let total = total.ok_or_else(|| failed(TransferError::Answer("it has no length")))?;
        self.part.begin(etag.map(ToOwned::to_owned), total)?;
        Ok(())
    }

    /// Refuses what is no bundle: a proxy, a login page or another server may stand at the address and be content.
    fn check_sender(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let media_type = text(headers, &CONTENT_TYPE).map(|value| value.split(';').next().unwrap_or(value).trim());
        if media_type.is_some_and(|told| told.eq_ignore_ascii_case(BUNDLE_MEDIA_TYPE)) {
            return Ok(());
        }
        let media_type = media_type.map_or_else(|| "no media type".to_owned(), |told| format!("`{told}`"));
        let (at, hint) = match self.door.public() {
            Some(url) => (
                format!("`{url}`"),
                "is the gateway at this address? look at what stands in front of it, or use --via apiserver",
            ),
            None => {
                ("the API server's proxy".to_owned(), "look whether it is the gateway that --gateway-namespace names")
            }
        };
        Err(Failure::new(ExitCode::Failed, TransferError::Stranger { at, media_type }).with_hint(hint))
    }

    /// Takes up an answer with what is missing.
    fn rest(&mut self, headers: &HeaderMap) -> Result<(), End> {
        let tag = text(headers, &ETAG);
        if tag.is_some() && tag != self.part.tag() {
            return Err(self.gone("the gateway continues another one").into());
        }
        // Such as `bytes 100-199/200`.
        let range = text(headers, &CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes "));
        let parts = range.and_then(|range| range.split_once('/')).and_then(|(range, total)| {
            Some((range.split_once('-')?.0.parse::<u64>().ok()?, total.parse::<u64>().ok()?))
        });
        if parts != self.part.total().map(|total| (self.part.len(), total)) {
            return Err(failed(TransferError::Answer("it holds other bytes than were asked for")).into());
        }
        Ok(())
    }

    async fn receive(&mut self, mut body: Body) -> Result<(), End> {
        let total = self.part.total().unwrap_or_default();
        self.bar.set_length(total);
        self.bar.set_position(self.part.len());
        self.bar.reset_eta();
        loop {
            let frame = match timeout(IDLE_LIMIT, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(cut(chain(&error))),
                Ok(None) => break,
                Err(_) => return Err(cut("nothing came for a minute".to_owned())),
            };
            let Ok(bytes) = frame.into_data() else { continue };
            if bytes.len() as u64 > total.saturating_sub(self.part.len()) {
                return Err(failed(TransferError::Answer("it is longer than it said")).into());
            }
            self.part.append(&bytes)?;
            self.bar.set_position(self.part.len());
        }
        if self.part.len() < total {
            return Err(cut("the connection ended early".to_owned()));
        }
        Ok(())
    }

    /// Tells what an answer without a bundle means.
    async fn refused(&self, response: Response<Body>) -> End {
        let refusal = Refusal::read(response).await;
        let why = refusal.why.clone();
        match refusal.status.as_u16() {
            429 | 500 | 502 | 503 | 504 => End::Cut { cause: why, pause: refusal.pause.map(|p| p.min(MAX_PAUSE)) },
            410 | 412 | 416 => self.gone(&why).into(),
            _ => refusal.end(TransferError::Refused(why), &ADVICE).into(),
        }
    }

    fn gone(&self, why: &str) -> Failure {
        Failure::new(ExitCode::Gone, TransferError::Gone(why.to_owned()))
            .with_hint(format!("`{} --restart` begins anew with what is there now", self.again))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn failed(error: TransferError) -> Failure {
    Failure::new(ExitCode::Failed, error)
}

fn cut(cause: String) -> End {
    End::Cut { cause, pause: None }
}
