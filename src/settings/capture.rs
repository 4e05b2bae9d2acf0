//! The settings of a collector.

use std::time::Duration;

use super::receive::{ReceiveSettings, ReceiveState};
use crate::api::{self, Chunk, Durability, Retention, State, ValidCapture};
use crate::archive::{self, frame};
use crate::clock::Timestamp;
use crate::ids::CaptureId;
use crate::units::ByteSize;

/// How often a live writer touches its open chunk at the least, also when idle.
const MAX_TOUCH_INTERVAL: Duration = Duration::from_mins(1);

/// How many touches fit into the time after which a chunk counts as an orphan: three may
/// be lost to a stalled disk before a live chunk is taken for one.
const TOUCHES_WITHIN_INACTIVITY: u32 = 4;

/// What a collector needs to know of its capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorSettings {
    /// The capture that is collected.
    pub id: CaptureId,
    /// The port of OTLP over gRPC; `None` where it is not offered.
    pub grpc_port: Option<u16>,
    /// The port of OTLP over HTTP; `None` where it is not offered.
    pub http_port: Option<u16>,
    /// What can change while the collector runs.
    pub live: LiveSettings,
}

/// The settings that take effect without a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSettings {
    /// The generation of the `TraceCapture` that says so; `None` outside of a cluster.
    pub generation: Option<i64>,
    /// Whether spans are taken in.
    pub state: State,
    /// When the capture stops by itself.
    pub stop_time: Option<Timestamp>,
    /// When spans count as stored.
    pub durability: Durability,
    /// The largest request, after decompression.
    pub max_request_bytes: ByteSize,
    /// Origins whose pages may send spans; `*` stands for every one, an empty list for none.
    pub cors_allowed_origins: Vec<String>,
    /// Whether chunks and bundles are handed out.
    pub downloads: bool,
    /// When a chunk is sealed and how it is compressed.
    pub chunk: Chunk,
    /// When chunks are deleted.
    pub retention: Retention,
    /// When chunks in progress count as orphans.
    pub recovery: Recovery,
}

/// When chunks in progress count as orphans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// For how long nobody may have written to a chunk in progress before it is recovered.
    pub inactive: Duration,
    /// How often a live writer touches its open chunk, so that it never looks like an orphan.
    pub touch_every: Duration,
}

impl LiveSettings {
    /// Returns the settings in effect at an instant: those of a stopped capture once the time to stop has come.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        let has_ended = self.stop_time.is_some_and(|stop_time| stop_time <= now);
        Self { state: if has_ended { State::Stopped } else { self.state }, ..self.clone() }
    }

    /// Returns how long after `now` other settings are in effect, `None` where that is never.
    pub fn next_change(&self, now: Timestamp) -> Option<Duration> {
        let stop_time = self.stop_time.filter(|&stop_time| stop_time > now)?;
        Some(stop_time.saturating_since(now))
    }

    /// Returns how chunks that are begun from now on are compressed.
    pub fn compression(&self) -> frame::Compression {
        match self.chunk.compression {
            api::Compression::Zstd => frame::Compression::Zstd,
            api::Compression::Gzip => frame::Compression::Gzip,
            api::Compression::None => frame::Compression::None,
        }
    }

    /// Returns what commits to chunks that are begun from now on wait for.
    pub fn durability(&self) -> archive::Durability {
        match self.durability {
            Durability::Sync => archive::Durability::Sync,
            Durability::Write => archive::Durability::Write,
        }
    }

    /// Returns the settings of the endpoint.
    pub fn receive(&self) -> ReceiveSettings {
        let state = match self.state {
            State::Running => ReceiveState::Running,
            State::Stopped => ReceiveState::Stopped,
        };
        ReceiveSettings {
            state,
            max_request_bytes: self.max_request_bytes,
            cors_allowed_origins: self.cors_allowed_origins.clone(),
            ..ReceiveSettings::default()
        }
    }
}

impl CollectorSettings {
    /// Takes what a collector needs out of a capture.
    ///
    /// `started` is when this process started: `stopAfterSeconds` counts from then where no API server created the object.
    pub fn of(capture: &ValidCapture, started: Timestamp) -> Self {
        let receiver = capture.receiver();
        let inactive = capture.inactive();
        let touch_every = (inactive / TOUCHES_WITHIN_INACTIVITY).min(MAX_TOUCH_INTERVAL);
        let live = LiveSettings {
            generation: capture.origin().generation,
            state: capture.state(),
            stop_time: capture.stop_time(started),
            durability: capture.durability(),
            max_request_bytes: receiver.max_request_bytes,
            cors_allowed_origins: capture.spec().receiver.cors.allowed_origins.clone(),
            downloads: capture.spec().download.enabled,
            chunk: capture.chunk(),
            retention: capture.retention(),
            recovery: Recovery { inactive, touch_every },
        };
        Self { id: capture.id().clone(), grpc_port: receiver.grpc_port, http_port: receiver.http_port, live }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_nanos(second * 1_000_000_000)
    }

    fn check(spec: &str, expected: impl FnOnce(&CollectorSettings)) {
        let text = format!(
            "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {{name: checkout, namespace: shop}}\nspec: {spec}\n"
        );
        expected(&CollectorSettings::of(&crate::api::parse(&text).unwrap(), at(1_000)));
    }

    #[test]
    fn defaults_are_those_of_the_resource() {
        check("{}", |settings| {
            assert_eq!(settings.id.to_string(), "shop/checkout");
            assert_eq!((settings.grpc_port, settings.http_port), (Some(4317), Some(4318)));
            assert_eq!(settings.live.max_request_bytes, ByteSize(64 << 20));
            assert_eq!(settings.live.chunk.max_bytes, ByteSize(50_000_000));
            assert_eq!(settings.live.chunk.max_age, Duration::from_hours(1));
            assert_eq!(settings.live.retention.max_bytes, ByteSize(1_000_000_000));
            assert_eq!(settings.live.retention.max_age, None);
            assert_eq!(settings.live.recovery.inactive, Duration::from_mins(10));
        });
    }

    #[test]
    fn a_capture_is_stopped_from_its_stop_time_on() {
        check("{stopAfterSeconds: 60, endTime: '2100-01-01T00:00:00Z'}", |settings| {
            let state = |second| settings.live.at(at(second)).state;
            assert_eq!((state(1_059), state(1_060), state(1_061)), (State::Running, State::Stopped, State::Stopped));
            let next = |second| settings.live.next_change(at(second));
            assert_eq!((next(1_050), next(1_060)), (Some(Duration::from_secs(10)), None));
        });
        check("{state: Stopped}", |settings| {
            assert_eq!((settings.live.at(at(0)).state, settings.live.next_change(at(0))), (State::Stopped, None));
        });
    }

    #[test]
    fn a_transport_that_is_off_has_no_port() {
        check("{receiver: {grpc: {enabled: false}, http: {port: 14318}}}", |settings| {
            assert_eq!((settings.grpc_port, settings.http_port), (None, Some(14318)));
        });
    }

    #[test]
    fn a_live_chunk_is_touched_well_before_it_looks_like_an_orphan() {
        for (inactive, touch) in [(600, 60_000), (240, 60_000), (8, 2_000), (1, 250)] {
            check(&format!("{{recovery: {{inactiveSeconds: {inactive}}}}}"), |settings| {
                assert_eq!(settings.live.recovery.touch_every, Duration::from_millis(touch));
            });
        }
    }
}
