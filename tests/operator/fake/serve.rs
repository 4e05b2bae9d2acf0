//! Answering requests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::client::Body;
use serde_json::{Value, json};

use super::request::{Verb, parse};
use super::store::Refused;
use super::{FakeApi, Fault, State};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl FakeApi {
    /// Answers a request.
    pub(super) async fn serve(&self, request: Request<Body>) -> Answer {
        let (head, body) = request.into_parts();
        let (verb, query) = parse(&head.method, &head.uri);
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let accepts = head.headers.get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_partial = accepts.contains("PartialObjectMetadata");
        let patch_type = head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_apply = patch_type.starts_with("application/apply");
        match self.admit(&verb, is_apply) {
            Some(Fault::Mute) => {
                let silence = stream::pending::<Result<Frame<Bytes>, Infallible>>();
                return Response::new(StreamBody::new(silence).boxed_unsync());
            }
            Some(Fault::Stall) => std::future::pending().await,
            Some(Fault::Status(code, reason, message)) => return refusal(&(code, reason, message.to_owned())),
            None => {}
        }
        if verb.verb == "watch" {
            return self.watch(&verb, query, is_partial);
        }
        match self.act(&verb, &query, body, is_apply) {
            Ok(object) => answer(200, &if is_partial { partial(object) } else { object }),
            Err(refused) => refusal(&refused),
        }
    }

    /// Records a request; returns the fault that is planned for it.
    fn admit(&self, verb: &Verb, is_apply: bool) -> Option<Fault> {
        let mut state = self.lock();
        let State { store, verbs, rules, .. } = &mut *state;
        verbs.push(verb.clone());
        let target = &verb.target;
        let creates = is_apply && store.get(&target.resource, &target.namespace, &target.name).is_none();
        // As the real one: an apply that creates takes the right to create, too.
        let create = Verb { verb: "create", ..verb.clone() };
        if rules.as_mut().is_some_and(|rules| !rules.allow(verb) || (creates && !rules.allow(&create))) {
            return Some(Fault::Status(403, "Forbidden", "it is forbidden: User \"operator\" cannot do it"));
        }
        let planned = state.faults.iter_mut().find(|planned| planned.left > 0 && (planned.matches)(verb))?;
        planned.left -= 1;
        Some(planned.fault.clone())
    }

    fn act(
        &self,
        verb: &Verb,
        query: &BTreeMap<String, String>,
        body: Value,
        is_apply: bool,
    ) -> Result<Value, Refused> {
        let Verb { verb, target } = verb;
        let (resource, namespace, name) = (target.resource.as_str(), target.namespace.as_str(), target.name.as_str());
        let missing = || (404, "NotFound", format!("{resource} \"{name}\" not found"));
        match *verb {
            "get" => self.get(resource, namespace, name).ok_or_else(missing),
            "list" => Ok(self.items(resource, namespace, query)),
            "create" => {
                let mut object = body;
                object["metadata"]["namespace"] = json!(namespace);
                self.change(|store| store.create(resource, object))
            }
            "update" => self.change(|store| store.replace(resource, body)),
            "patch" if is_apply => {
                let manager = query.get("fieldManager").cloned().unwrap_or_default();
                let (place, by) = ((namespace, name), (manager.as_str(), target.subresource.as_str()));
                self.change(|store| store.apply(resource, place, by, &body))
            }
            "patch" => self.change(|store| store.merge(resource, (namespace, name), &body)),
            _ => {
                let object = self.get(resource, namespace, name).ok_or_else(missing)?;
                let wanted = &body["preconditions"]["uid"];
                if wanted.is_string() && object["metadata"]["uid"] != *wanted {
                    return Err((409, "Conflict", "the UID is another one".to_owned()));
                }
                let policy = body["propagationPolicy"].as_str().unwrap_or("Background");
                self.change(|store| store.delete(resource, namespace, name, policy));
                Ok(json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" }))
            }
        }
    }

    fn items(&self, resource: &str, namespace: &str, query: &BTreeMap<String, String>) -> Value {
        let state = self.lock();
        let items: Vec<&Value> =
            state.store.list(resource).filter(|object| selects(object, namespace, query)).collect();
        json!({
            "apiVersion": "v1", "kind": "List",
            "metadata": { "resourceVersion": state.store.version().to_string() },
            "items": items,
        })
    }

    fn watch(&self, verb: &Verb, query: BTreeMap<String, String>, is_partial: bool) -> Answer {
        let from: u64 = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or_default();
        let seconds: u64 = query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(290);
        let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
        let (resource, namespace) = (verb.target.resource.clone(), verb.target.namespace.clone());
        let changed = self.lock().changed.subscribe();
        let lines = stream::unfold((self.clone(), changed, from), move |(api, mut changed, from)| {
            let (resource, namespace, query) = (resource.clone(), namespace.clone(), query.clone());
            async move {
                loop {
                    changed.borrow_and_update();
                    let (events, version) = {
                        let state = api.lock();
                        (state.store.since(&resource, from), state.store.version())
                    };
                    let Some(events) = events else {
                        let gone =
                            json!({ "type": "ERROR", "object": status(&(410, "Expired", "too old".to_owned())) });
                        return Some((format!("{gone}\n"), (api, changed, version)));
                    };
                    let mut text = String::new();
                    for event in events.into_iter().filter(|event| selects(&event.object, &namespace, &query)) {
                        let object = if is_partial { partial(event.object) } else { event.object };
                        text += &json!({ "type": event.kind, "object": object }).to_string();
                        text.push('\n');
                    }
                    if !text.is_empty() {
                        return Some((text, (api, changed, version)));
                    }
                    let woken = tokio::time::timeout_at(end, changed.changed()).await;
                    if !matches!(woken, Ok(Ok(()))) {
                        return None;
                    }
                }
            }
        });
        let frames = lines.map(|line| Ok::<_, Infallible>(Frame::data(Bytes::from(line))));
        Response::new(StreamBody::new(frames).boxed_unsync())
    }
}

/// Tells whether an object is of a namespace and of the selectors of a query.
fn selects(object: &Value, namespace: &str, query: &BTreeMap<String, String>) -> bool {
    if !namespace.is_empty() && object["metadata"]["namespace"] != namespace {
        return false;
    }
    let holds = |condition: &str, value: &dyn Fn(&str) -> Option<String>| match condition.split_once('=') {
        Some((name, wanted)) => value(name).as_deref() == Some(wanted),
        None => value(condition).is_some(),
    };
    let all = |selector: Option<&String>, value: &dyn Fn(&str) -> Option<String>| {
        selector.is_none_or(|text| text.split(',').filter(|c| !c.is_empty()).all(|condition| holds(condition, value)))
    };
    let label = |name: &str| object["metadata"]["labels"][name].as_str().map(str::to_owned);
    let field = |path: &str| object.pointer(&format!("/{}", path.replace('.', "/")))?.as_str().map(str::to_owned);
    all(query.get("labelSelector"), &label) && all(query.get("fieldSelector"), &field)
}

/// Leaves of an object, or of the objects of a list, only the metadata.
fn partial(mut object: Value) -> Value {
    let strip = |object: &Value| {
        json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"],
        })
    };
    match object.get_mut("items").and_then(Value::as_array_mut) {
        Some(items) => {
            for item in items {
                *item = strip(item);
            }
            object
        }
        None => strip(&object),
    }
}

fn status((code, reason, message): &Refused) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
    })
}

fn refusal(refused: &Refused) -> Answer {
    answer(refused.0, &status(refused))
}

fn answer(code: u16, body: &Value) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}
