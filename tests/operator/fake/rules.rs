//! RBAC, as far as the operator's own rules use it.

use serde_json::Value;

use super::request::Verb;

/// Rules of roles, each with whether something made use of it.
pub(crate) struct Rules(Vec<Grant>);

/// One verb on one resource.
struct Grant {
    group: String,
    resource: String,
    verb: String,
    /// The only object that it is for; `None` for every one.
    name: Option<String>,
    /// The only namespace that it is for; `None` for every one.
    namespace: Option<String>,
    is_used: bool,
}

impl Rules {
    /// Reads the roles of a file of YAML documents; what binds them is taken for granted.
    pub(crate) fn parse(text: &str) -> Self {
        let mut grants = Vec::new();
        for document in text.split("\n---\n") {
            let role: Value = serde_saphyr::from_str(document).unwrap();
            if !matches!(role["kind"].as_str(), Some("Role" | "ClusterRole")) {
                continue;
            }
            let namespace = role["metadata"]["namespace"].as_str().map(str::to_owned);
            for rule in role["rules"].as_array().into_iter().flatten() {
                expand(rule, namespace.as_ref(), &mut grants);
            }
        }
        Self(grants)
    }

    /// Tells whether a request is granted.
    pub(super) fn allow(&mut self, verb: &Verb) -> bool {
        let target = &verb.target;
        let resource = match target.subresource.as_str() {
            "" => target.resource.clone(),
            sub => format!("{}/{sub}", target.resource),
        };
        let mut is_allowed = false;
        for grant in &mut self.0 {
            let fits = grant.group == target.group
                && grant.resource == resource
                && grant.verb == verb.verb
                && grant.name.as_ref().is_none_or(|name| *name == target.name)
                && grant.namespace.as_ref().is_none_or(|namespace| *namespace == target.namespace);
            grant.is_used |= fits;
            is_allowed |= fits;
        }
        is_allowed
    }

    /// Returns what is granted and was never asked for.
    pub(crate) fn unused(&self) -> Vec<String> {
        let unused = self.0.iter().filter(|grant| !grant.is_used);
        unused.map(|grant| format!("{} {}.{}", grant.verb, grant.resource, grant.group)).collect()
    }
}

fn expand(rule: &Value, namespace: Option<&String>, grants: &mut Vec<Grant>) {
    let texts = |field: &str| -> Vec<String> {
        rule[field].as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let names: Vec<Option<String>> = match texts("resourceNames") {
        names if names.is_empty() => vec![None],
        names => names.into_iter().map(Some).collect(),
    };
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            for verb in texts("verbs") {
                for name in &names {
                    grants.push(Grant {
                        group: group.clone(),
                        resource: resource.clone(),
                        verb: verb.clone(),
                        name: name.clone(),
                        namespace: namespace.cloned(),
                        is_used: false,
                    });
                }
            }
        }
    }
}
