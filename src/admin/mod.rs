//! Probes and metrics of a process: `/livez`, `/readyz` and `/metrics`.
//!
//! What they say is the role's to decide; here stands how it is answered, the same on the
//! admin port of a pod and under the web address of `tracecapture run`.
//!
//! # Invariants
//! - Nothing that is captured and no secret can be had here: the port needs no credentials.
//! - Connections are few, short and of one request, so that nobody keeps a probe from its answer for long.

mod server;

use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response, StatusCode};

pub use server::serve;

/// How long probes in flight have at the very end of a process.
pub const END_LIMIT: Duration = Duration::from_secs(1);

/// The media type of the `OpenMetrics` text format.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Asks for something that is well or says why not; must not block.
pub type Probe = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What a process says about itself.
#[derive(Clone)]
pub struct Admin {
    /// Fails where only a restart helps.
    pub live: Probe,
    /// Fails while the process cannot do its work.
    pub ready: Probe,
    /// Writes all metrics of the process in the `OpenMetrics` text format; must not block.
    pub render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// One of the three things that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Whether the process should be left running.
    Live,
    /// Whether it can do its work.
    Ready,
    /// Its metrics.
    Metrics,
}

impl Endpoint {
    /// Reads a path; `None` for every other one.
    pub fn parse(path: &str) -> Option<Self> {
        match path {
            "/livez" => Some(Self::Live),
            "/readyz" => Some(Self::Ready),
            "/metrics" => Some(Self::Metrics),
            _ => None,
        }
    }
}

impl Admin {
    /// Speaks for a process that has not started its parts yet: alive, not ready, without metrics.
    pub fn starting() -> Self {
        Self {
            live: Arc::new(|| Ok(())),
            ready: Arc::new(|| Err("the process is starting".to_owned())),
            render_metrics: Arc::new(|| "# EOF\n".to_owned()),
        }
    }

    /// Answers what was asked.
    pub fn answer(&self, endpoint: Endpoint) -> Response<String> {
        match endpoint {
            Endpoint::Live => probed(&self.live),
            Endpoint::Ready => probed(&self.ready),
            Endpoint::Metrics => text(StatusCode::OK, METRICS_TYPE, (self.render_metrics)()),
        }
    }

    /// Answers a request to the admin port.
    fn respond(&self, method: &Method, path: &str) -> Response<String> {
        match Endpoint::parse(path) {
            None => plain(StatusCode::NOT_FOUND, "here are `/livez`, `/readyz` and `/metrics`\n".to_owned()),
            Some(_) if !matches!(*method, Method::GET | Method::HEAD) => {
                plain(StatusCode::METHOD_NOT_ALLOWED, "this can only be read\n".to_owned())
            }
            Some(endpoint) => self.answer(endpoint),
        }
    }
}

fn probed(probe: &Probe) -> Response<String> {
    match probe() {
        Ok(()) => plain(StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn plain(status: StatusCode, body: String) -> Response<String> {
    text(status, "text/plain; charset=utf-8", body)
}

fn text(status: StatusCode, media_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, path: &str, status: u16, body: &str) {
        let admin = Admin { live: Arc::new(|| Err("the keeper ended".to_owned())), ..Admin::starting() };
        let response = admin.respond(method, path);
        assert_eq!((response.status().as_u16(), response.body().as_str()), (status, body), "{method} {path}");
    }

    #[test]
    fn each_path_asks_its_own_question() {
        check(&Method::GET, "/livez", 503, "the keeper ended\n");
        check(&Method::HEAD, "/readyz", 503, "the process is starting\n");
        check(&Method::GET, "/metrics", 200, "# EOF\n");
        check(&Method::POST, "/livez", 405, "this can only be read\n");
        check(&Method::GET, "/metrics/x", 404, "here are `/livez`, `/readyz` and `/metrics`\n");
        assert_eq!(Admin::starting().answer(Endpoint::Live).status(), 200);
        let metrics = Admin::starting().answer(Endpoint::Metrics);
        assert_eq!(metrics.headers().get(CONTENT_TYPE).unwrap(), METRICS_TYPE);
    }
}
