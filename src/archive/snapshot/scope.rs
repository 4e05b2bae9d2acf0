//! What a download is of: a capture or a chunk, and which spans.

use ring::digest::{Context, SHA256};

use super::digest::{hash_text, head};
use crate::archive::name::ChunkName;
use crate::archive::trailer::Facts;
use crate::clock::Timestamp;
use crate::ids::{CaptureId, TraceId};

/// Which spans of a capture are asked for; the default asks for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Spans that end at this instant or later.
    pub since: Option<Timestamp>,
    /// Spans that start before this instant.
    pub until: Option<Timestamp>,
    /// Spans of this `service.name`.
    pub service: Option<String>,
    /// Spans of this trace.
    pub trace_id: Option<TraceId>,
}

impl Filter {
    /// Tells whether nothing is left out.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Tells whether a frame may hold what is asked for; `false` is certain.
    pub fn takes(&self, facts: &Facts) -> bool {
        facts.may_overlap(self.since, self.until)
            && self.service.as_ref().is_none_or(|service| facts.may_have_service(service))
            && self.trace_id.as_ref().is_none_or(|id| facts.trace_ids.may_contain(id))
    }

    fn hash_into(&self, context: &mut Context) {
        let Self { since, until, service, trace_id } = self;
        for instant in [since, until] {
            let nanos = instant.map(Timestamp::as_unix_nanos);
            hash_text(context, &nanos.map(|n| n.to_string()).unwrap_or_default());
        }
        context.update(&[u8::from(service.is_some())]);
        hash_text(context, service.as_deref().unwrap_or_default());
        hash_text(context, &trace_id.map(|id| id.to_string()).unwrap_or_default());
    }
}

/// What a download is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The capture's chunks, in one archive that begins with a manifest.
    Bundle(Filter),
    /// One chunk, as an archive of its own.
    Chunk(ChunkName),
}

impl Scope {
    /// Returns which spans are asked for.
    pub fn filter(&self) -> Filter {
        match self {
            Self::Bundle(filter) => filter.clone(),
            Self::Chunk(_) => Filter::default(),
        }
    }

    /// Digests capture and scope; a token is good for these alone.
    pub(super) fn context(&self, capture: &CaptureId) -> Context {
        let mut context = Context::new(&SHA256);
        hash_text(&mut context, "tracecapture snapshot 1");
        hash_text(&mut context, &capture.to_string());
        match self {
            Self::Bundle(filter) => {
                context.update(b"b");
                filter.hash_into(&mut context);
                if filter.trace_id.is_some() {
                    // Rewritten lines are compressed anew; another release of the compressor may give other bytes.
                    context.update(&zstd::zstd_safe::version_number().to_le_bytes());
                }
            }
            Self::Chunk(name) => {
                context.update(b"c");
                hash_text(&mut context, &name.to_string());
            }
        }
        context
    }
}

/// Marks a token with the capture and scope it was made for, so that a wrong use of it gets an answer of its own.
pub(in crate::archive) fn scope_mark(scope: &Scope, capture: &CaptureId) -> [u8; 4] {
    head(&scope.context(capture).finish())
}
