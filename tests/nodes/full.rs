//! A disk that is really full.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use crate::bundle::{check_newest, download};
use crate::command::until;
use crate::disk;
use crate::load::{HEAVY, Load};
use crate::pods::lives;
use crate::site::{Site, beside_others};

/// Larger than the disk: it is the disk that sets the limit.
const SPEC: &str = "{chunk: {maxBytes: 2M}, retention: {maxBytes: 1G}}";

const CHUNK_BYTES: u64 = 2_000_000;

const DISK_BYTES: u64 = 48 << 20;

/// The smallest file system of its kind, and what becomes of it.
const GROWABLE: &str = "300M";
const GROWN: &str = "400M";

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    beside_others("full", |site| {
        let disk = site.add_disk(&DISK_BYTES.to_string());
        site.capture(SPEC);
        let load = Load::start(&site.endpoint(), HEAVY);

        // The spans alone fill it more than once: the oldest chunks make room.
        let spans_per_disk = DISK_BYTES / HEAVY.filler as u64;
        load.wait_for_more(2 * spans_per_disk);
        println!("full: {} told to come back while spans alone filled the disk", load.told_to_retry());

        // Then somebody else takes what is left, and what retention frees.
        let before = load.told_to_retry();
        until("clients are told to come back", || {
            fill(&disk.join("foreign"));
            (load.told_to_retry() > before + 10).then_some(())
        });
        println!("full: {}", fill_until_told(site, &disk));

        fs::remove_file(disk.join("foreign")).unwrap();
        load.wait_for_more(4 * CHUNK_BYTES / HEAVY.filler as u64);
        for (condition, reason) in
            [("StorageReady", "Mounted"), ("RetentionHealthy", "WithinLimits"), ("Ready", "Receiving")]
        {
            site.until_reason(condition, reason);
        }
        load.wait_for_more(1_000);
        println!("full: {} told to come back, {} without an answer", load.told_to_retry(), load.unanswered());
        let acknowledged = load.finish();
        let held = download(site).ids();
        let n_evicted = check_newest(&held, &acknowledged);
        println!("full: {} held, {n_evicted} of the oldest evicted, none lost", held.len());
        assert!(n_evicted > 0, "nothing had to make room");
    });
}

#[test]
fn a_volume_grows_while_it_is_full() {
    let claim = ("growing", "checkout-chunks");
    beside_others("growing", |site| {
        let disk = disk::make_growable("2Gi", "growing", claim, GROWABLE);
        site.capture("{chunk: {maxBytes: 2M}, retention: {maxBytes: 1G}, storage: {size: 2Gi}}");
        let (before, load) = (lives(site), Load::start(&site.endpoint(), HEAVY));
        load.wait_for_more(1_000);
        fill_until_told(site, &disk);

        site.patch("{\"spec\": {\"storage\": {\"size\": \"4Gi\"}}}");
        until("the claim asks for more, and there is none yet", || {
            fill(&disk.join("foreign"));
            let claim = site.get(&["pvc", "checkout-chunks"]);
            (claim["spec"]["resources"]["requests"]["storage"] == "4Gi").then_some(())
        });
        disk::grow("growing", claim, GROWN, "4Gi");
        let (began, n_told) = (Instant::now(), load.told_to_retry());
        load.wait_for_more(1);
        println!("growing: spans are taken {} s after the volume grew", began.elapsed().as_secs());
        load.wait_for_more(1_000);
        for (condition, reason) in [("StorageReady", "Mounted"), ("Ready", "Receiving")] {
            site.until_reason(condition, reason);
        }
        assert_eq!(lives(site), before, "no pod was restarted");
        let (acknowledged, held) = (load.finish(), download(site).ids());
        let n_evicted = check_newest(&held, &acknowledged);
        println!(
            "growing: {n_told} told to come back; {} held, {n_evicted} of the oldest evicted, none lost",
            held.len()
        );
    });
}

/// Takes what is left of a disk, and what retention frees, until the condition says so; returns its message.
fn fill_until_told(site: &Site, disk: &Path) -> String {
    until("the condition says so", || {
        fill(&disk.join("foreign"));
        // Not waited for apart: what retention frees meanwhile would be the end of it.
        let conditions = site.status()["conditions"].take();
        let mut told = conditions.as_array()?.iter();
        let told = told.find(|told| told["type"] == "StorageReady" && told["reason"] == "VolumeFull")?;
        Some(told["message"].as_str()?.to_owned())
    })
}

/// Writes until the disk takes no more.
fn fill(file: &Path) {
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    let block = vec![0; 64 << 10];
    while file.write_all(&block).is_ok() {}
}
