//! What the API server says about the rights of service accounts.

use crate::command::{attempt, until};

/// Returns a service account as the API server names it.
pub(crate) fn account(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// Tells whether somebody may do something; a subresource follows a slash.
pub(crate) fn can(user: &str, verb: &str, what: &str, namespace: &str) -> bool {
    let (what, part) = what.split_once('/').unwrap_or((what, ""));
    let (part, user) = (format!("--subresource={part}"), format!("--as={user}"));
    attempt("kubectl", &["auth", "can-i", verb, what, &part, "-n", namespace, &user]).is_ok()
}

/// Waits until somebody may do something: the API server takes note of a binding a moment after it was made.
#[track_caller]
pub(crate) fn until_can(user: &str, verb: &str, what: &str, namespace: &str) {
    until(&format!("{user} may {verb} {what}"), || can(user, verb, what, namespace).then_some(()));
}
