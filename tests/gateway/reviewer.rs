//! What the API server says about tokens and permissions, by the roles that are shipped.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::fake::FakeApi;

/// The audience of the gateway.
pub(crate) const AUDIENCE: &str = "tracecapture-gateway";

/// Who there is, what they may do, and what was asked.
#[derive(Default)]
pub(crate) struct Reviewer {
    users: Mutex<BTreeMap<String, User>>,
    /// Every review: its kind, and what came of it.
    asked: Mutex<Vec<(&'static str, bool)>>,
}

/// Whose token it is.
#[derive(Clone)]
struct User {
    name: &'static str,
    /// `None` for a token that the API server takes itself.
    audience: Option<&'static str>,
    /// The role, bound in a namespace.
    role: Option<(&'static str, &'static str)>,
}

impl Reviewer {
    /// Makes a token of a user with a role in a namespace, for an audience.
    pub(crate) fn know(
        &self,
        token: &str,
        name: &'static str,
        audience: Option<&'static str>,
        role: Option<(&'static str, &'static str)>,
    ) {
        self.users.lock().unwrap().insert(token.to_owned(), User { name, audience, role });
    }

    /// Forgets a token.
    pub(crate) fn forget(&self, token: &str) {
        self.users.lock().unwrap().remove(token);
    }

    /// How many reviews of a kind there were.
    pub(crate) fn n_asked(&self, kind: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(known, _)| *known == kind).count()
    }

    /// Returns a client of an API server that answers reviews, too.
    pub(crate) fn client(self: &Arc<Self>, api: &FakeApi) -> Client {
        let (reviewer, inner) = (Arc::clone(self), api.client());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (reviewer, inner) = (Arc::clone(&reviewer), inner.clone());
            async move { Ok::<_, Infallible>(reviewer.answer(inner, request).await) }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, inner: Client, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let judge: fn(&Self, &Value) -> Value = match path.rsplit('/').next() {
            Some("tokenreviews") => Self::token,
            Some("subjectaccessreviews") => Self::access,
            _ => return inner.send(request).await.expect("the API server answers"),
        };
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        // The API server knows it, too: for its rules and its faults.
        let known = inner.send(Request::from_parts(head, Body::from(b"{}".to_vec()))).await.unwrap();
        if !matches!(known.status().as_u16(), 200 | 409) {
            return known;
        }
        let review: Value = serde_json::from_slice(&bytes).unwrap();
        let mut answer = review.clone();
        answer["status"] = judge(self, &review["spec"]);
        Response::new(Body::from(answer.to_string().into_bytes()))
    }

    fn token(&self, spec: &Value) -> Value {
        let wanted = spec["audiences"][0].as_str();
        let users = self.users.lock().unwrap();
        let user = users.get(spec["token"].as_str().unwrap()).filter(|user| user.audience == wanted);
        self.asked.lock().unwrap().push(("token", user.is_some()));
        match user {
            Some(user) => json!({
                "authenticated": true, "user": { "username": user.name, "groups": ["system:authenticated"] },
                "audiences": [wanted.unwrap_or("https://kubernetes.default.svc")],
            }),
            None => json!({ "authenticated": false, "error": "unknown" }),
        }
    }

    fn access(&self, spec: &Value) -> Value {
        let attributes = &spec["resourceAttributes"];
        let users = self.users.lock().unwrap();
        let user = users.values().find(|user| spec["user"] == user.name);
        let role = user.and_then(|user| user.role);
        let allowed =
            role.is_some_and(|(role, namespace)| attributes["namespace"] == namespace && grants(role, attributes));
        self.asked.lock().unwrap().push(("access", allowed));
        json!({ "allowed": allowed })
    }
}

/// Tells whether a shipped role grants what is asked for.
fn grants(role: &str, attributes: &Value) -> bool {
    let text = include_str!("../../config/rbac/users.yaml");
    let roles = text.split("\n---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    let role = roles.into_iter().find(|found| found["metadata"]["name"] == role).expect("a shipped role");
    let resource = match attributes["subresource"].as_str() {
        Some(sub) => format!("tracecaptures/{sub}"),
        None => "tracecaptures".to_owned(),
    };
    let has = |list: &Value, wanted: &str| list.as_array().unwrap().iter().any(|item| item == wanted);
    role["rules"].as_array().unwrap().iter().any(|rule| {
        has(&rule["apiGroups"], attributes["group"].as_str().unwrap())
            && has(&rule["resources"], &resource)
            && has(&rule["verbs"], attributes["verb"].as_str().unwrap())
    })
}
