//! What a request asks for, read off its method, path and query.

use std::collections::BTreeMap;

use http::{Method, Uri};

/// What is asked for, and on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verb {
    /// The word of RBAC: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub(crate) verb: &'static str,
    /// On what.
    pub(crate) target: Target,
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Target {
    /// The group; empty for the core group.
    pub(crate) group: String,
    /// The plural.
    pub(crate) resource: String,
    /// The subresource; empty for the object itself.
    pub(crate) subresource: String,
    /// The namespace; empty for all of them, and for what has none.
    pub(crate) namespace: String,
    /// The name; empty for the whole collection.
    pub(crate) name: String,
}

impl Verb {
    /// Tells whether this may change something.
    pub(crate) fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }

    /// Tells whether this is `verb` on `resource`.
    pub(crate) fn is(&self, verb: &str, resource: &str) -> bool {
        self.verb == verb && self.target.resource == resource
    }
}

/// Reads a request; returns its query, too.
pub(crate) fn parse(method: &Method, uri: &Uri) -> (Verb, BTreeMap<String, String>) {
    let query: BTreeMap<String, String> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect();
    let mut parts = uri.path().trim_start_matches('/').split('/');
    let group = match parts.next() {
        Some("apis") => parts.next().unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    parts.next(); // The version.
    let rest: Vec<&str> = parts.collect();
    let (namespace, rest) = match rest.as_slice() {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let part = |index: usize| rest.get(index).map(|part| decoded(part)).unwrap_or_default();
    let target =
        Target { group, resource: part(0), subresource: part(2), namespace: namespace.to_owned(), name: part(1) };
    let verb = match *method {
        Method::GET if query.get("watch").is_some_and(|watch| watch == "true") => "watch",
        Method::GET if target.name.is_empty() => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        _ => "delete",
    };
    (Verb { verb, target }, query)
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}
