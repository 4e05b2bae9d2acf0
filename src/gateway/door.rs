//! From a request to its answer: who asks, whether they may, what answers.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use serde_json::{Value, json};

use super::App;
use super::audit::{Access, Door, Outcome};
use super::body::GatewayBody;
use super::captures::Known;
use super::keeper::Question;
use super::places::Holder;
use super::problem::Problem;
use super::proxy;
use super::reviews::{AT_A_TIME, Identity, Permission, Stranger};
use super::route::{Resource, Route};
use crate::api::access::{self, TOKEN_HEADER};
use crate::http1::keep_private;
use crate::ids::CaptureId;

/// Namespaces that are asked about at a time, for who may not list all of them: half of the reviews that run at a time
/// are left to others, however many namespaces there are.
const NAMESPACES_AT_A_TIME: usize = AT_A_TIME / 2;

/// A request without its body, and the address of who asks.
pub(super) struct Asked {
    pub(super) head: Request<()>,
    pub(super) from: IpAddr,
}

impl App {
    /// Answers a request, whatever it is.
    pub(super) async fn respond<B>(self: &Arc<Self>, request: Request<B>, from: IpAddr) -> Response<GatewayBody>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let from = self.options.trusted_proxies.client(from, request.headers());
        let (head, body) = request.into_parts();
        let asked = Asked { head: Request::from_parts(head, ()), from };
        let route = Route::parse(asked.head.uri().path());
        let label = route.as_ref().map_or("none", Route::label);
        let mut access = Access::new(label, asked.head.method(), from, self.metrics.clone());
        let answer = self.answer(&asked, body, route, &mut access).await;
        let mut response = answer.unwrap_or_else(|problem| {
            access.reason = problem.reason;
            problem.into_response()
        });
        keep_private(response.headers_mut());
        access.status = response.status().as_u16();
        let len = if *asked.head.method() == Method::HEAD { 0 } else { response.body().len() };
        match response.body_mut() {
            GatewayBody::Stream(stream) => stream.record(access),
            GatewayBody::Full(_) => access.ended(len, Outcome::Complete),
        }
        response
    }

    async fn answer<B>(
        self: &Arc<Self>,
        asked: &Asked,
        body: B,
        route: Option<Route>,
        access: &mut Access,
    ) -> Result<Response<GatewayBody>, Problem>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        match route {
            Some(Route::Page(text)) => self.page(asked, &text, access).await,
            Some(Route::Opened(text)) => self.open(asked, &text, access).await,
            Some(Route::Captures) => self.list(asked, access).await,
            Some(Route::Capture(id, resource)) => self.capture(asked, id, resource, access).await,
            Some(Route::Links(id)) => self.links_of(asked, body, id, access).await,
            Some(Route::LinkOf(id, prefix)) => self.revoke_of(asked, &id, &prefix, access).await,
            Some(Route::Link(prefix)) => self.revoke(asked, &prefix, access).await,
            // Which paths there are is no secret, but nothing is told to strangers all the same.
            None if credential(asked.head.headers()).is_none() && asked.head.uri().path().starts_with("/api/") => {
                Err(Problem::unauthenticated(None))
            }
            None => Err(Problem::not_found()),
        }
    }

    /// Answers with a part of a capture.
    async fn capture(
        &self,
        asked: &Asked,
        id: CaptureId,
        resource: Resource,
        access: &mut Access,
    ) -> Result<Response<GatewayBody>, Problem> {
        access.capture = Some(id.clone());
        let who = self.identify(asked, Some(&id), access).await?;
        let method = asked.head.method();
        self.authorise(&who, resource.permission(&id, method)?).await?;
        let known = self.find(&id)?;
        let (query, filters) = resource.query(method, asked.head.uri().query().unwrap_or_default())?;
        access.filters = filters;
        let holder = Holder::User(who.name().to_owned());
        let place = if resource.is_download() { self.streams.download(holder) } else { self.streams.answer(holder) }?;
        let headers = proxy::asked(asked.head.headers());
        let path = resource.path(&id);
        self.pass(Question { capture: &id, uid: &known.uid, method, path, query, headers }, place, access).await
    }

    /// Lists the captures of which the user may list the objects.
    async fn list(&self, asked: &Asked, access: &mut Access) -> Result<Response<GatewayBody>, Problem> {
        let who = self.identify(asked, None, access).await?;
        if !matches!(*asked.head.method(), Method::GET | Method::HEAD) {
            return Err(Problem::method_not_allowed("GET, HEAD"));
        }
        let list = |namespace| Permission { verb: "list", subresource: "", namespace, name: None };
        let mut captures = self.captures.all();
        if !self.may(&who, list(None)).await? {
            let mut namespaces: Vec<String> = captures.iter().map(|known| known.id.namespace().to_owned()).collect();
            namespaces.dedup();
            let asked = namespaces.clone().into_iter().map(|namespace| self.may(&who, list(Some(namespace))));
            let may: Vec<bool> = stream::iter(asked).buffered(NAMESPACES_AT_A_TIME).try_collect().await?;
            let open: Vec<_> = namespaces.iter().zip(may).filter_map(|(name, may)| may.then_some(name)).collect();
            captures.retain(|known| open.iter().any(|name| *name == known.id.namespace()));
        }
        let captures: Vec<Value> = captures.iter().map(show).collect();
        Ok(json_response(StatusCode::OK, &json!({ "captures": captures })))
    }

    /// Returns who asks.
    ///
    /// # Errors
    /// A [`Problem`] that is the same whether or not there is such a capture.
    pub(super) async fn identify(
        &self,
        asked: &Asked,
        capture: Option<&CaptureId>,
        access: &mut Access,
    ) -> Result<Arc<Identity>, Problem> {
        let token = credential(asked.head.headers()).ok_or_else(|| Problem::unauthenticated(capture))?;
        let who = self.reviews.identify(token, asked.from).await.map_err(|stranger| match stranger {
            Stranger::Unknown => Problem::unauthenticated(capture),
            Stranger::Throttled => {
                Problem::too_many("TooManyWrongTokens", "too many wrong tokens come from this address: try again later")
            }
            Stranger::Unavailable => unavailable(),
        })?;
        access.by(Door::Token, who.name());
        Ok(who)
    }

    /// Lets pass who may.
    ///
    /// # Errors
    /// A [`Problem`] that is the same whether or not there is such a capture.
    pub(super) async fn authorise(&self, who: &Arc<Identity>, permission: Permission) -> Result<(), Problem> {
        let Permission { verb, subresource, .. } = permission;
        if self.may(who, permission.clone()).await? {
            return Ok(());
        }
        let resource = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
        let remedy = match (verb, subresource) {
            ("get", "") => "`tracecapture-viewer`",
            ("get", "bundle") => "`tracecapture-support` or `tracecapture-admin`, or for a link",
            _ => "`tracecapture-admin`",
        };
        let detail = format!(
            "you may not `{verb}` `tracecaptures{resource}` there: ask for a binding to the ClusterRole {remedy}"
        );
        Err(Problem::new(StatusCode::FORBIDDEN, "Forbidden", detail))
    }

    pub(super) async fn may(&self, who: &Arc<Identity>, permission: Permission) -> Result<bool, Problem> {
        self.reviews.allows(who, permission).await.map_err(|_| unavailable())
    }

    /// Returns a capture that the user may know of.
    pub(super) fn find(&self, id: &CaptureId) -> Result<Known, Problem> {
        match self.captures.find(id) {
            Some(known) => Ok(known),
            None if self.captures.has_told(id.namespace()) => Err(Problem::no_capture(id)),
            None => Err(not_ready()),
        }
    }
}

/// Returns the token that a request shows: that of our own header first, since a proxy may have set the other one.
fn credential(headers: &HeaderMap) -> Option<&str> {
    if let Some(token) = headers.get(TOKEN_HEADER) {
        return token.to_str().ok();
    }
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unavailable() -> Problem {
    Problem::unavailable("ReviewUnavailable", "the API server does not say who may do this: try again in a few seconds")
}

/// The answer while the watches have not told yet what is there.
pub(super) fn not_ready() -> Problem {
    Problem::unavailable(
        "NotReady",
        "the gateway does not know yet which captures there are: try again in a few seconds",
    )
}

fn show(known: &Known) -> Value {
    let id = &known.id;
    json!({
        "namespace": id.namespace(),
        "name": id.name(),
        "state": known.state,
        "bundle": access::bundle_path(id),
    })
}

/// Returns JSON as a response.
pub(super) fn json_response(status: StatusCode, value: &Value) -> Response<GatewayBody> {
    let mut response = Response::new(GatewayBody::full(Bytes::from(format!("{value}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
