//! What the API server noted of the operator's requests, and of the gateway's.
//!
//! The tier writes an audit log and names it in `TRACECAPTURE_AUDIT_LOG`; other clusters have
//! none that a test could read, and what needs it is then not checked.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::rights::ACCOUNT;

/// One request: what was asked of what, and how it was answered.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) verb: String,
    /// Group, resource and subresource, such as `apps/statefulsets` or `/pods`.
    pub(crate) resource: String,
    pub(crate) code: i64,
    /// Whether the rights of the account allow it; what admission says comes later.
    pub(crate) is_allowed: bool,
}

/// A verb and a resource.
pub(crate) type Use = (String, String);

impl Request {
    fn of(event: &Value) -> Self {
        let part = |field: &str| event["objectRef"][field].as_str().unwrap_or_default();
        let subresource = Some(part("subresource")).filter(|text| !text.is_empty());
        let resource = format!("{}/{}", part("apiGroup"), part("resource"));
        Self {
            verb: event["verb"].as_str().unwrap().to_owned(),
            resource: subresource.map_or_else(|| resource.clone(), |sub| format!("{resource}/{sub}")),
            code: event["responseStatus"]["code"].as_i64().unwrap_or_default(),
            is_allowed: event["annotations"]["authorization.k8s.io/decision"] == "allow",
        }
    }

    /// Tells whether it changes something that belongs to a capture.
    pub(crate) fn is_write(&self) -> bool {
        let is_read = matches!(&*self.verb, "get" | "list" | "watch");
        !is_read && !self.resource.contains("leases") && !self.resource.contains("events")
    }

    pub(crate) fn into_use(self) -> Use {
        (self.verb, self.resource)
    }
}

/// Returns the operator's requests in the order of their answers; `None` where no log is kept.
pub(crate) fn requests(cluster: &Cluster) -> Option<Vec<Request>> {
    requests_of(cluster, ACCOUNT)
}

/// As [`requests`], of another account of the namespace of the test.
pub(crate) fn requests_of(cluster: &Cluster, account: &str) -> Option<Vec<Request>> {
    let log = fs::read_to_string(std::env::var_os("TRACECAPTURE_AUDIT_LOG")?).unwrap();
    let user = format!("system:serviceaccount:{}:{account}", cluster.namespace);
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Some(events.filter(|event| event["user"]["username"] == user.as_str()).map(|event| Request::of(&event)).collect())
}

/// Returns what the operator wrote so far.
pub(crate) fn writes(cluster: &Cluster) -> Vec<Request> {
    requests(cluster).unwrap_or_default().into_iter().filter(Request::is_write).collect()
}

/// Returns what the operator was refused for lack of rights.
pub(crate) fn refused(cluster: &Cluster) -> BTreeSet<Use> {
    let requests = requests(cluster).unwrap_or_default().into_iter();
    requests.filter(|request| !request.is_allowed).map(Request::into_use).collect()
}
