//! Holds the chunks of a bundle against its manifest.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::report::{ChunkReport, Status};
use crate::archive::read::Origin;

/// What a bundle's manifest promises and was not seen yet.
#[derive(Debug, Default)]
pub(super) struct Promise {
    /// Frames and spans by chunk.
    chunks: BTreeMap<String, (u64, u64)>,
    /// Whether every chunk of the bundle is listed.
    is_full: bool,
    fault: Option<String>,
}

#[derive(Deserialize)]
struct BundleManifest {
    #[serde(default)]
    filter: Filter,
    #[serde(default)]
    chunks: Vec<Share>,
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
}

impl Promise {
    /// Reads the manifest of a bundle.
    pub(super) fn of(manifest: &[u8]) -> Self {
        match serde_json::from_slice::<BundleManifest>(manifest) {
            // The spans of one trace are gathered out of the listed chunks, none of which is in the bundle.
            Ok(BundleManifest { filter: Filter { trace_id: Some(_) }, .. }) => Self::default(),
            Ok(BundleManifest { filter: Filter { trace_id: None }, chunks }) => {
                // A filter may have left nothing of a chunk.
                let is_full = !chunks.is_empty();
                let chunks = chunks.into_iter().filter(|share| share.frames > 0);
                let chunks = chunks.map(|Share { chunk, frames, items }| (chunk, (frames, items))).collect();
                Self { chunks, is_full, fault: None }
            }
            Err(error) => Self { fault: Some(format!("cannot read its manifest: {error}")), ..Self::default() },
        }
    }

    /// Notes a chunk; says what differs from what was promised.
    ///
    /// `origin` is where the chunk was found: outside bundles, there may be others than the manifest lists.
    pub(super) fn keep(&mut self, report: &ChunkReport, origin: Origin) -> Option<String> {
        let ChunkReport { chunk, frames, spans, .. } = report;
        let Some(promised) = self.chunks.remove(chunk) else {
            let is_strange = self.is_full && origin == Origin::Bundle && *frames > 0;
            return is_strange.then(|| "the bundle's manifest does not list it, or it is there twice".to_owned());
        };
        let (stated_frames, stated_spans) = promised;
        (promised != (*frames, *spans)).then(|| {
            format!(
                "the bundle's manifest says {stated_frames} frames and {stated_spans} spans, {frames} and {spans} are there"
            )
        })
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
