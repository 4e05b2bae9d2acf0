//! The chart grants what `config/rbac` does: those files are what `tests/operator`, `tests/gateway` and
//! `tests/cluster` run under, and there every right is used and none is missing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::rendered::{self, is_hook, name_of};

/// The namespace that the files for named namespaces, and `values/namespaced.yaml`, speak of.
const WATCHED: &str = "shop";

#[test]
fn for_every_namespace_the_roles_are_those_of_the_files() {
    let files = ["operator-cluster", "gateway-cluster", "users"];
    assert_eq!(roles(rendered::of("default.yaml")), files_of(&files));
}

#[test]
fn for_named_namespaces_the_roles_are_those_of_the_files() {
    let mut expected = files_of(&["operator-namespaced", "gateway-namespaced"]);
    for user in rendered::of_repository("config/rbac/users.yaml") {
        if user["kind"] == "Role" {
            expected.insert(name_of(&user), essence(&user));
            continue;
        }
        let name = user["metadata"]["name"].as_str().unwrap();
        // Nothing is aggregated within a namespace.
        let mut rules = essence(&user);
        rules.as_object_mut().unwrap().remove("aggregated");
        expected.insert(format!("rbac.authorization.k8s.io/v1 Role {WATCHED}/{name}"), rules);
    }
    assert_eq!(roles(rendered::of("namespaced.yaml")), expected);
}

#[test]
fn for_named_namespaces_one_cluster_role_is_left_and_it_reaches_no_object() {
    for (file, objects) in rendered::all() {
        if !file.starts_with("namespace") {
            continue;
        }
        let cluster_roles: Vec<_> = objects.iter().filter(|object| object["kind"] == "ClusterRole").collect();
        let [role] = cluster_roles[..] else { panic!("{file}: {cluster_roles:?}") };
        let resources = role["rules"].as_array().unwrap().iter().flat_map(|rule| rule["resources"].as_array().unwrap());
        let resources: BTreeSet<_> = resources.map(|resource| resource.as_str().unwrap()).collect();
        assert_eq!(resources, BTreeSet::from(["subjectaccessreviews", "tokenreviews"]), "{file}");
    }
}

#[test]
fn every_binding_names_a_role_and_an_account_that_are_there() {
    for (file, objects) in rendered::all() {
        let names: BTreeSet<_> = objects.iter().map(name_of).collect();
        for binding in objects.iter().filter(|object| object["kind"].as_str().unwrap().ends_with("RoleBinding")) {
            let namespace = match binding["roleRef"]["kind"].as_str().unwrap() {
                "Role" => binding["metadata"]["namespace"].as_str().unwrap(),
                _ => "",
            };
            let role = &binding["roleRef"];
            let role =
                format!("{}/v1 {} {namespace}/{}", text(&role["apiGroup"]), text(&role["kind"]), text(&role["name"]));
            assert!(names.contains(&role), "{file}: {role}");
            for subject in binding["subjects"].as_array().unwrap() {
                let account = format!("v1 ServiceAccount {}/{}", text(&subject["namespace"]), text(&subject["name"]));
                // The one account that `values/every-pod-field.yaml` says is there already.
                assert!(names.contains(&account) || account.ends_with("/existing"), "{file}: {account}");
            }
        }
    }
}

/// Returns the rules, or the subjects and their role, of every object that grants something, by its name.
fn roles(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let grants = |object: &Value| object["apiVersion"] == "rbac.authorization.k8s.io/v1" && !is_hook(object);
    objects.into_iter().filter(grants).map(|object| (name_of(&object), essence(&object))).collect()
}

fn files_of(files: &[&str]) -> BTreeMap<String, Value> {
    let objects = files.iter().flat_map(|file| rendered::of_repository(&format!("config/rbac/{file}.yaml")));
    roles(objects.collect())
}

/// Returns what an object grants, to whom, and into which role of the cluster it goes.
fn essence(object: &Value) -> Value {
    let keys = ["rules", "roleRef", "subjects"];
    let mut essence: Value =
        keys.iter().filter_map(|key| Some(((*key).to_owned(), object.get(*key)?.clone()))).collect();
    let labels = object["metadata"].get("labels").and_then(Value::as_object).into_iter().flatten();
    let aggregated: Value = labels
        .filter(|(name, _)| name.starts_with("rbac.authorization.k8s.io/"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if aggregated.as_object().is_some_and(|labels| !labels.is_empty()) {
        essence["aggregated"] = aggregated;
    }
    essence
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
