//! Limits of size and age under load.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::bundle::{check_newest, download};
use crate::command::{PATIENCE, until, watch};
use crate::load::{Load, Shape};
use crate::site::beside_others;

const CHUNK_BYTES: u64 = 2_000_000;

const LIMIT_BYTES: u64 = 10_000_000;

const SPEC: &str = "{chunk: {maxBytes: 2M, maxAgeSeconds: 10}, retention: {maxBytes: 10M}}";

/// Between two looks at the directory.
const PULSE: Duration = Duration::from_millis(50);

#[test]
fn limits_of_size_and_age_hold_under_load() {
    beside_others("limits", |site| {
        let chunks = site.add_disk("500M").join("chunks");
        site.capture(SPEC);
        let shape = Shape { n_clients: 4, n_spans: 20, filler: 2_000, pause: Duration::from_millis(10) };
        let load = Load::start(&site.endpoint(), shape);
        let enough = 4 * LIMIT_BYTES / shape.filler as u64;
        let mut most = 0;
        watch(PULSE, PATIENCE, "four times the limit is acknowledged", || {
            most = most.max(bytes_in(&chunks));
            (load.acknowledged() >= enough).then_some(())
        });
        println!("limits: at most {most} bytes, the limit being {LIMIT_BYTES}");
        assert!(most > LIMIT_BYTES / 2, "the limit was never near");
        assert!(most <= LIMIT_BYTES + CHUNK_BYTES, "{} bytes over the limit", most - LIMIT_BYTES);
        site.until_reason("RetentionHealthy", "WithinLimits");
        let acknowledged = load.finish();
        assert!(check_newest(&download(site).ids(), &acknowledged) > 0, "nothing was evicted");

        site.patch("{\"spec\": {\"retention\": {\"maxAgeSeconds\": 20}}}");
        until("everything is older than the limit, and gone", || (bytes_in(&chunks) == 0).then_some(()));
        until("the status says so", || (site.status()["storage"]["chunks"] == 0).then_some(()));
    });
}

/// The bytes of all files of a directory; one that goes meanwhile counts no more.
fn bytes_in(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().filter_map(|entry| entry.ok()?.metadata().ok());
    entries.filter(fs::Metadata::is_file).map(|meta| meta.len()).sum()
}
