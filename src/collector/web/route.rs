//! Paths and queries, parsed once.

use percent_encoding::percent_decode_str;

use super::problem::Problem;
use crate::archive::name::ChunkName;
use crate::archive::snapshot::{Filter, InvalidToken, Token};
use crate::clock::Timestamp;
use crate::ids::{CaptureId, InvalidId, TraceId};

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Live,
    Ready,
    Metrics,
    Captures,
    Capture(CaptureId, Resource),
}

/// A part of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    Summary,
    Bundle,
    Manifest,
    Chunks,
    Chunk(ChunkName),
    Trace(TraceId),
}

impl Route {
    /// Reads a path; `None` for every path that names nothing.
    pub(super) fn parse(path: &str) -> Option<Self> {
        match path {
            "/livez" => return Some(Self::Live),
            "/readyz" => return Some(Self::Ready),
            "/metrics" => return Some(Self::Metrics),
            "/api/v1/captures" => return Some(Self::Captures),
            _ => {}
        }
        let mut parts = path.strip_prefix("/api/v1/captures/")?.splitn(3, '/');
        let capture = CaptureId::new(parts.next()?, parts.next()?).ok()?;
        let Some(rest) = parts.next() else { return Some(Self::Capture(capture, Resource::Summary)) };
        let resource = match (rest, rest.split_once('/')) {
            ("bundle.tar", _) => Resource::Bundle,
            ("manifest", _) => Resource::Manifest,
            ("chunks", _) => Resource::Chunks,
            (_, Some(("chunks", chunk))) => Resource::Chunk(chunk.strip_suffix(".tar").unwrap_or(chunk).parse().ok()?),
            (_, Some(("traces", id))) => Resource::Trace(id.parse().ok()?),
            _ => return None,
        };
        Some(Self::Capture(capture, resource))
    }

    /// Returns the name that stands for the route in metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Live => "livez",
            Self::Ready => "readyz",
            Self::Metrics => "metrics",
            Self::Captures => "captures",
            Self::Capture(_, resource) => match resource {
                Resource::Summary => "capture",
                Resource::Bundle => "bundle",
                Resource::Manifest => "manifest",
                Resource::Chunks => "chunks",
                Resource::Chunk(_) => "chunk",
                Resource::Trace(_) => "trace",
            },
        }
    }
}

/// Every parameter a query may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) filter: Filter,
    pub(super) snapshot: Option<Token>,
    pub(super) before: Option<Timestamp>,
}

impl Query {
    /// Reads a query in which only `allowed` parameters may stand, each once.
    pub(super) fn parse(query: &str, allowed: &[&str]) -> Result<Self, Problem> {
        let (mut parsed, mut seen) = (Self::default(), Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(&name) = allowed.iter().find(|&&known| known == name) else {
                let list = allowed.join("`, `");
                return Err(Problem::bad_request(format!("the query has a parameter other than `{list}`")));
            };
            if seen.contains(&name) {
                return Err(Problem::bad_request(format!("the query has `{name}` twice")));
            }
            seen.push(name);
            parsed.set(name, &decode(name, value)?)?;
        }
        Ok(parsed)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let wrong = |error: String| Problem::bad_request(format!("`{name}`: {error}"));
        let time = || value.parse::<Timestamp>().map(Some).map_err(|error| wrong(error.to_string()));
        match name {
            "since" => self.filter.since = time()?,
            "until" => self.filter.until = time()?,
            "before" => self.before = time()?,
            "service" => self.filter.service = Some(value.to_owned()),
            "traceId" => {
                self.filter.trace_id = Some(value.parse().map_err(|error: InvalidId| wrong(error.to_string()))?);
            }
            _ => self.snapshot = Some(value.parse().map_err(|error: InvalidToken| wrong(error.to_string()))?),
        }
        Ok(())
    }
}

/// Decodes a value; a `+` is a space, as forms write it, but not in a time, where it is that of `+02:00`.
fn decode(name: &str, value: &str) -> Result<String, Problem> {
    let spaced = if name == "service" { value.replace('+', " ") } else { value.to_owned() };
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| Problem::bad_request("the query is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_the_contract_says() {
        let capture = |resource| Some(Route::Capture(CaptureId::new("default", "local").unwrap(), resource));
        let chunk = "20261121T103045.123Z_a_7f3a_000042";
        let base = "/api/v1/captures/default/local";
        assert_eq!(Route::parse(base), capture(Resource::Summary));
        assert_eq!(Route::parse(&format!("{base}/bundle.tar")), capture(Resource::Bundle));
        let expected = capture(Resource::Chunk(chunk.parse().unwrap()));
        assert_eq!(Route::parse(&format!("{base}/chunks/{chunk}")), expected);
        assert_eq!(Route::parse(&format!("{base}/chunks/{chunk}.tar")), expected);
    }

    #[test]
    fn nothing_else_is_found() {
        for path in [
            "",
            "/",
            "/api/v1/captures/default",
            "/api/v1/captures/default/local/",
            "/api/v1/captures/default/local/bundle.tar/",
            "/api/v1/captures/default/local/bundle.tar/x",
            "/api/v1/captures/default/local/manifest/",
            "/api/v1/captures/default/local/chunks/",
            "/api/v1/captures/default/local/traces",
            "/api/v1/captures/",
            "/livez/",
            "/api/v1/captures/../local",
            "/api/v1/captures/default/local/chunks/../../etc/passwd",
            "/api/v1/captures/default/local/chunks/..%2f..%2fx.tar",
            "/api/v1/captures/default/local/traces/xyz",
        ] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
    }

    #[test]
    fn queries_are_read_strictly() {
        let names = ["since", "service", "snapshot"];
        let query = Query::parse("since=2026-11-21T12:00:00%2B02:00&service=a+b%26%2B", &names).unwrap();
        assert_eq!(query.filter.service.as_deref(), Some("a b&+"));
        assert_eq!(query.filter.since, Some("2026-11-21T10:00:00Z".parse().unwrap()));
        assert!(Query::parse("since=2026-11-21T12:00:00+02:00", &names).is_ok());
        for bad in ["since=yesterday", "service=a&service=b", "sinc=1", "before=1", "service=%ff", "snapshot=x"] {
            assert_eq!(Query::parse(bad, &names).unwrap_err().status, 400, "{bad}");
        }
    }
}
