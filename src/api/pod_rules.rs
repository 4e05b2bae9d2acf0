//! The rules about `spec.collector`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::names::RESERVED_VARIABLES;
use super::pods::{CollectorSpec, ResourcesSpec};
use super::quantity::Quantity;
use super::rule::{Rule, is_subdomain};

/// What is said of a quantity that Kubernetes would not take for a resource.
const QUANTITY_MESSAGE: &str = "write quantities that are not negative, such as `500m` for half a core or `256Mi`";

/// What an overlay may not set, because every collector pod stands or falls with it.
const KEPT_FROM_OVERLAY: [&str; 5] =
    ["hostNetwork", "hostPID", "hostIPC", "serviceAccountName", "automountServiceAccountToken"];

/// Writes the rule that every value of a map of resources is a quantity.
macro_rules! quantities_cel {
    ($field:literal) => {
        concat!(
            "!has(self.",
            $field,
            ") || self.",
            $field,
            ".all(k, string(self.",
            $field,
            "[k]).matches('^[0-9]{1,15}([.][0-9]{1,9})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$'))"
        )
    };
}

/// The rules about the pods.
pub(super) const POD_RULES: &[Rule] = &[
    Rule {
        at: "spec.collector.resources",
        field: ".requests",
        cel: Some(quantities_cel!("requests")),
        message: QUANTITY_MESSAGE,
        reads: &["spec.collector.resources.requests"],
        holds: |spec| resources(&spec.collector).is_none_or(|resources| are_quantities(&resources.requests)),
    },
    Rule {
        at: "spec.collector.resources",
        field: ".limits",
        cel: Some(quantities_cel!("limits")),
        message: QUANTITY_MESSAGE,
        reads: &["spec.collector.resources.limits"],
        holds: |spec| resources(&spec.collector).is_none_or(|resources| are_quantities(&resources.limits)),
    },
    Rule {
        at: "spec.collector.resources",
        field: ".requests",
        // The pattern again, so that a comparison never fails: the rules above name what breaks it.
        cel: Some(
            "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) \
              || !string(self.requests[k]).matches('^[0-9]{1,15}([.][0-9]{1,9})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$') \
              || !string(self.limits[k]).matches('^[0-9]{1,15}([.][0-9]{1,9})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$') \
              || quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",
        ),
        message: "a pod cannot request more of a resource than its limit: lower the request or raise the limit",
        reads: &["spec.collector.resources.requests", "spec.collector.resources.limits"],
        holds: |spec| resources(&spec.collector).is_none_or(are_requests_within_limits),
    },
    Rule {
        at: "spec.collector",
        field: ".image",
        // A reference is printable ASCII; what else it must be differs between container runtimes.
        cel: Some("!has(self.image) || self.image.matches('^[!-~]+$')"),
        message: "write the reference of an image without blanks, such as `images.example.com/tracecapture:1.0.0`",
        reads: &["spec.collector.image"],
        holds: |spec| {
            spec.collector.image.as_deref().is_none_or(|image| image.bytes().all(|byte| byte.is_ascii_graphic()))
        },
    },
    Rule {
        at: "spec.collector",
        field: ".nodeSelector",
        // The keys of a map have no bound that the server's estimate of costs would know.
        cel: None,
        message: "write the keys of labels, such as `kubernetes.io/arch`: 1 to 63 of letters, digits, `-`, `_` and `.`, \
                  with a domain and `/` before them where there is one",
        reads: &["spec.collector.nodeSelector"],
        holds: |spec| spec.collector.node_selector.keys().all(|key| is_label_key(key)),
    },
    Rule {
        at: "spec.collector",
        field: ".nodeSelector",
        cel: Some(
            "!has(self.nodeSelector) || self.nodeSelector.all(k, \
              self.nodeSelector[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))",
        ),
        message: "write the values of labels: at most 63 of letters, digits, `-`, `_` and `.`, with a letter or digit \
                  at both ends",
        reads: &["spec.collector.nodeSelector"],
        holds: |spec| spec.collector.node_selector.values().all(|value| value.is_empty() || is_label_word(value)),
    },
    Rule {
        at: "spec.collector",
        field: ".tolerations",
        cel: Some(
            "!has(self.tolerations) || self.tolerations.all(t, \
              (!has(t.operator) || t.operator != 'Exists' || !has(t.value) || t.value == '') \
              && ((has(t.key) && t.key != '') || (has(t.operator) && t.operator == 'Exists')) \
              && (!has(t.tolerationSeconds) || (has(t.effect) && t.effect == 'NoExecute')))",
        ),
        message: "write tolerations as in a pod: `operator: Exists` without a `value`, no `key` only with \
                  `operator: Exists`, and `tolerationSeconds` only with `effect: NoExecute`",
        reads: &["spec.collector.tolerations"],
        holds: |spec| spec.collector.tolerations.iter().all(is_toleration),
    },
    Rule {
        at: "spec.collector",
        field: ".topologySpreadConstraints",
        cel: Some(
            "!has(self.topologySpreadConstraints) || self.topologySpreadConstraints.all(c, !has(c.minDomains) \
              || !has(c.whenUnsatisfiable) || c.whenUnsatisfiable == 'DoNotSchedule')",
        ),
        message: "`minDomains` goes with `whenUnsatisfiable: DoNotSchedule` alone: remove it, or write that",
        reads: &["spec.collector.topologySpreadConstraints"],
        holds: |spec| {
            let is_loose = |constraint: &Map<String, Value>| {
                constraint.get("whenUnsatisfiable").is_some_and(|unsatisfiable| unsatisfiable != "DoNotSchedule")
            };
            let constraints = &spec.collector.topology_spread_constraints;
            !constraints.iter().any(|constraint| constraint.contains_key("minDomains") && is_loose(constraint))
        },
    },
    Rule {
        at: "spec.collector",
        field: ".env",
        cel: Some("!has(self.env) || self.env.all(e, !has(e.name) || e.name.matches('^[A-Za-z_][A-Za-z0-9_]*$'))"),
        message: "write the names of variables of letters, digits and `_`, not beginning with a digit, such as `RUST_LOG`",
        reads: &["spec.collector.env"],
        holds: |spec| spec.collector.env.iter().all(|variable| is_variable(&variable.name)),
    },
    Rule {
        at: "spec.collector",
        field: ".env",
        cel: Some(
            "!has(self.env) || self.env.all(e, !has(e.name) || !(e.name.startsWith('POD_') \
              || e.name.startsWith('TRACECAPTURE_')))",
        ),
        message: "variables whose names begin with `POD_` or `TRACECAPTURE_` are set by the operator: remove them",
        reads: &["spec.collector.env"],
        holds: |spec| {
            let is_ours = |name: &str| RESERVED_VARIABLES.iter().any(|prefix| name.starts_with(prefix));
            !spec.collector.env.iter().any(|variable| is_ours(&variable.name))
        },
    },
    Rule {
        at: "spec.collector",
        field: ".podOverlay",
        cel: Some(
            "!has(self.podOverlay) || !has(self.podOverlay.spec) || !(has(self.podOverlay.spec.hostNetwork) \
              || has(self.podOverlay.spec.hostPID) || has(self.podOverlay.spec.hostIPC) \
              || has(self.podOverlay.spec.serviceAccountName) \
              || has(self.podOverlay.spec.automountServiceAccountToken))",
        ),
        message: "an overlay cannot set `hostNetwork`, `hostPID`, `hostIPC`, `serviceAccountName` or \
                  `automountServiceAccountToken`: remove them; collector pods neither need a token nor the node's namespaces",
        reads: &["spec.collector.podOverlay.spec"],
        holds: |spec| {
            let spec = spec.collector.pod_overlay.get("spec").and_then(|spec| spec.as_object());
            spec.is_none_or(|spec| !KEPT_FROM_OVERLAY.iter().any(|key| spec.contains_key(*key)))
        },
    },
];

