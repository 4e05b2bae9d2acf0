//! What a gateway process was told at its start.

use std::time::Duration;

use super::proxies::TrustedProxies;
use crate::installation::Watched;

/// The settings of a gateway process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The namespace of the installation: its keys and the record of its links lie here.
    pub namespace: String,
    /// Whose captures are handed out.
    pub watched: Watched,
    /// The public base address, without a slash at the end; `None` where the gateway does not know it.
    pub public_url: Option<String>,
    /// The audience that tokens for this gateway alone are made for.
    pub audience: String,
    /// Where a collector pod's HTTP API is reached: `{pod}`, `{service}`, `{namespace}` and `{ordinal}` are replaced.
    pub collector_url: String,
    /// Whose word is taken for where a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// The longest life of a link.
    pub max_link_ttl: Duration,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Downloads at a time; further ones are told to come back.
    pub streams: usize,
    /// Downloads at a time of one link.
    pub link_streams: usize,
    /// Downloads at a time of one user, whatever tokens they show; other answers of keepers, too.
    pub user_streams: usize,
    /// Other answers of keepers at a time: summaries, lists, searches.
    pub answers: usize,
    /// Open connections; one more waits in the system's backlog.
    pub connections: usize,
    /// A client that takes nothing, or a keeper that sends nothing, for this long is let go; there is no limit in total.
    pub idle: Duration,
    /// How long running responses may go on once the process ends.
    pub drain: Duration,
}

impl Limits {
    /// Makes the bounds of a gateway with so many places for downloads, of which one user never gets more than half.
    pub fn of(streams: usize) -> Self {
        let limits = Self::default();
        Self { streams, user_streams: limits.user_streams.min(streams.div_ceil(2)), ..limits }
    }
}

impl Default for Limits {
    fn default() -> Self {
        // A stream is two connections and their buffers, about 120 KiB, whatever it carries.
        Self {
            streams: 256,
            link_streams: 4,
            // Jobs that share an account, and nowhere near all places.
            user_streams: 16,
            answers: 64,
            connections: 1024,
            idle: Duration::from_mins(1),
            drain: Duration::from_secs(20),
        }
    }
}
