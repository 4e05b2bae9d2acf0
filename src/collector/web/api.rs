//! From a request to its answer: access, route, resource.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tracing::info;

use super::access::{Denied, Principal, is_cross_origin};
use super::app::App;
use super::conditions::Conditions;
use super::download::Asked;
use super::problem::Problem;
use super::route::{Query, Resource, Route};
use super::stream::WebBody;
use super::{CaptureSource, Custody};
use crate::admin::Endpoint;
use crate::archive::bundle::ListedChunk;
use crate::archive::manifest::TimeRange;
use crate::archive::name::ChunkState;
use crate::archive::snapshot::{Filter, Scope};
use crate::http1::keep_private;
use crate::ids::{CaptureId, TraceId};
use crate::telemetry::metrics::WebLabels;

/// What a bundle's query may hold.
const BUNDLE_QUERY: [&str; 5] = ["since", "until", "service", "traceId", "snapshot"];

impl App {
    /// Answers a request, whatever it is.
    pub(super) async fn respond<B>(self: &Arc<Self>, request: Request<B>) -> Response<WebBody> {
        let (head, _) = request.into_parts();
        let head = Request::from_parts(head, ());
        let route = Route::parse(head.uri().path());
        let label = route.as_ref().map_or("none", Route::label);
        let mut response = match self.answer(&head, route).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        };
        keep_private(response.headers_mut());
        let labels = WebLabels { route: label, status: response.status().as_u16() };
        self.context.metrics.requests.get_or_create(&labels).inc();
        response
    }

    async fn answer(self: &Arc<Self>, head: &Request<()>, route: Option<Route>) -> Result<Response<WebBody>, Problem> {
        // Probes come without a token and by whatever address the node uses; they say nothing.
        match route {
            Some(Route::Live) => return Ok(self.about_process(Endpoint::Live)),
            Some(Route::Ready) => return Ok(self.about_process(Endpoint::Ready)),
            _ => {}
        }
        let admitted = self.context.access.admit(head, self.context.clock.now());
        let principal = admitted.map_err(|denied| self.denied(denied))?;
        match route.ok_or_else(Problem::not_found)? {
            Route::Live | Route::Ready => Err(Problem::not_found()),
            Route::Metrics => {
                only_get(head)?;
                Ok(self.about_process(Endpoint::Metrics))
            }
            Route::Captures => {
                only_get(head)?;
                let captures: Vec<_> = self.context.captures.iter().map(identify).collect();
                Ok(json_response(&json!({ "captures": captures })))
            }
            Route::Capture(id, resource) => {
                let source = self.capture(&id)?;
                let (label, who) = (Route::Capture(id.clone(), resource.clone()).label(), principal.clone());
                let answer = self.resource(head, principal, source, resource).await;
                audit(&who, &id, label, &answer);
                answer
            }
        }
    }

    async fn resource(
        self: &Arc<Self>,
        head: &Request<()>,
        principal: Principal,
        source: CaptureSource,
        resource: Resource,
    ) -> Result<Response<WebBody>, Problem> {
        check_custody(&source, &resource, head.method())?;
        if resource == Resource::Chunks && head.method() == Method::DELETE {
            return self.clear(head, &principal, source).await;
        }
        only_get(head)?;
        let query = head.uri().query().unwrap_or_default();
        let (scope, query) = match resource {
            Resource::Bundle => {
                let query = Query::parse(query, &BUNDLE_QUERY)?;
                (Scope::Bundle(query.filter.clone()), query)
            }
            Resource::Chunk(name) => (Scope::Chunk(name), Query::parse(query, &["snapshot"])?),
            Resource::Manifest => {
                let filter = Query::parse(query, &BUNDLE_QUERY)?;
                return self.manifest(source, filter).await;
            }
            Resource::Trace(id) => {
                let Query { filter, .. } = Query::parse(query, &["since", "until", "service"])?;
                return self.trace(source, Filter { trace_id: Some(id), ..filter }, id).await;
            }
            Resource::Summary => return self.summary(source).await,
            Resource::Chunks => return self.chunks(source).await,
        };
        let (method, uri) = (head.method().clone(), head.uri().clone());
        let conditions = Conditions::of(head.headers());
        let snapshot = query.snapshot;
        self.download(Asked { principal, source, scope, snapshot, conditions, method, uri }).await
    }

    async fn summary(&self, source: CaptureSource) -> Result<Response<WebBody>, Problem> {
        let mut summary = identify(&source);
        let described = self.shutdown.blocking(move || (source.describe)()).await;
        if let (Value::Object(summary), Value::Object(described)) = (&mut summary, described) {
            summary.extend(described);
        }
        Ok(json_response(&summary))
    }

    async fn chunks(&self, source: CaptureSource) -> Result<Response<WebBody>, Problem> {
        let chunks = self.shutdown.blocking(move || source.bundles.chunks()).await?;
        Ok(json_response(&json!({ "chunks": chunks.iter().map(show).collect::<Vec<_>>() })))
    }

    async fn manifest(&self, source: CaptureSource, query: Query) -> Result<Response<WebBody>, Problem> {
        let Query { filter, snapshot, .. } = query;
        let made = self.shutdown.blocking(move || {
            let scope = Scope::Bundle(filter);
            let snapshot = match &snapshot {
                Some(token) => source.bundles.resolve(token, &scope)?,
                None => source.bundles.freeze(&scope)?,
            };
            source.bundles.lay_out(snapshot)
        });
        Ok(json_bytes(made.await?.manifest().to_vec()))
    }

    async fn trace(&self, source: CaptureSource, filter: Filter, id: TraceId) -> Result<Response<WebBody>, Problem> {
        let _permit = self.permits.try_acquire().map_err(|_| Problem::busy())?;
        let found = self.shutdown.blocking(move || {
            let snapshot = source.bundles.freeze(&Scope::Bundle(filter.clone()))?;
            source.bundles.trace_json(&snapshot, &filter)
        });
        let missing = || Problem::new(StatusCode::NOT_FOUND, "NoSuchTrace", format!("no span of trace {id} is stored"));
        Ok(json_bytes(found.await?.ok_or_else(missing)?))
    }

    async fn clear(
        &self,
        head: &Request<()>,
        principal: &Principal,
        source: CaptureSource,
    ) -> Result<Response<WebBody>, Problem> {
        if is_cross_origin(head.uri(), head.headers()) {
            let detail = "a page of another origin may not change anything here";
            return Err(Problem::new(StatusCode::FORBIDDEN, "CrossOrigin", detail));
        }
        let before = Query::parse(head.uri().query().unwrap_or_default(), &["before"])?.before;
        let before = before.ok_or_else(|| {
            Problem::bad_request("`before` is missing: everything captured before that time is removed")
        })?;
        let capture = source.bundles.capture().clone();
        let cleared = self.shutdown.blocking(move || (source.is_stopped)().then(|| (source.clear)(before))).await;
        let running = || {
            let detail = "a running capture is not cleared: set `state: Stopped` first";
            Problem::new(StatusCode::CONFLICT, "CaptureRunning", detail)
        };
        let cleared = cleared.ok_or_else(running)?.map_err(|error| {
            tracing::error!(error = %crate::telemetry::chain(&error), "cannot clear a capture");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ClearFailed",
                "cannot clear the capture: see the log, then try again",
            )
        })?;
        let super::Cleared { chunks, bytes } = cleared;
        info!(target: "audit", principal = principal.0, capture = %capture, %before, chunks, bytes, "capture cleared");
        Ok(json_response(&json!({ "deletedChunks": chunks, "deletedBytes": bytes })))
    }

    fn about_process(&self, endpoint: Endpoint) -> Response<WebBody> {
        self.context.admin.answer(endpoint).map(|text| WebBody::full(Bytes::from(text)))
    }

    fn capture(&self, id: &CaptureId) -> Result<CaptureSource, Problem> {
        let found = self.context.captures.iter().find(|source| source.bundles.capture() == id);
        found.cloned().ok_or_else(Problem::not_found)
    }

    fn denied(&self, denied: Denied) -> Problem {
        let (status, reason) = match denied {
            Denied::UnknownHost => (StatusCode::MISDIRECTED_REQUEST, "UnknownHost"),
            Denied::OtherRequest => (StatusCode::FORBIDDEN, "GrantForOther"),
            Denied::NoToken { .. } | Denied::NoGrant | Denied::Refused(_) => {
                self.context.metrics.unauthenticated.inc();
                (StatusCode::UNAUTHORIZED, "Unauthenticated")
            }
        };
        let problem = Problem::new(status, reason, denied.to_string());
        match status {
            StatusCode::UNAUTHORIZED => problem.with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            _ => problem,
        }
    }
}

