//! Downloads of bundles and chunks: which snapshot, which of its bytes.

use std::ops::Range;
use std::sync::Arc;

use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, ETAG, LINK,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};

use super::CaptureSource;
use super::access::Principal;
use super::app::App;
use super::conditions::{Conditions, Tags, Unsatisfiable};
use super::downloads::{Key, Unmatched};
use super::problem::Problem;
use super::stream::{Download, Record, WebBody};
use crate::api::access::BUNDLE_MEDIA_TYPE;
use crate::archive::bundle::{Bundle, BundleError, BundleReader, Bundles};
use crate::archive::snapshot::{Scope, Token};
use crate::ids::CaptureId;

/// A request for a download, read.
pub(super) struct Asked {
    pub(super) principal: Principal,
    pub(super) source: CaptureSource,
    pub(super) scope: Scope,
    /// The snapshot that the query names.
    pub(super) snapshot: Option<Token>,
    pub(super) conditions: Conditions,
    pub(super) method: Method,
    pub(super) uri: Uri,
}

/// Which snapshot to serve, and whether the range asked for applies to it.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// What is there now.
    Fresh,
    /// One that was given out before.
    Given(Token),
}

impl App {
    /// Answers a request for a download.
    pub(super) async fn download(self: &Arc<Self>, asked: Asked) -> Result<Response<WebBody>, Problem> {
        let key = Key {
            principal: asked.principal.clone(),
            capture: asked.source.bundles.capture().clone(),
            scope: asked.scope.clone(),
        };
        let choice = self.choose(&asked, &key).await?;
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| Problem::busy())?;
        let (bundles, scope) = (Arc::clone(&asked.source.bundles), asked.scope.clone());
        let bundle = self.shutdown.blocking(move || open(&bundles, &scope, &choice)).await?;
        let token = bundle.snapshot().token().cloned();
        let tag = token.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut response = Response::new(WebBody::empty());
        describe(response.headers_mut(), &asked, &bundle, &tag);
        let Some(range) = send(&asked, &tag, bundle.content_len(), &mut response)? else { return Ok(response) };
        let record = Record {
            key,
            token,
            range,
            content_len: bundle.content_len(),
            sent: 0,
            failed: false,
            downloads: Arc::clone(&self.downloads),
            metrics: self.context.metrics.clone(),
            pin: Some(asked.source.pins.hold(bundle.snapshot().chunk_names().cloned())),
            _permit: permit,
        };
        *response.body_mut() = self.stream(&asked.source.bundles, bundle, record);
        Ok(response)
    }

    /// Decides which snapshot a request is about.
    async fn choose(&self, asked: &Asked, key: &Key) -> Result<Choice, Problem> {
        let Conditions { range, if_range, if_match, .. } = &asked.conditions;
        if let Some(token) = &asked.snapshot {
            return Ok(Choice::Given(token.clone()));
        }
        // Our entity tags are snapshots, so what a tag names can be served for as long as it exists.
        if let Some(token) = if_match.as_ref().and_then(Tags::snapshot) {
            return Ok(Choice::Given(token));
        }
        match (range, if_range) {
            (Some(_), Some(tag)) => Ok(tag.snapshot().map_or(Choice::Fresh, Choice::Given)),
            (Some(range), None) if asked.method == Method::GET => match range.continues_at() {
                None => Ok(Choice::Fresh),
                Some(position) => self.sent_alone(key, position).await.map(Choice::Given),
            },
            _ => Ok(Choice::Fresh),
        }
    }

    /// Finds the snapshot that alone was ever sent up to `position`.
    async fn sent_alone(&self, key: &Key, position: u64) -> Result<Token, Problem> {
        let is_only_sender = Arc::clone(&self.context.is_only_sender);
        let found = if self.shutdown.blocking(move || is_only_sender()).await {
            self.downloads.find(key, position)
        } else {
            Err(Unmatched::Unrecorded)
        };
        found.map_err(|unmatched| ambiguous(position, unmatched))
    }

    /// Begins to read a bundle; the body gets what was read.
    fn stream(self: &Arc<Self>, bundles: &Arc<Bundles>, bundle: Bundle, record: Record) -> WebBody {
        let reader = BundleReader::new(Arc::clone(bundles), Arc::new(bundle));
        let (download, fill) = Download::new(reader, record, self.shutdown.clone());
        self.shutdown.spawn("download", fill);
        WebBody::Stream(Box::new(download))
    }
}

fn open(bundles: &Bundles, scope: &Scope, choice: &Choice) -> Result<Bundle, BundleError> {
    let snapshot = match choice {
        Choice::Fresh => bundles.freeze(scope)?,
        Choice::Given(token) => bundles.resolve(token, scope)?,
    };
    bundles.lay_out(snapshot)
}

