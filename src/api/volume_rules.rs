//! The rules about `spec.chunk`, `spec.retention` and `spec.storage`: chunks, and the volume that they lie on.

use super::quantity::Quantity;
use super::rule::{Rule, is_between, is_subdomain, size_cel, size_message};
use super::storage::{AccessMode, DeletionPolicy, StorageSpec};

/// How many chunks the retention limit must have room for: deleting a whole chunk at a
/// time then frees at most a fifth of what is kept.
const MIN_CHUNKS_KEPT: u64 = 5;

/// The largest size of all chunks together, and of a volume: `1P`.
const MAX_RETENTION_BYTES: u64 = 1_000_000_000_000_000;

/// The rules about chunks and the volume.
pub(super) const VOLUME_RULES: &[Rule] = &[
    Rule {
        at: "spec.chunk",
        field: ".maxBytes",
        // Below 4 KiB a chunk would be headers, index and manifest, and no spans.
        cel: Some(size_cel!("maxBytes", "4Ki", "1T")),
        message: size_message!("4Ki", "1T", "50M"),
        reads: &["spec.chunk.maxBytes"],
        holds: |spec| is_between(&spec.chunk.max_bytes, 4 << 10, 1_000_000_000_000),
    },
    Rule {
        at: "spec.retention",
        field: ".maxBytes",
        cel: Some(size_cel!("maxBytes", "20Ki", "1P")),
        message: size_message!("20Ki", "1P", "1G"),
        reads: &["spec.retention.maxBytes"],
        holds: |spec| is_between(&spec.retention.max_bytes, 20 << 10, MAX_RETENTION_BYTES),
    },
    Rule {
        at: "spec",
        field: ".retention.maxBytes",
        cel: Some(
            "!has(self.retention) || !has(self.retention.maxBytes) || !has(self.chunk) || !has(self.chunk.maxBytes) \
              || !string(self.retention.maxBytes).matches('^[0-9]{1,19}(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$') \
              || quantity(string(self.retention.maxBytes)).compareTo(quantity('1P')) > 0 \
              || !string(self.chunk.maxBytes).matches('^[0-9]{1,19}(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$') \
              || quantity(string(self.chunk.maxBytes)).compareTo(quantity('1P')) > 0 \
              || quantity(string(self.retention.maxBytes)).asInteger() / 5 \
              >= quantity(string(self.chunk.maxBytes)).asInteger()",
        ),
        message: "must be at least five times `spec.chunk.maxBytes`: raise it, or make the chunks smaller",
        reads: &["spec.retention.maxBytes", "spec.chunk.maxBytes"],
        holds: |spec| {
            // Beyond the bounds the rules about each of the two say it, and CEL cannot divide.
            let bounded = |size: &Quantity| size.bytes().filter(|bytes| bytes.0 <= MAX_RETENTION_BYTES);
            match (bounded(&spec.retention.max_bytes), bounded(&spec.chunk.max_bytes)) {
                (Some(kept), Some(chunk)) => kept.0 / MIN_CHUNKS_KEPT >= chunk.0,
                _ => true,
            }
        },
    },
    Rule {
        at: "spec",
        field: ".storage.accessModes",
        cel: Some(
            "!has(self.collector) || !has(self.collector.replicas) || self.collector.replicas <= 1 \
              || (has(self.storage) && (has(self.storage.claimName) \
              || (has(self.storage.accessModes) && self.storage.accessModes.exists(m, m == 'ReadWriteMany'))))",
        ),
        message: "more than one replica shares the volume: set `[ReadWriteMany]` and a storage class that offers it, \
                  name such a claim in `spec.storage.claimName`, or set `spec.collector.replicas: 1`",
        reads: &["spec.collector.replicas", "spec.storage.claimName", "spec.storage.accessModes"],
        holds: |spec| {
            let shared = spec.storage.access_modes.as_ref().is_some_and(|m| m.contains(&AccessMode::ReadWriteMany));
            spec.collector.replicas <= 1 || spec.storage.claim_name.is_some() || shared
        },
    },
    Rule {
        at: "spec.storage",
        field: ".claimName",
        cel: Some("!has(self.claimName) || !(has(self.storageClassName) || has(self.accessModes) || has(self.size))"),
        message: "an existing claim brings its own class, access modes and size: remove `claimName`, or remove \
                  `storageClassName`, `accessModes` and `size`",
        reads: &["spec.storage.claimName"],
        holds: |spec| spec.storage.claim_name.is_none() || !describes_claim(&spec.storage),
    },
    Rule {
        at: "spec.storage",
        field: ".claimName",
        cel: Some(
            "!has(self.claimName) \
              || self.claimName.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        ),
        message: "write the name of a persistent volume claim: a-z, 0-9, `-` and `.`, with a letter or digit at both \
                  ends of each part",
        reads: &["spec.storage.claimName"],
        holds: |spec| spec.storage.claim_name.as_deref().is_none_or(is_subdomain),
    },
    Rule {
        at: "spec.storage",
        field: ".storageClassName",
        cel: Some(
            "!has(self.storageClassName) || self.storageClassName == '' \
              || self.storageClassName.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        ),
        message: "write the name of a storage class: a-z, 0-9, `-` and `.`, with a letter or digit at both ends of \
                  each part",
        reads: &["spec.storage.storageClassName"],
        holds: |spec| {
            spec.storage.storage_class_name.as_deref().is_none_or(|class| class.is_empty() || is_subdomain(class))
        },
    },
    Rule {
        at: "spec.storage",
        field: ".accessModes",
        cel: Some(
            "!has(self.accessModes) || !self.accessModes.exists(m, m == 'ReadWriteOncePod') \
              || size(self.accessModes) == 1",
        ),
        message: "`ReadWriteOncePod` excludes every other access mode: write it alone, or remove it",
        reads: &["spec.storage.accessModes"],
        holds: |spec| {
            let modes = spec.storage.access_modes.as_deref().unwrap_or_default();
            !modes.contains(&AccessMode::ReadWriteOncePod) || modes.len() == 1
        },
    },
    Rule {
        at: "spec.storage",
        field: ".subPath",
        cel: Some("!has(self.subPath) || has(self.claimName)"),
        message: "a directory can only be chosen within a claim that exists: set `claimName`, or remove `subPath`",
        reads: &["spec.storage.subPath", "spec.storage.claimName"],
        holds: |spec| spec.storage.sub_path.is_none() || spec.storage.claim_name.is_some(),
    },
    Rule {
        at: "spec.storage",
        field: ".subPath",
        cel: Some("!has(self.subPath) || !self.subPath.matches('^/|(^|/)[.][.](/|$)')"),
        message: "write a relative path without `..`, such as `captures/checkout`",
        reads: &["spec.storage.subPath"],
        holds: |spec| {
            let stays_inside = |path: &str| !path.starts_with('/') && path.split('/').all(|part| part != "..");
            spec.storage.sub_path.as_deref().is_none_or(stays_inside)
        },
    },
    Rule {
        at: "spec.storage",
        field: ".size",
        cel: Some(size_cel!("size", "1M", "1P")),
        message: size_message!("1M", "1P", "2Gi"),
        reads: &["spec.storage.size"],
        holds: |spec| spec.storage.size.as_ref().is_none_or(|size| is_between(size, 1_000_000, MAX_RETENTION_BYTES)),
    },
    Rule {
        at: "spec.storage",
        field: ".deletionPolicy",
        cel: Some("!has(self.deletionPolicy) || self.deletionPolicy != 'Delete' || !has(self.claimName)"),
        message: "a claim that was not made here is never deleted: set `Retain`, or remove `claimName`",
        reads: &["spec.storage.deletionPolicy", "spec.storage.claimName"],
        holds: |spec| spec.storage.deletion_policy != DeletionPolicy::Delete || spec.storage.claim_name.is_none(),
    },
];

fn describes_claim(storage: &StorageSpec) -> bool {
    storage.storage_class_name.is_some() || storage.access_modes.is_some() || storage.size.is_some()
}
