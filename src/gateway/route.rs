//! Paths and the names of parameters: what the gateway knows, and so may pass on.
//!
//! A path is read into its parts and, for a keeper, made anew of them: nothing of what a client sent is joined.

use http::Method;

use super::problem::Problem;
use super::reviews::Permission;
use crate::api::access::{self, CAPTURES_PATH, LINKS_PATH, OPENED_PATH};
use crate::archive::name::ChunkName;
use crate::ids::{CaptureId, TraceId};

/// What a bundle's query may hold.
const BUNDLE_QUERY: [&str; 5] = ["since", "until", "service", "traceId", "snapshot"];

/// What a search's query may hold.
const TRACES_QUERY: [&str; 10] =
    ["service", "operation", "minDuration", "maxDuration", "status", "attribute", "since", "until", "limit", "cursor"];

/// Digits of a link's id that must be given at least to name it.
const MIN_PREFIX: usize = 8;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// The list of captures.
    Captures,
    /// A part of a capture, which its keeper has.
    Capture(CaptureId, Resource),
    /// The links of a capture.
    Links(CaptureId),
    /// One of them, by the beginning of its id.
    LinkOf(CaptureId, String),
    /// A link of any capture, by the beginning of its id.
    Link(String),
    /// The page of a signed link, whose text this is.
    Page(String),
    /// The bundle that a signed link opens.
    Opened(String),
}

/// A part of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    Summary,
    Bundle,
    Manifest,
    Chunks,
    Chunk(ChunkName),
    Traces,
    Trace(TraceId),
}

impl Route {
    /// Reads a path; `None` for every path that names nothing.
    pub(super) fn parse(path: &str) -> Option<Self> {
        if let Some(link) = path.strip_prefix(OPENED_PATH) {
            return match link.split_once('/') {
                None if !link.is_empty() => Some(Self::Page(link.to_owned())),
                Some((link, "bundle.tar")) if !link.is_empty() => Some(Self::Opened(link.to_owned())),
                _ => None,
            };
        }
        if path == CAPTURES_PATH {
            return Some(Self::Captures);
        }
        if let Some(id) = path.strip_prefix(LINKS_PATH) {
            return prefix(id).map(Self::Link);
        }
        let mut parts = path.strip_prefix(CAPTURES_PATH)?.strip_prefix('/')?.splitn(3, '/');
        let capture = CaptureId::new(parts.next()?, parts.next()?).ok()?;
        let Some(rest) = parts.next() else { return Some(Self::Capture(capture, Resource::Summary)) };
        let resource = match (rest, rest.split_once('/')) {
            ("links", _) => return Some(Self::Links(capture)),
            (_, Some(("links", id))) => return prefix(id).map(|id| Self::LinkOf(capture, id)),
            ("bundle.tar", _) => Resource::Bundle,
            ("manifest", _) => Resource::Manifest,
            ("chunks", _) => Resource::Chunks,
            ("traces", _) => Resource::Traces,
            (_, Some(("chunks", chunk))) => Resource::Chunk(chunk.strip_suffix(".tar").unwrap_or(chunk).parse().ok()?),
            (_, Some(("traces", id))) => Resource::Trace(id.parse().ok()?),
            _ => return None,
        };
        Some(Self::Capture(capture, resource))
    }

    /// Returns the name that stands for the route in metrics and in the audit.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Captures => "captures",
            Self::Capture(_, resource) => resource.label(),
            Self::Links(_) => "links",
            Self::LinkOf(..) | Self::Link(_) => "link",
            Self::Page(_) => "page",
            Self::Opened(_) => "opened",
        }
    }
}

