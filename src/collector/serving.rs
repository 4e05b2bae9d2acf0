//! What a collector shows: its capture on the web address, itself to probes and scrapers.

use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::describe::Sources;
use super::keeper;
use super::place::Place;
use super::vitals::Vitals;
use super::web::{Access, CaptureSource, Custody, WebContext, WebLimits};
use crate::admin::Admin;
use crate::archive::bundle::{Bundles, Pins};
use crate::archive::layout;
use crate::ids::CaptureId;
use crate::settings::Duty;
use crate::telemetry::metrics::WebMetrics;

/// Where a collector works, and as what.
pub(super) struct Site {
    pub(super) place: Place,
    pub(super) duty: Duty,
    /// Whether no process had opened the directory before, so that no download can be older than this one.
    pub(super) is_new: bool,
}

/// Returns what probes and scrapers are told.
pub(super) fn admin(vitals: Vitals, sources: Sources, registry: Registry) -> Admin {
    let ready = vitals.clone();
    Admin {
        live: Arc::new(move || vitals.live()),
        ready: Arc::new(move || ready.ready()),
        render_metrics: Arc::new(move || {
            sources.refresh();
            let mut text = String::new();
            // Writing to a string cannot fail.
            let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
            text
        }),
    }
}

/// Returns what the web address serves: one capture, to whom `access` admits.
pub(super) fn web(
    site: Site,
    capture: CaptureSource,
    (access, admin): (Access, Admin),
    metrics: WebMetrics,
) -> WebContext {
    let Site { place, is_new, .. } = site;
    WebContext {
        captures: vec![capture],
        access,
        clock: Arc::clone(&place.clock),
        metrics,
        admin,
        // Another process serves the same chunks, perhaps under the same name, from when its lock file is there.
        is_only_sender: Arc::new(move || {
            is_new && layout::count_writers(&*place.fs, &place.data_dir).is_ok_and(|n| n == 1)
        }),
        limits: WebLimits::default(),
    }
}

/// Returns the capture as it is served.
pub(super) fn capture(site: &Site, id: CaptureId, sources: Sources, pins: Pins) -> CaptureSource {
    let Site { place, duty, .. } = site;
    let bundles = Bundles::new(Arc::clone(&place.fs), &place.data_dir, id, place.committed.clone());
    let (settings, stopped) = (Arc::clone(&sources.settings), sources.clone());
    let (cleared, duty) = (place.clone(), *duty);
    CaptureSource {
        bundles: Arc::new(bundles),
        pins,
        describe: Arc::new(move || sources.describe()),
        is_stopped: Arc::new(move || stopped.is_stopped()),
        custody: Arc::new(move || match duty {
            Duty::WriterOnly => Custody::Elsewhere,
            Duty::Keeper if !settings.load().downloads => Custody::Disabled,
            Duty::Keeper => Custody::Open,
        }),
        clear: Arc::new(move |before| keeper::clear(&cleared, before)),
    }
}