/// Refuses what is in other hands than ours, and spans where the capture hands none out.
fn check_custody(source: &CaptureSource, resource: &Resource, method: &Method) -> Result<(), Problem> {
    let holds_spans = match resource {
        Resource::Chunks if method == Method::DELETE => false,
        Resource::Summary | Resource::Chunks => return Ok(()),
        Resource::Bundle | Resource::Manifest | Resource::Chunk(_) | Resource::Trace(_) => true,
    };
    match (source.custody)() {
        Custody::Disabled if holds_spans => {
            let detail = "downloads of this capture are off: its owner can set `spec.download.enabled: true`";
            Err(Problem::new(StatusCode::FORBIDDEN, "DownloadsDisabled", detail))
        }
        Custody::Elsewhere => {
            let detail = "this pod only writes: ask the pod with ordinal 0, which keeps the chunks";
            Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "NotTheKeeper", detail))
        }
        Custody::Open | Custody::Disabled => Ok(()),
    }
}

/// Writes the audit line of an answer that is complete by now; that of a download is written when it ends.
fn audit(principal: &Principal, capture: &CaptureId, route: &'static str, answer: &Result<Response<WebBody>, Problem>) {
    let (status, bytes) = match answer {
        Ok(response) => match response.body() {
            WebBody::Full(body) => (response.status(), body.as_ref().map_or(0, Bytes::len)),
            WebBody::Stream(_) => return,
        },
        Err(problem) => (problem.status, 0),
    };
    info!(
        target: "audit",
        principal = principal.0,
        capture = %capture,
        route,
        status = status.as_u16(),
        bytes,
        "request answered"
    );
}

