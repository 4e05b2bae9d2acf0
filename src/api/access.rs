//! What the gateway and those who come to it agree on: headers, the audience of tokens, its Service, its paths.

use crate::ids::CaptureId;

/// The header that carries a token where `Authorization` does not arrive: the API server's service proxy drops it.
pub const TOKEN_HEADER: &str = "x-tracecapture-token";

/// The audience of tokens that are made for the gateway alone, as long as nobody tells it another one.
pub const AUDIENCE: &str = "tracecapture-gateway";

/// The media type of a bundle: what has another one is none.
pub const BUNDLE_MEDIA_TYPE: &str = "application/x-tar";

/// The namespace of the installation, as long as nobody names another one.
pub const INSTALLATION_NAMESPACE: &str = "tracecapture-system";

/// The Service of the gateway as the API server's proxy names it: scheme, name and port.
pub const PROXIED_SERVICE: &str = "http:tracecapture-gateway:http";

/// The longest life of a link, as long as nobody says otherwise: a week.
pub const MAX_LINK_SECONDS: u64 = 604_800;

/// What the paths of captures begin with.
pub const CAPTURES_PATH: &str = "/api/v1/captures";

/// What the paths that name a link by its id begin with.
pub const LINKS_PATH: &str = "/api/v1/links/";

/// What the paths that signed links open begin with.
pub const OPENED_PATH: &str = "/l/";

/// Returns the path of a capture.
pub fn capture_path(capture: &CaptureId) -> String {
    format!("{CAPTURES_PATH}/{capture}")
}

/// Returns the path of a capture's bundle.
pub fn bundle_path(capture: &CaptureId) -> String {
    format!("{CAPTURES_PATH}/{capture}/bundle.tar")
}