fn resources(collector: &CollectorSpec) -> Option<&ResourcesSpec> {
    collector.resources.as_ref()
}

fn are_quantities(resources: &BTreeMap<String, Quantity>) -> bool {
    resources.values().all(|quantity| quantity.nanos().is_some())
}

fn are_requests_within_limits(resources: &ResourcesSpec) -> bool {
    resources.requests.iter().all(|(name, request)| {
        let limit = resources.limits.get(name).and_then(Quantity::nanos);
        limit.zip(request.nanos()).is_none_or(|(limit, request)| request <= limit)
    })
}

/// Tells whether the fields of a toleration go together; the schema knows the values that each may have.
fn is_toleration(toleration: &Map<String, Value>) -> bool {
    let text = |field: &str| toleration.get(field).and_then(Value::as_str).unwrap_or_default();
    let is_exists = text("operator") == "Exists";
    (!is_exists || text("value").is_empty())
        && (is_exists || !text("key").is_empty())
        && (!toleration.contains_key("tolerationSeconds") || text("effect") == "NoExecute")
}

/// Tells whether `text` names a variable in every shell.
fn is_variable(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Tells whether `text` is the key of a label: a word, after a domain and `/` or not.
///
/// Source: Kubernetes documentation, "Labels and Selectors", syntax and character set.
fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, word)) => domain.len() <= 253 && is_subdomain(domain) && is_label_word(word),
        None => is_label_word(text),
    }
}

/// Tells whether `text` is the value of a label, or its key without a domain.
fn is_label_word(text: &str) -> bool {
    let is_end = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.starts_with(is_end)
        && text.ends_with(is_end)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