fn only_get(head: &Request<()>) -> Result<(), Problem> {
    let allow = match Route::parse(head.uri().path()) {
        Some(Route::Capture(_, Resource::Chunks)) => "GET, HEAD, DELETE",
        _ => "GET, HEAD",
    };
    if matches!(*head.method(), Method::GET | Method::HEAD) { Ok(()) } else { Err(Problem::method_not_allowed(allow)) }
}

/// Returns what identifies a capture, and where its bundle is.
fn identify(source: &CaptureSource) -> Value {
    let id = source.bundles.capture();
    json!({
        "namespace": id.namespace(),
        "name": id.name(),
        "bundle": format!("/api/v1/captures/{id}/bundle.tar"),
    })
}

fn show(chunk: &ListedChunk) -> Value {
    let state = match chunk.state {
        ChunkState::Sealed => "sealed",
        ChunkState::InProgress => "inProgress",
        ChunkState::Recovering => "recovering",
    };
    json!({
        "chunk": chunk.name.to_string(),
        "state": state,
        "started": chunk.name.started(),
        "bytes": chunk.bytes,
        "frames": chunk.counts.frames,
        "lines": chunk.counts.lines,
        "items": chunk.counts.items,
        "times": chunk.counts.times.map(|(start, end)| TimeRange { start, end }),
    })
}

fn json_response(value: &Value) -> Response<WebBody> {
    let mut json = value.to_string().into_bytes();
    json.push(b'\n');
    json_bytes(json)
}

fn json_bytes(json: Vec<u8>) -> Response<WebBody> {
    let mut response = Response::new(WebBody::full(Bytes::from(json)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
