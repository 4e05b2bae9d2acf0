//! Limits of size and age under load.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::bundle::{check_newest, download};
use crate::command::until;
use crate::load::{HEAVY, Load, STEADY, Shape};
use crate::site::{Site, beside_others};

const CHUNK_BYTES: u64 = 2_000_000;

const LIMIT_BYTES: u64 = 10_000_000;

const SPEC: &str = "{chunk: {maxBytes: 2M, maxAgeSeconds: 10}, retention: {maxBytes: 10M}}";

/// One client that sends so little that within minutes the limit of size is not reached.
const LITTLE: Shape = Shape { n_clients: 1, pause: Duration::from_millis(50), ..STEADY };

#[test]
fn limits_of_size_and_age_hold_under_load() {
    beside_others("limits", |site| {
        let chunks = site.add_disk("500M").join("chunks");
        site.capture(SPEC);
        let load = Load::start(&site.endpoint(), HEAVY);
        let (mut most, mut n_looks) = (0, 0);
        load.watch_until(4 * LIMIT_BYTES / HEAVY.filler as u64, || {
            if let Some(bytes) = bytes_in(&chunks) {
                most = most.max(bytes);
                n_looks += 1;
            }
        });
        println!("limits: at most {most} bytes in {n_looks} looks, the limit being {LIMIT_BYTES}");
        assert!(most > LIMIT_BYTES / 2, "the limit was never near");
        assert!(most <= LIMIT_BYTES + CHUNK_BYTES, "{} bytes over the limit", most - LIMIT_BYTES);
        site.until_reason("RetentionHealthy", "WithinLimits");
        let acknowledged = load.finish();
        assert!(check_newest(&download(site).ids(), &acknowledged) > 0, "nothing was evicted");
        age(site, &chunks);
    });
}

/// Gives the capture a limit of age while spans arrive: what was there goes, and in the end everything.
fn age(site: &Site, chunks: &Path) {
    let load = Load::start(&site.endpoint(), LITTLE);
    load.wait_for_more(200);
    let n_old = usize::try_from(load.acknowledged()).unwrap();
    let old = names_in(chunks);
    // Long enough for the download below to find the youngest.
    site.patch("{\"spec\": {\"retention\": {\"maxAgeSeconds\": 60}}}");
    until("what was there is older than the limit, and gone", || names_in(chunks).is_disjoint(&old).then_some(()));
    load.wait_for_more(200);
    let bytes = until("the files stay while they are counted", || bytes_in(chunks));
    assert!(bytes < LIMIT_BYTES / 2, "{bytes} bytes: it may have been the limit of size");
    let acknowledged = load.finish();
    let n_evicted = check_newest(&download(site).ids(), &acknowledged);
    println!("limits: {n_evicted} spans went because of their age while others arrived");
    assert!(n_evicted >= n_old, "{n_old} spans were there before");
    until("everything is older than the limit, and gone", || bytes_in(chunks).filter(|&bytes| bytes == 0));
    until("the status says so", || (site.status()["storage"]["chunks"] == 0).then_some(()));
}

/// The chunks of a directory, whatever their state.
fn names_in(dir: &Path) -> HashSet<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| name.split(".tar").next().unwrap().to_owned()).collect()
}

/// The bytes of all files of a directory; none where a file went or came meanwhile: the sum would be of files that
/// were never there together.
fn bytes_in(dir: &Path) -> Option<u64> {
    let list = || -> HashSet<_> { fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect() };
    let files = list();
    let bytes: Option<u64> = files.iter().map(|file| Some(fs::metadata(file).ok()?.len())).sum();
    bytes.filter(|_| list() == files)
}
