//! The first entry of a bundle: what it holds, as JSON for people and programs.
//!
//! It holds nothing that differs between two layouts of one snapshot, no time of the download for instance.

use serde::Serialize;

use super::compose::Body;
use crate::archive::manifest::{FORMAT, TimeRange};
use crate::archive::snapshot::{Counts, Filter, Snapshot, Taken};
use crate::clock::Timestamp;
use crate::ids::CaptureId;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BundleManifest {
    format: u32,
    capture: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
    filter: FilterFields,
    totals: Totals,
    chunks: Vec<Chunk>,
    /// Chunks whose files could not be read when the bundle was made: nothing of them is in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FilterFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    chunks: usize,
    #[serde(flatten)]
    share: Share,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    #[serde(rename = "chunk")]
    name: String,
    started: Timestamp,
    state: &'static str,
    /// Whether the sealed file did not end as a writer leaves it: these are the frames that were still found.
    /// With a filter the end is not looked at.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    damaged: bool,
    #[serde(flatten)]
    share: Share,
}

/// What of a chunk, or of all, is in the bundle.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Share {
    bytes: u64,
    frames: u64,
    lines: u64,
    items: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<TimeRange>,
}

/// Returns the manifest of a snapshot that is laid out as `body`.
pub(super) fn of(capture: &CaptureId, snapshot: &Snapshot, body: &Body) -> Vec<u8> {
    let Filter { since, until, service, trace_id } = snapshot.scope.filter();
    let total = body.shares.iter().fold(Counts::default(), |sum, (_, counts)| sum.and(counts));
    let is_all = snapshot.scope.filter().is_all();
    let (readable, unreadable): (Vec<_>, Vec<_>) =
        snapshot.chunks.iter().zip(&body.shares).partition(|(chunk, _)| chunk.is_readable());
    let chunks = readable.iter().map(|(chunk, (bytes, counts))| Chunk {
        name: chunk.name.to_string(),
        started: chunk.name.started(),
        state: if chunk.grown_to.is_some() { "inProgress" } else { "sealed" },
        // Without a filter, a sealed chunk is taken frame by frame for this reason alone.
        damaged: is_all && chunk.grown_to.is_none() && matches!(chunk.taken, Taken::Frames { .. }),
        share: share(*bytes, *counts),
    });
    let manifest = BundleManifest {
        format: FORMAT,
        capture: capture.to_string(),
        snapshot: snapshot.token().map(ToString::to_string),
        filter: FilterFields { since, until, service, trace_id: trace_id.map(|id| id.to_string()) },
        totals: Totals { chunks: readable.len(), share: share(body.layout.content_len(), total) },
        chunks: chunks.collect(),
        unreadable: unreadable.iter().map(|(chunk, _)| chunk.name.to_string()).collect(),
    };
    // Strings, numbers and lists of them cannot fail to serialise.
    let mut json = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    json.push(b'\n');
    json
}

fn share(bytes: u64, counts: Counts) -> Share {
    let Counts { frames, lines, items, times } = counts;
    Share { bytes, frames, lines, items, times: times.map(|(start, end)| TimeRange { start, end }) }
}