impl Resource {
    fn label(&self) -> &'static str {
        match self {
            Self::Summary => "capture",
            Self::Bundle => "bundle",
            Self::Manifest => "manifest",
            Self::Chunks => "chunks",
            Self::Chunk(_) => "chunk",
            Self::Traces => "traces",
            Self::Trace(_) => "trace",
        }
    }

    /// Tells whether it is as large as what was captured, and not a word about it.
    pub(super) fn is_download(&self) -> bool {
        matches!(self, Self::Bundle | Self::Chunk(_))
    }

    /// Returns where a keeper has it.
    pub(super) fn path(&self, capture: &CaptureId) -> String {
        let base = access::capture_path(capture);
        match self {
            Self::Summary => base,
            Self::Bundle => access::bundle_path(capture),
            Self::Manifest => format!("{base}/manifest"),
            Self::Chunks => format!("{base}/chunks"),
            Self::Chunk(chunk) => format!("{base}/chunks/{chunk}"),
            Self::Traces => format!("{base}/traces"),
            Self::Trace(id) => format!("{base}/traces/{id}"),
        }
    }

    /// Returns what it takes to do this here.
    ///
    /// # Errors
    /// A [`Problem`] where the resource does not have the method.
    pub(super) fn permission(&self, capture: &CaptureId, method: &Method) -> Result<Permission, Problem> {
        let (verb, subresource) = match (self, method) {
            (Self::Chunks, &Method::DELETE) => ("delete", "bundle"),
            (Self::Summary, &Method::GET | &Method::HEAD) => ("get", ""),
            (_, &Method::GET | &Method::HEAD) => ("get", "bundle"),
            (Self::Chunks, _) => return Err(Problem::method_not_allowed("GET, HEAD, DELETE")),
            _ => return Err(Problem::method_not_allowed("GET, HEAD")),
        };
        Ok(permission(capture, verb, subresource))
    }

    fn parameters(&self, method: &Method) -> &'static [&'static str] {
        match self {
            Self::Bundle | Self::Manifest => &BUNDLE_QUERY,
            Self::Chunk(_) => &["snapshot"],
            Self::Chunks if *method == Method::DELETE => &["before"],
            Self::Chunks | Self::Summary => &[],
            Self::Traces => &TRACES_QUERY,
            Self::Trace(_) => &["since", "until", "service"],
        }
    }

    /// Returns a query with what this resource knows, and the names that stand in it.
    ///
    /// # Errors
    /// A [`Problem`] where it has anything else.
    pub(super) fn query(&self, method: &Method, query: &str) -> Result<(String, Vec<&'static str>), Problem> {
        let known = self.parameters(method);
        let (mut pairs, mut names) = (Vec::new(), Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split('=').next().unwrap_or_default();
            let Some(&name) = known.iter().find(|&&known| known == name) else {
                let list =
                    if known.is_empty() { "none at all".to_owned() } else { format!("`{}`", known.join("`, `")) };
                return Err(Problem::bad_request(format!("the query has a parameter that is not known here: {list}")));
            };
            pairs.push(pair);
            names.push(name);
        }
        Ok((pairs.join("&"), names))
    }
}

/// Returns what it takes to do something with a capture.
pub(super) fn permission(capture: &CaptureId, verb: &'static str, subresource: &'static str) -> Permission {
    let (namespace, name) = (Some(capture.namespace().to_owned()), Some(capture.name().to_owned()));
    Permission { verb, subresource, namespace, name }
}

/// Reads the beginning of a link's id.
fn prefix(text: &str) -> Option<String> {
    let is_prefix = (MIN_PREFIX..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_prefix.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> CaptureId {
        CaptureId::new("shop", "checkout").unwrap()
    }

    #[test]
    fn paths_are_those_of_the_contract_and_are_made_anew() {
        let chunk = "20261121T103045.123Z_a_7f3a_000042";
        let base = "/api/v1/captures/shop/checkout";
        let trace = "5b8efff798038103d269b633813fc60c";
        for path in [
            base.to_owned(),
            format!("{base}/bundle.tar"),
            format!("{base}/manifest"),
            format!("{base}/chunks"),
            format!("{base}/chunks/{chunk}"),
            format!("{base}/traces"),
            format!("{base}/traces/{trace}"),
        ] {
            let Some(Route::Capture(capture, resource)) = Route::parse(&path) else { panic!("{path}") };
            assert_eq!((capture == id(), resource.path(&capture)), (true, path));
        }
        assert_eq!(Route::parse(&format!("{base}/links")), Some(Route::Links(id())));
        let link = |text: &str| Some(Route::LinkOf(id(), text.to_owned()));
        assert_eq!(Route::parse(&format!("{base}/links/0001020A")), link("0001020a"));
        assert_eq!(Route::parse("/l/v1.a.b.c"), Some(Route::Page("v1.a.b.c".to_owned())));
        assert_eq!(Route::parse("/l/v1.a.b.c/bundle.tar"), Some(Route::Opened("v1.a.b.c".to_owned())));
    }

    #[test]
    fn nothing_else_is_found() {
        for path in [
            "",
            "/",
            "/l/",
            "/l//bundle.tar",
            "/l/a/b",
            "/api/v1/links/",
            "/api/v1/links/0001",
            "/api/v1/captures/",
            "/api/v1/captures/shop",
            "/api/v1/captures/shop/checkout/",
            "/api/v1/captures/shop/../checkout",
            "/api/v1/captures/shop/checkout/links/../x",
            "/api/v1/captures/shop/checkout/chunks/..%2f..%2fx.tar",
            "/api/v1/captures/shop/checkout/traces/xyz",
            "//evil.example/api/v1/captures",
        ] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
    }

    #[test]
    fn only_known_parameters_pass() {
        let get = |resource: Resource, query: &str| resource.query(&Method::GET, query);
        let passed = get(Resource::Bundle, "since=1&service=a%26b").unwrap();
        assert_eq!(passed, ("since=1&service=a%26b".to_owned(), vec!["since", "service"]));
        for (resource, query) in
            [(Resource::Bundle, "token=1"), (Resource::Summary, "since=1"), (Resource::Chunks, "before=1")]
        {
            assert!(get(resource, query).is_err(), "{query}");
        }
        assert!(Resource::Chunks.query(&Method::DELETE, "before=1").is_ok());
    }
}
