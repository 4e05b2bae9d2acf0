//! An API server in this process, as far as an operator can tell: objects with versions, watches,
//! server-side apply, garbage collection, and faults on demand. Every request is recorded.
//!
//! Apply is a merge, with one simplification: what a manager owns is what it applied last, and lists
//! are taken whole, but for finalizers and owners, which are sets.

mod merge;
mod request;
mod rules;
mod serve;
mod store;

use std::sync::{Arc, Mutex, MutexGuard};

use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;

pub(crate) use request::Verb;
pub(crate) use rules::Rules;

/// What a fault does to a request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Answers with this code, reason and message.
    Status(u16, &'static str, &'static str),
    /// Does not answer.
    Stall,
    /// Answers a watch, and then says nothing any more.
    Mute,
}

/// A fault and the requests that it is for.
struct Planned {
    matches: Box<dyn Fn(&Verb) -> bool + Send>,
    fault: Fault,
    left: usize,
}

/// The server.
#[derive(Clone)]
pub(crate) struct FakeApi {
    state: Arc<Mutex<State>>,
}

/// What the server has.
struct State {
    store: store::Store,
    verbs: Vec<Verb>,
    faults: Vec<Planned>,
    rules: Option<Rules>,
    changed: watch::Sender<u64>,
}

impl FakeApi {
    /// Makes a server that knows our resource definition and nothing else.
    pub(crate) fn new() -> Self {
        let (changed, _) = watch::channel(0);
        let state =
            State { store: store::Store::default(), verbs: Vec::new(), faults: Vec::new(), rules: None, changed };
        let api = Self { state: Arc::new(Mutex::new(state)) };
        let definition = serde_json::to_value(<tracecapture::api::TraceCapture as kube::CustomResourceExt>::crd());
        api.put("customresourcedefinitions", definition.unwrap());
        api
    }

    /// Returns a client of this server.
    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request| {
            let api = api.clone();
            async move { Ok::<_, std::convert::Infallible>(api.serve(request).await) }
        });
        Client::new(service, "default")
    }

    /// Allows only what these rules grant.
    pub(crate) fn enforce(&self, rules: Rules) {
        self.lock().rules = Some(rules);
    }

    /// Returns what is granted and was never asked for.
    pub(crate) fn unused_grants(&self) -> Vec<String> {
        self.lock().rules.as_ref().expect("rules").unused()
    }

    /// Puts an object in as somebody else would: created, or replaced as it is.
    pub(crate) fn put(&self, resource: &str, object: Value) -> Value {
        self.change(|store| store.put(resource, object))
    }

    /// Changes an object as somebody else would.
    pub(crate) fn edit(&self, resource: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.get(resource, namespace, name).expect("the object to edit");
        change(&mut object);
        self.put(resource, object);
    }

    /// Returns an object.
    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.lock().store.get(resource, namespace, name).cloned()
    }

    /// Returns every object of a resource.
    pub(crate) fn list(&self, resource: &str) -> Vec<Value> {
        self.lock().store.list(resource).cloned().collect()
    }

    /// Deletes an object as somebody else would.
    pub(crate) fn delete(&self, resource: &str, namespace: &str, name: &str) {
        self.change(|store| store.delete(resource, namespace, name, "Background"));
    }

    /// Makes requests fail, `times` at most.
    pub(crate) fn fail(&self, times: usize, fault: Fault, matches: impl Fn(&Verb) -> bool + Send + 'static) {
        self.lock().faults.push(Planned { matches: Box::new(matches), fault, left: times });
    }

    /// Ends all faults.
    pub(crate) fn heal(&self) {
        self.lock().faults.clear();
    }

    /// Forgets the past: whoever watches from an older version has to list again.
    pub(crate) fn compact(&self) {
        self.lock().store.compact();
    }

    /// Returns every request so far.
    pub(crate) fn verbs(&self) -> Vec<Verb> {
        self.lock().verbs.clone()
    }

    /// Returns the writes so far, but for those of the election.
    pub(crate) fn writes(&self) -> Vec<Verb> {
        self.verbs().into_iter().filter(|verb| verb.is_write() && verb.target.resource != "leases").collect()
    }

    /// Forgets the requests so far.
    pub(crate) fn forget_verbs(&self) {
        self.lock().verbs.clear();
    }

    /// Does what the controllers of a cluster would do for a capture: binds its claim, makes its pods and says that they are ready.
    pub(crate) fn settle(&self, namespace: &str, capture: &str) {
        let claim = format!("{capture}-chunks");
        if self.get("persistentvolumeclaims", namespace, &claim).is_some() {
            self.edit("persistentvolumeclaims", namespace, &claim, |claim| {
                let size = claim["spec"]["resources"]["requests"]["storage"].clone();
                claim["spec"]["volumeName"] = json!("pv-1");
                claim["status"] = json!({ "phase": "Bound", "capacity": { "storage": size } });
            });
        }
        let set = self.get("statefulsets", namespace, &format!("{capture}-collector")).expect("a set");
        let replicas = set["spec"]["replicas"].as_i64().unwrap();
        for ordinal in 0..replicas {
            self.put("pods", pod(&set, ordinal));
        }
        self.edit("statefulsets", namespace, set["metadata"]["name"].as_str().unwrap(), |set| {
            set["status"] = json!({
                "observedGeneration": set["metadata"]["generation"], "replicas": replicas, "readyReplicas": replicas,
                "updatedReplicas": replicas, "currentReplicas": replicas, "availableReplicas": replicas,
                "currentRevision": "r-1", "updateRevision": "r-1",
            });
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut store::Store) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state.store);
        let version = state.store.version();
        state.changed.send_replace(version);
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// Returns a pod of a set, running and ready.
fn pod(set: &Value, ordinal: i64) -> Value {
    let name = format!("{}-{ordinal}", set["metadata"]["name"].as_str().unwrap());
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name, "namespace": set["metadata"]["namespace"],
            "labels": set["spec"]["template"]["metadata"]["labels"],
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": set["metadata"]["name"],
                "uid": set["metadata"]["uid"], "controller": true,
            }],
        },
        "spec": set["spec"]["template"]["spec"],
        "status": {
            "phase": "Running", "podIP": format!("10.0.0.{ordinal}"),
            "conditions": [{ "type": "Ready", "status": "True" }],
            "containerStatuses": [{ "name": "collector", "ready": true, "restartCount": 0, "image": "i", "imageID": "i" }],
        },
    })
}
