//! The rights of the operator: a service account with those of `config/rbac`, and its kubeconfig.

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, Kubeconfig};
use serde_json::json;

use crate::cluster::{Cluster, MANAGER, object};

/// The service account of the operator.
pub(crate) const ACCOUNT: &str = "tracecapture-operator";

/// Grants the operator what it asks for in the namespace of the test.
pub(crate) async fn grant(cluster: &Cluster) {
    let params = PatchParams::apply(MANAGER).force();
    let account: ServiceAccount = object("v1", "ServiceAccount", json!({ "name": ACCOUNT }), json!({}));
    cluster.api::<ServiceAccount>().patch(ACCOUNT, &params, &Patch::Apply(&account)).await.unwrap();
    let binding: RoleBinding = object(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        json!({ "name": ACCOUNT }),
        json!({
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": cluster.namespace }],
        }),
    );
    cluster.api::<RoleBinding>().patch(ACCOUNT, &params, &Patch::Apply(&binding)).await.unwrap();
}

/// Returns how the operator reaches the cluster of this test: as its service account, by a token.
pub(crate) async fn kubeconfig(cluster: &Cluster) -> String {
    let wish = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
    let accounts = cluster.api::<ServiceAccount>();
    let answer = accounts.create_token_request(ACCOUNT, &PostParams::default(), &wish).await.unwrap();
    let mut config = Kubeconfig::read().unwrap();
    let context = config.contexts.iter().find(|context| Some(&context.name) == config.current_context.as_ref());
    let user = context.unwrap().context.as_ref().unwrap().user.clone().unwrap();
    for named in config.auth_infos.iter_mut().filter(|named| named.name == user) {
        named.auth_info =
            Some(AuthInfo { token: answer.status.clone().map(|status| status.token.into()), ..AuthInfo::default() });
    }
    serde_json::to_string(&config).unwrap()
}
