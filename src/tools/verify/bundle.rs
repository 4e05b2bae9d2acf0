//! Holds the chunks of a bundle against its manifest, and tells what the manifest itself says is missing.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::report::{ChunkReport, Status};
use crate::archive::read::Origin;

/// What a bundle's manifest promises and was not seen yet.
#[derive(Debug, Default)]
pub(super) struct Promise {
    /// What is to be found, by chunk.
    chunks: BTreeMap<String, Promised>,
    /// Whether every chunk of the bundle is listed.
    is_full: bool,
    /// Chunks of which there is nothing, because their files could not be read.
    unreadable: Vec<String>,
    fault: Option<String>,
}

/// What is to be found of one chunk.
#[derive(Debug, PartialEq, Eq)]
struct Promised {
    frames: u64,
    spans: u64,
    /// Whether that is only what was still found in a damaged file.
    was_damaged: bool,
}

/// What became of the promise about one chunk.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// How the chunk differs from what was promised.
    pub(super) difference: Option<String>,
    /// Whether its file was damaged before the bundle was made.
    pub(super) was_damaged: bool,
}

#[derive(Deserialize)]
struct BundleManifest {
    #[serde(default)]
    filter: Filter,
    #[serde(default)]
    chunks: Vec<Share>,
    #[serde(default)]
    unreadable: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    trace_id: Option<String>,
}

#[derive(Deserialize)]
struct Share {
    chunk: String,
    frames: u64,
    items: u64,
    #[serde(default)]
    damaged: bool,
}

impl Promise {
    /// Reads the manifest of a bundle.
    pub(super) fn of(manifest: &[u8]) -> Self {
        match serde_json::from_slice::<BundleManifest>(manifest) {
            // The spans of one trace are gathered out of the listed chunks, none of which is in the bundle.
            Ok(BundleManifest { filter: Filter { trace_id: Some(_) }, chunks: _, unreadable }) => {
                Self { unreadable, ..Self::default() }
            }
            Ok(BundleManifest { filter: Filter { trace_id: None }, chunks, unreadable }) => {
                // A filter may have left nothing of a chunk.
                let is_full = !chunks.is_empty();
                let chunks = chunks.into_iter().filter(|share| share.frames > 0);
                let chunks = chunks.map(|Share { chunk, frames, items, damaged }| {
                    (chunk, Promised { frames, spans: items, was_damaged: damaged })
                });
                Self { chunks: chunks.collect(), is_full, unreadable, fault: None }
            }
            Err(error) => Self { fault: Some(format!("cannot read its manifest: {error}")), ..Self::default() },
        }
    }

    /// Tells of the chunks that could not be read when the bundle was made; each once.
    pub(super) fn take_unreadable(&mut self) -> Vec<ChunkReport> {
        std::mem::take(&mut self.unreadable).iter().map(|chunk| ChunkReport::unreadable(chunk)).collect()
    }

    /// Notes a chunk; says what differs from what was promised.
    ///
    /// `origin` is where the chunk was found: outside bundles, there may be others than the manifest lists.
    pub(super) fn keep(&mut self, report: &ChunkReport, origin: Origin) -> Kept {
        let ChunkReport { chunk, frames, spans, .. } = report;
        let Some(promised) = self.chunks.remove(chunk) else {
            let is_strange = self.is_full && origin == Origin::Bundle && *frames > 0;
            let difference =
                is_strange.then(|| "the bundle's manifest does not list it, or it is there twice".to_owned());
            return Kept { difference, was_damaged: false };
        };
        let Promised { frames: stated_frames, spans: stated_spans, was_damaged } = promised;
        let difference = ((stated_frames, stated_spans) != (*frames, *spans)).then(|| {
            format!(
                "the bundle's manifest says {stated_frames} frames and {stated_spans} spans, {frames} and {spans} are there"
            )
        });
        Kept { difference, was_damaged }
    }

    /// Says what of the promise was not kept; `None` where all was.
    pub(super) fn broken(self) -> Option<ChunkReport> {
        let Self { chunks, fault, .. } = self;
        let missing = chunks.first_key_value().map(|(first, _)| {
            format!("{} chunks that its manifest lists are missing, the first is {first}", chunks.len())
        });
        let issues: Vec<String> = fault.into_iter().chain(missing).collect();
        let status = Status::Damaged;
        (!issues.is_empty()).then(|| ChunkReport { issues, failed: true, status, ..ChunkReport::new("bundle") })
    }
}