/// Sets status and lengths; returns the bytes to send, `None` where the answer has no body.
fn send(
    asked: &Asked,
    tag: &str,
    content_len: u64,
    response: &mut Response<WebBody>,
) -> Result<Option<Range<u64>>, Problem> {
    let Conditions { if_match, if_none_match, .. } = &asked.conditions;
    if if_match.as_ref().is_some_and(|tags| !tags.match_strongly(tag)) {
        return Err(precondition("`If-Match` names none of the snapshot's entity tags"));
    }
    if if_none_match.as_ref().is_some_and(|tags| tags.match_weakly(tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(None);
    }
    let part = part(asked, tag, content_len).map_err(|Unsatisfiable| unsatisfiable(content_len))?;
    if let Some(range) = &part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let text = format!("bytes {}-{}/{content_len}", range.start, range.end.saturating_sub(1));
        put(response.headers_mut(), CONTENT_RANGE, &text);
    }
    let range = part.unwrap_or(0..content_len);
    put(response.headers_mut(), CONTENT_LENGTH, &(range.end - range.start).to_string());
    Ok((asked.method != Method::HEAD).then_some(range))
}

/// Returns the range to send; `None` for everything.
fn part(asked: &Asked, tag: &str, content_len: u64) -> Result<Option<Range<u64>>, Unsatisfiable> {
    let Conditions { range, if_range, .. } = &asked.conditions;
    // Ranges are for GET alone; and without a tag nobody could continue them.
    let applies =
        asked.method == Method::GET && !tag.is_empty() && if_range.as_ref().is_none_or(|given| given.names(tag));
    match range.filter(|_| applies) {
        Some(wanted) => wanted.of(content_len).map(Some),
        None => Ok(None),
    }
}

/// Sets the headers that every answer about a download has.
fn describe(headers: &mut HeaderMap, asked: &Asked, bundle: &Bundle, tag: &str) {
    put(headers, CONTENT_TYPE, BUNDLE_MEDIA_TYPE);
    let name = file_name(asked.source.bundles.capture(), &asked.scope, bundle);
    put(headers, CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\""));
    if tag.is_empty() {
        put(headers, ACCEPT_RANGES, "none");
        return;
    }
    put(headers, ACCEPT_RANGES, "bytes");
    put(headers, ETAG, &format!("\"{tag}\""));
    let query = asked.uri.query().unwrap_or_default();
    let others = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("snapshot="));
    let query: Vec<_> = others.map(ToOwned::to_owned).chain([format!("snapshot={tag}")]).collect();
    let location = format!("{}?{}", asked.uri.path(), query.join("&"));
    put(headers, CONTENT_LOCATION, &location);
    put(headers, LINK, &format!("<{location}>; rel=\"canonical\""));
}

/// Names the file on the client's disk: capture, time of the newest chunk, digest; or the chunk.
fn file_name(capture: &CaptureId, scope: &Scope, bundle: &Bundle) -> String {
    if let Scope::Chunk(chunk) = scope {
        return format!("{chunk}.tar");
    }
    let newest = bundle.snapshot().chunk_names().last().map(ToString::to_string);
    let time = newest.as_deref().and_then(|stem| stem.split('_').next()).unwrap_or("empty");
    let digest = bundle.snapshot().short_digest();
    format!("{}_{}_{time}_{digest}.tar", capture.namespace(), capture.name())
}

/// Sets a header whose value is made of checked names, numbers and base64.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // The path and query were taken from a request that the HTTP parser let pass.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn precondition(detail: &str) -> Problem {
    Problem::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", detail)
}

fn ambiguous(position: u64, unmatched: Unmatched) -> Problem {
    let what = match unmatched {
        Unmatched::None => "nothing of this was sent that far",
        Unmatched::Several => "several snapshots of this were sent that far",
        Unmatched::Unrecorded => "it may have been begun at another process, before a restart for instance",
    };
    let detail = format!(
        "cannot tell which snapshot to continue at byte {position}: {what}; repeat the request with `snapshot=TOKEN` in its \
         query (the token is `snapshot` in the manifest that a bundle begins with, and in the `Content-Location` of its \
         first response), or start anew without `Range`"
    );
    Problem::new(StatusCode::PRECONDITION_FAILED, "SnapshotUnknown", detail)
}

fn unsatisfiable(content_len: u64) -> Problem {
    let detail = format!("the range begins behind the last of {content_len} bytes");
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "RangeNotSatisfiable", detail);
    match HeaderValue::from_str(&format!("bytes */{content_len}")) {
        Ok(value) => problem.with(CONTENT_RANGE, value),
        Err(_) => problem,
    }
}
