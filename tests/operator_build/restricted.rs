//! Every pod that is built, against the restricted profile of the Pod Security Standards.

use serde_json::{Value, json};

use super::pod_profile::violations;
use super::{body, captures};

#[test]
fn every_pod_keeps_the_profile_with_a_read_only_root() {
    for (label, capture) in captures() {
        let set = body(&capture, "StatefulSet", "-collector");
        let template = set.pointer("/spec/template").unwrap();
        assert_eq!(violations(template), Vec::<String>::new(), "{label}");
        let root = template.pointer("/spec/containers/0/securityContext/readOnlyRootFilesystem");
        assert_eq!(root, Some(&json!(true)), "{label}");
        assert_eq!(template.pointer("/spec/automountServiceAccountToken"), Some(&json!(false)), "{label}");
    }
}

#[test]
fn the_check_fails_on_pods_that_break_the_profile() {
    let (_, capture) = captures().pop().unwrap();
    let set = body(&capture, "StatefulSet", "-collector");
    let changes = [
        ("/spec/hostNetwork", json!(true)),
        ("/spec/volumes/0/hostPath", json!({ "path": "/" })),
        ("/spec/securityContext/runAsNonRoot", json!(false)),
        ("/spec/securityContext/runAsUser", json!(0)),
        ("/spec/securityContext/seccompProfile", json!({ "type": "Unconfined" })),
        ("/spec/securityContext/sysctls", json!([{ "name": "a", "value": "b" }])),
        ("/spec/containers/0/securityContext/privileged", json!(true)),
        ("/spec/containers/0/securityContext/allowPrivilegeEscalation", Value::Null),
        ("/spec/containers/0/securityContext/capabilities", json!({ "drop": ["ALL"], "add": ["SYS_ADMIN"] })),
        ("/spec/containers/1/ports/0/hostPort", json!(80)),
    ];
    for (pointer, value) in changes {
        let mut template = set.pointer("/spec/template").unwrap().clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        template.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value);
        assert!(!violations(&template).is_empty(), "{pointer}");
    }
}
