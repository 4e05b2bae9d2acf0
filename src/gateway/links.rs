//! Making, listing and revoking links.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::info;

use super::App;
use super::audit::Access;
use super::body::GatewayBody;
use super::door::{Asked, json_response};
use super::problem::Problem;
use super::reviews::Identity;
use super::route::permission;
use crate::api::link::{LinkId, LinkScope, MAX_SERVICE_LEN};
use crate::ids::{CaptureId, TraceId};
use crate::installation::link_record::Record;

/// Bytes of a request for a link.
const BODY_LIMIT: usize = 16 << 10;

/// How long its body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The life of a link that asks for none.
const DEFAULT_TTL: u64 = 3600;

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Wanted {
    ttl_seconds: Option<u64>,
    scope: LinkScope,
}

impl App {
    /// Makes a link of a capture, or lists its links.
    pub(super) async fn links_of<B>(
        &self,
        asked: &Asked,
        body: B,
        id: CaptureId,
        access: &mut Access,
    ) -> Result<Response<GatewayBody>, Problem>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        access.capture = Some(id.clone());
        let who = self.identify(asked, Some(&id), access).await?;
        match *asked.head.method() {
            Method::POST => {
                self.authorise(&who, permission(&id, "create", "link")).await?;
                let wanted = self.wanted(body).await?;
                self.make(&who, &id, wanted, access).await
            }
            Method::GET | Method::HEAD => {
                self.authorise(&who, permission(&id, "list", "link")).await?;
                let known = self.find(&id)?;
                let view = self.records.view_anew().await?;
                let now = self.clock.now();
                let of_capture = view.iter().filter(|(_, record)| record.uid == known.uid && now < record.expires);
                let links: Vec<Value> = of_capture.map(|(id, record)| show(*id, record)).collect();
                Ok(json_response(StatusCode::OK, &json!({ "links": links })))
            }
            _ => Err(Problem::method_not_allowed("GET, HEAD, POST")),
        }
    }

    /// Reads what is asked for; an empty body asks for the defaults.
    async fn wanted<B>(&self, body: B) -> Result<Wanted, Problem>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let read = timeout(BODY_TIME, Limited::new(body, BODY_LIMIT).collect()).await;
        let text = read.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes);
        let text = text.ok_or_else(|| Problem::bad_request("the body is cut, too slow, or longer than 16 KiB"))?;
        if text.is_empty() {
            return Ok(Wanted::default());
        }
        let wanted: Wanted = serde_json::from_slice(&text).map_err(|error| {
            Problem::bad_request(format!("the body is not `{{\"ttlSeconds\": …, \"scope\": …}}`: {error}"))
        })?;
        let max = self.options.max_link_ttl.as_secs();
        if !(1..=max).contains(&wanted.ttl_seconds.unwrap_or(1)) {
            return Err(Problem::bad_request(format!("`ttlSeconds` is from 1 to {max}")));
        }
        let LinkScope { service, trace_id, .. } = &wanted.scope;
        if service.as_ref().is_some_and(|service| service.is_empty() || service.len() > MAX_SERVICE_LEN) {
            return Err(Problem::bad_request(format!("`scope.service` has 1 to {MAX_SERVICE_LEN} bytes")));
        }
        if trace_id.as_ref().is_some_and(|id| id.parse::<TraceId>().is_err()) {
            return Err(Problem::bad_request("`scope.traceId` has 32 hexadecimal digits, not all zero"));
        }
        Ok(wanted)
    }

    /// Makes a link; its text is in this answer and nowhere else.
    async fn make(
        &self,
        who: &Arc<Identity>,
        capture: &CaptureId,
        wanted: Wanted,
        access: &mut Access,
    ) -> Result<Response<GatewayBody>, Problem> {
        let known = self.find(capture)?;
        access.filters = wanted.scope.names();
        let max = self.options.max_link_ttl.as_secs();
        let ttl = wanted.ttl_seconds.unwrap_or(DEFAULT_TTL).min(max);
        let no_random = |_| Problem::unavailable("NoRandom", "the system gives no random numbers: try again later");
        let id = LinkId::draw().map_err(no_random)?;
        let of = (&*capture.to_string(), &*known.uid);
        let record = Record::new(of, who.name(), wanted.scope, self.clock.now(), Duration::from_secs(ttl));
        self.records.add(id, &record).await?;
        let signed = self.link_keys.load().sign(&record.link(id));
        let path = signed.expose_path();
        let expires = record.expires;
        let url = self.options.public_url.as_ref().map(|base| format!("{base}{path}"));
        info!(link = id.prefix(), %capture, by = who.name(), %expires, "made a link");
        let mut answer = show(id, &record);
        if let Value::Object(fields) = &mut answer {
            fields.insert("url".to_owned(), json!(url));
            fields.insert("path".to_owned(), json!(path));
        }
        Ok(json_response(StatusCode::CREATED, &answer))
    }

    /// Revokes a link of a capture.
    pub(super) async fn revoke_of(
        &self,
        asked: &Asked,
        capture: &CaptureId,
        prefix: &str,
        access: &mut Access,
    ) -> Result<Response<GatewayBody>, Problem> {
        access.capture = Some(capture.clone());
        let who = self.identify(asked, Some(capture), access).await?;
        only_delete(asked)?;
        self.authorise(&who, permission(capture, "delete", "link")).await?;
        let name = capture.to_string();
        let (id, _) = self.named(prefix, |record| record.capture == name).await?.ok_or_else(no_link)?;
        self.end(&who, id).await
    }

    /// Revokes a link of whatever capture; the answer is the same where there is none and where the user may not.
    pub(super) async fn revoke(
        &self,
        asked: &Asked,
        prefix: &str,
        access: &mut Access,
    ) -> Result<Response<GatewayBody>, Problem> {
        let who = self.identify(asked, None, access).await?;
        only_delete(asked)?;
        let (id, record) = self.named(prefix, |_| true).await?.ok_or_else(no_link)?;
        let (namespace, name) = record.capture.split_once('/').ok_or_else(no_link)?;
        let capture = CaptureId::new(namespace, name).map_err(|_| no_link())?;
        if !self.may(&who, permission(&capture, "delete", "link")).await? {
            return Err(no_link());
        }
        access.capture = Some(capture);
        self.end(&who, id).await
    }

    async fn end(&self, who: &Arc<Identity>, id: LinkId) -> Result<Response<GatewayBody>, Problem> {
        if !self.records.revoke(id).await? {
            return Err(no_link());
        }
        info!(link = id.prefix(), by = who.name(), "revoked a link");
        Ok(json_response(StatusCode::OK, &json!({ "id": id.prefix(), "revoked": true })))
    }

    /// Finds the one link whose id begins so; none where several do.
    ///
    /// Another replica may have made it a moment ago, so the record is read anew.
    async fn named(
        &self,
        prefix: &str,
        is_meant: impl Fn(&Record) -> bool,
    ) -> Result<Option<(LinkId, Record)>, Problem> {
        let view = self.records.view_anew().await?;
        let mut found = view.into_iter().filter(|(id, record)| id.to_string().starts_with(prefix) && is_meant(record));
        Ok(match (found.next(), found.next()) {
            (Some(found), None) => Some(found),
            _ => None,
        })
    }
}

fn only_delete(asked: &Asked) -> Result<(), Problem> {
    if *asked.head.method() == Method::DELETE { Ok(()) } else { Err(Problem::method_not_allowed("DELETE")) }
}

fn no_link() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "NoSuchLink",
        "there is no such link: `kubectl tracecapture link list NAME` lists them",
    )
}

fn show(id: LinkId, record: &Record) -> Value {
    json!({
        "id": id.prefix(),
        "capture": record.capture,
        "createdBy": record.created_by,
        "created": record.created,
        "expires": record.expires,
        "scope": record.scope,
        "revoked": record.revoked,
        "inStatus": record.in_status,
    })
}
