//! What a signed link opens: a page, and the bundle behind it.
//!
//! A link's bundle never changes: its first download pins the snapshot, in the record that all replicas read, and every
//! further request gets bytes of that one. So `curl -C -`, which names no snapshot, goes on soundly, whichever replica
//! answers and whatever was restarted in between. Where retention has removed a part of it the answer is 410.
//!
//! The page asks nothing of a keeper, and neither does `HEAD`: mail scanners and previews cost nothing.

use http::header::{
    ACCEPT, ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, ETAG, HOST, LINK, RANGE,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::App;
use super::audit::{Access, Door};
use super::body::GatewayBody;
use super::captures::Known;
use super::door::{Asked, not_ready};
use super::keeper::Question;
use super::page;
use super::places::Holder;
use super::problem::Problem;
use super::proxy;
use super::records::revoked;
use super::route::Resource;
use crate::api::access::{BUNDLE_MEDIA_TYPE, OPENED_PATH};
use crate::api::link::{Link, Refused};
use crate::installation::link_record::{Pin, Record};

/// A link that holds.
struct Opened {
    link: Link,
    record: Record,
    known: Known,
}

impl App {
    /// Answers with the page of a link; to a browser also where it does not hold.
    pub(super) async fn page(
        &self,
        asked: &Asked,
        text: &str,
        access: &mut Access,
    ) -> Result<Response<GatewayBody>, Problem> {
        only_get(asked)?;
        let opened = match self.opened(text, access).await {
            Ok(opened) => opened,
            Err(problem) if wants_html(asked.head.headers()) => {
                access.reason = problem.reason;
                return Ok(page::refusal(&problem));
            }
            Err(problem) => return Err(problem),
        };
        let Opened { record, known, .. } = &opened;
        let shown = page::Shown {
            capture: &known.id,
            bytes: record.pin.as_ref().map(|pin| pin.bytes),
            about: known.size.filter(|_| record.scope.names().is_empty()),
            expires: record.expires,
            id: opened.link.id,
            link: text,
            url: self.base(asked.head.headers()).map(|base| format!("{base}{OPENED_PATH}{text}/bundle.tar")),
        };
        Ok(page::show(&shown))
    }

    /// Answers with the bundle that a link opens.
    pub(super) async fn open(
        &self,
        asked: &Asked,
        text: &str,
        access: &mut Access,
    ) -> Result<Response<GatewayBody>, Problem> {
        only_get(asked)?;
        let Opened { link, record, known } = self.opened(text, access).await?;
        if asked.head.uri().query().is_some_and(selects) {
            // Whoever believes that it narrows the link down would pass on too much.
            return Err(Problem::bad_request("a link takes no filters: what it opens was chosen when it was made"));
        }
        if *asked.head.method() == Method::HEAD {
            return Ok(announced(record.pin.as_ref()));
        }
        let place = self.streams.download(Holder::Link(link.id))?;
        let pin = match record.pin {
            Some(pin) => {
                self.records.note_use(&[link.id]).await;
                pin
            }
            None => match self.pin(&link, &known).await? {
                Ok(pin) => pin,
                Err(refusal) => return Ok(refusal),
            },
        };
        let mut headers = proxy::asked(asked.head.headers());
        if pin.snapshot.is_none() {
            headers.clear();
        }
        let query =
            pin.snapshot.as_deref().map_or_else(|| link.scope.query(), |snapshot| link.scope.query_in(snapshot));
        let path = Resource::Bundle.path(&known.id);
        let question = Question { capture: &known.id, uid: &known.uid, method: &Method::GET, path, query, headers };
        let mut response = self.pass(question, place, access).await?;
        if response.status() == StatusCode::GONE {
            let detail = "retention has removed a part of what this link opens: ask for another link";
            return Err(Problem::new(StatusCode::GONE, "SnapshotGone", detail));
        }
        // They name a place that takes a token.
        for name in [CONTENT_LOCATION, LINK] {
            response.headers_mut().remove(name);
        }
        Ok(response)
    }

    /// Checks a link: its signature, its end, its record, its capture.
    async fn opened(&self, text: &str, access: &mut Access) -> Result<Opened, Problem> {
        let link = match self.link_keys.load().verify(text, self.clock.now()) {
            Ok(link) => link,
            Err(Refused::Unknown) => return Err(Problem::not_found()),
            Err(Refused::Expired(id)) => {
                access.by(Door::Link, &id.prefix());
                let detail = "this link has expired: ask for another one";
                return Err(Problem::new(StatusCode::GONE, "LinkExpired", detail));
            }
        };
        access.by(Door::Link, &link.id.prefix());
        access.filters = link.scope.names();
        let record = self.records.find(link.id).await?.filter(|record| !record.revoked).ok_or_else(revoked)?;
        let known = match self.captures.find_uid(&link.uid) {
            Some(known) => known,
            None if self.captures.is_complete() => {
                let detail = "the capture of this link was deleted";
                return Err(Problem::new(StatusCode::GONE, "CaptureDeleted", detail));
            }
            None => return Err(not_ready()),
        };
        access.capture = Some(known.id.clone());
        Ok(Opened { link, record, known })
    }

    /// Pins a link to what its capture holds now, or to what another replica pinned it to; else returns why the keeper refuses.
    ///
    /// Nothing is sent before the pin is recorded: bytes of a snapshot that nobody remembers could be gone on with wrongly.
    async fn pin(&self, link: &Link, known: &Known) -> Result<Result<Pin, Response<GatewayBody>>, Problem> {
        let (path, query) = (Resource::Bundle.path(&known.id), link.scope.query());
        // One byte tells the snapshot and its length; where there is no snapshot the whole is announced, and not read.
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-0"))]);
        let question = Question { capture: &known.id, uid: &known.uid, method: &Method::GET, path, query, headers };
        let (head, from) = self.ask(&question).await?;
        if !head.status.is_success() {
            return self.refused(head, from).await.map(Err);
        }
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let snapshot = text(ETAG).map(|tag| tag.trim_matches('"').to_owned());
        let whole = match snapshot {
            Some(_) => text(CONTENT_RANGE).and_then(|range| range.rsplit('/').next()),
            None => text(CONTENT_LENGTH),
        };
        let Some(bytes) = whole.and_then(|bytes| bytes.parse().ok()) else {
            return Err(Problem::unavailable("KeeperRefuses", "the keeper's answer cannot be read: try again later"));
        };
        self.records.pin(link.id, &Pin { snapshot, bytes }).await.map(Ok)
    }

    /// Returns where this gateway is reached: as it was told, else as the client says.
    fn base(&self, headers: &HeaderMap) -> Option<String> {
        if let Some(base) = &self.options.public_url {
            return Some(base.clone());
        }
        let authority: Authority = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        let scheme = if self.has_tls { "https" } else { "http" };
        authority.as_str().chars().all(is_plain).then(|| format!("{scheme}://{authority}"))
    }
}

/// Tells whether a query asks for a part; other members, such as those that mail programs add, say nothing.
fn selects(query: &str) -> bool {
    let names = ["since", "until", "service", "traceId", "snapshot"];
    query.split('&').any(|member| names.contains(&member.split('=').next().unwrap_or_default()))
}

/// Answers `HEAD` by what is recorded.
fn announced(pin: Option<&Pin>) -> Response<GatewayBody> {
    let mut response = Response::new(GatewayBody::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(BUNDLE_MEDIA_TYPE));
    let is_fixed = pin.is_none_or(|pin| pin.snapshot.is_some());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static(if is_fixed { "bytes" } else { "none" }));
    if let Some(Pin { snapshot, bytes }) = pin {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(*bytes));
        let tag = snapshot.as_ref().and_then(|snapshot| HeaderValue::from_str(&format!("\"{snapshot}\"")).ok());
        headers.extend(tag.map(|tag| (ETAG, tag)));
    }
    response
}

fn only_get(asked: &Asked) -> Result<(), Problem> {
    let is_read = matches!(*asked.head.method(), Method::GET | Method::HEAD);
    if is_read { Ok(()) } else { Err(Problem::method_not_allowed("GET, HEAD")) }
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("text/html"))
}
