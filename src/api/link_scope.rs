//! Which spans of a capture are meant, where not all of them are.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The longest name of a service in a scope, in bytes.
pub const MAX_SERVICE_LEN: usize = 256;

/// Which spans of a capture.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct LinkScope {
    /// Those that were captured since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Those that were captured until.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Those of this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Those of this trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl LinkScope {
    /// Returns what it selects by, as name and value.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let Self { since, until, service, trace_id } = self;
        let fields = [
            ("since", since.map(|time| time.to_string())),
            ("until", until.map(|time| time.to_string())),
            ("service", service.clone()),
            ("traceId", trace_id.clone()),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Returns the names of what it selects by.
    pub fn names(&self) -> Vec<&'static str> {
        self.fields().into_iter().map(|(name, _)| name).collect()
    }

    /// Returns the query of the bundle that it selects; empty for the whole.
    pub fn query(&self) -> String {
        query_of(self.fields())
    }

    /// Returns the query of the bundle that it selects out of a snapshot.
    pub fn query_in(&self, snapshot: &str) -> String {
        let mut fields = self.fields();
        fields.push(("snapshot", snapshot.to_owned()));
        query_of(fields)
    }
}

fn query_of(fields: Vec<(&'static str, String)>) -> String {
    let pairs = fields.into_iter().map(|(name, value)| {
        // Every byte that could end a value, and many that could not.
        format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_query_that_ends_in_no_value() {
        assert_eq!(LinkScope::default().query(), "");
        let scope = LinkScope { service: Some("a&b=c".to_owned()), ..LinkScope::default() };
        assert_eq!(scope.query(), "service=a%26b%3Dc");
        assert_eq!(scope.query_in("x_y"), "service=a%26b%3Dc&snapshot=x%5Fy");
        assert_eq!(LinkScope::default().query_in("x"), "snapshot=x");
    }

    #[test]
    fn its_fields_stand_in_a_fixed_order() {
        let time = Some("2026-11-21T10:00:00Z".parse().unwrap());
        let (service, trace_id) = (Some("s".to_owned()), Some("t".to_owned()));
        let scope = LinkScope { since: time, until: time, service, trace_id };
        assert_eq!(scope.names(), ["since", "until", "service", "traceId"]);
    }
}
