//! Everybody who knocks at a gateway: people and programs of one namespace and of another.

use std::process::Command;

use kube::Client;
use kube::config::AuthInfo;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::rights::{self, account, apply, client_by};

/// The audience of the gateway.
const AUDIENCE: &str = "tracecapture-gateway";

/// The person whose only credential is a certificate.
pub(crate) const CERTIFICATE: &str = "certificate";

/// A name, the role that it is bound to, and the audience of its token (`None`: the API server's).
///
/// The role is one of `config/rbac/users.yaml`, one that Kubernetes has itself, one that the test makes, or none.
const ACCOUNTS: [(&str, &str, Option<&str>); 10] = [
    ("viewer", "tracecapture-viewer", None),
    ("view", "view", None),
    ("getter", "getter", None),
    ("support", "tracecapture-support", None),
    ("robot", "tracecapture-support", Some(AUDIENCE)),
    ("admin", "tracecapture-admin", None),
    ("owner", "admin", None),
    ("neighbour", "tracecapture-admin", None),
    ("nobody", "", None),
    ("foreign", "tracecapture-admin", Some("vault")),
];

/// Somebody, and how they show it.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) api: Client,
    /// What they show to the API server.
    pub(crate) auth: AuthInfo,
    /// What they show to the gateway.
    pub(crate) token: Option<String>,
}

impl Person {
    async fn new(name: &'static str, auth: AuthInfo, token: Option<String>) -> Self {
        Self { name, api: client_by(&auth).await, auth, token }
    }
}

/// Makes everybody, and waits until the API server knows what they may.
pub(crate) async fn everybody(cluster: &Cluster, other: &str) -> Vec<Person> {
    let here = &cluster.namespace;
    rights::make_roles(cluster).await;
    apply(cluster, role(cluster, "getter", ("get", "tracecapture.dev", "tracecaptures"))).await;
    apply(cluster, role(cluster, "proxied", ("get", "", "services/proxy"))).await;
    apply(cluster, role(cluster, "requester", ("create", "", "serviceaccounts/token"))).await;
    let user = format!("clara-{here}");
    let clara = json!({ "kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io" });
    let [ours, theirs] = [here, other].map(|namespace| {
        let group = format!("system:serviceaccounts:{namespace}");
        json!({ "kind": "Group", "name": group, "apiGroup": "rbac.authorization.k8s.io" })
    });
    bind(cluster, "proxied", here, "proxied", json!([ours, theirs, clara])).await;
    let mut people = Vec::new();
    for (name, role, audience) in ACCOUNTS {
        let home = if name == "neighbour" { other } else { here };
        make_account(cluster, name, home, role).await;
        let token = rights::token(cluster, home, name, audience).await;
        let auth = AuthInfo { token: Some(token.clone().into()), ..AuthInfo::default() };
        people.push(Person::new(name, auth, Some(token)).await);
    }
    bind(cluster, CERTIFICATE, here, "tracecapture-admin", json!([clara])).await;
    bind(cluster, "requester", here, "requester", json!([clara])).await;
    for what in [
        ("create", "tracecapture.dev", "tracecaptures", "link"),
        ("get", "", "services", "proxy"),
        ("create", "", "serviceaccounts", "token"),
    ] {
        until_may(cluster, &user, here, what).await;
    }
    people.push(Person::new(CERTIFICATE, certified(&user), None).await);
    people.push(Person::new("anonymous", AuthInfo::default(), None).await);
    people
}

/// Makes a service account with a role, and waits until the role is in effect.
async fn make_account(cluster: &Cluster, name: &str, home: &str, role: &str) {
    apply(cluster, account(name, home)).await;
    let user = format!("system:serviceaccount:{home}:{name}");
    if !role.is_empty() {
        let subjects = json!([{ "kind": "ServiceAccount", "name": name, "namespace": home }]);
        bind(cluster, name, home, role, subjects).await;
        until_may(cluster, &user, home, ("get", "tracecapture.dev", "tracecaptures", "")).await;
    }
    if role.ends_with("admin") {
        until_may(cluster, &user, home, ("create", "tracecapture.dev", "tracecaptures", "link")).await;
    }
}

/// Returns a role of the namespace of the test with one verb on one resource.
fn role(cluster: &Cluster, name: &str, (verb, group, resource): (&str, &str, &str)) -> Value {
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": name, "namespace": cluster.namespace },
        "rules": [{ "apiGroups": [group], "resources": [resource], "verbs": [verb] }] })
}

async fn bind(cluster: &Cluster, name: &str, namespace: &str, role: &str, subjects: Value) {
    let (kind, role) = match role {
        "getter" | "proxied" | "requester" => ("Role", role.to_owned()),
        "view" | "admin" => ("ClusterRole", role.to_owned()),
        shipped => ("ClusterRole", format!("{shipped}-{}", cluster.namespace)),
    };
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": name, "namespace": namespace }, "subjects": subjects,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role } });
    apply(cluster, binding).await;
}

/// Waits until a user may do something: bindings and aggregated roles take effect a moment later.
async fn until_may(cluster: &Cluster, user: &str, namespace: &str, what: (&str, &str, &str, &str)) {
    let (verb, group, resource, subresource) = what;
    let attributes = json!({ "namespace": namespace, "verb": verb, "group": group, "resource": resource,
        "subresource": subresource, "name": "any" });
    rights::until_allowed(cluster, user, &attributes).await;
}

/// Has the cluster sign a certificate for a user.
fn certified(user: &str) -> AuthInfo {
    let dir = tempfile::tempdir().unwrap();
    let (key, request) = (dir.path().join("key"), dir.path().join("request"));
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let (key, request) = (key.to_str().unwrap(), request.to_str().unwrap());
    let subject = format!("/CN={user}");
    run("openssl", &[&["req", "-new", "-subj", &subject, "-keyout", key, "-out", request], &curve[..]].concat());
    let base64 = |path: &str| run("base64", &["-w0", path]);
    let object = json!({ "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": { "name": user },
        "spec": { "request": base64(request), "signerName": "kubernetes.io/kube-apiserver-client",
            "expirationSeconds": 3600, "usages": ["client auth"] } });
    let file = dir.path().join("object");
    std::fs::write(&file, object.to_string()).unwrap();
    run("kubectl", &["create", "--filename", file.to_str().unwrap()]);
    run("kubectl", &["certificate", "approve", user]);
    run("kubectl", &["wait", "--for=jsonpath={.status.certificate}", "--timeout=5m", "csr", user]);
    let certificate = run("kubectl", &["get", "csr", user, "-o", "jsonpath={.status.certificate}"]);
    run("kubectl", &["delete", "csr", user]);
    AuthInfo {
        client_certificate_data: Some(certificate),
        client_key_data: Some(base64(key).into()),
        ..AuthInfo::default()
    }
}
