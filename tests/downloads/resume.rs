//! Downloads that are cut again and again end with the bytes of the snapshot they began with.

use ring::digest::{SHA256, digest};

use crate::client::Client;
use crate::site::{BUNDLE, CAPTURE, Site};

/// Chunks are small, so that many are sealed meanwhile; nothing is deleted.
const KEEPS_ALL: &str = "{chunk: {maxBytes: 64Ki}, retention: {maxBytes: 1G}}";

/// Retention deletes as fast as spans come.
const DELETES: &str = "{chunk: {maxBytes: 64Ki}, retention: {maxBytes: 1Mi}}";

/// How a client says where it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `If-Range` with the entity tag.
    Tag,
    /// The snapshot in the query.
    Query,
    /// Nothing but the range, as `curl -C -`.
    Bare,
}

/// A download under way.
struct Download {
    tag: String,
    location: String,
    len: usize,
    sha: Vec<u8>,
    bytes: Vec<u8>,
    random: Random,
    cuts: usize,
}

impl Download {
    /// Takes a snapshot, notes what its bytes are, and receives the first of them.
    fn begin(web: &Client, seed: u64) -> Self {
        let first = web.begin("GET", BUNDLE, &[]);
        assert_eq!(first.status, 200);
        let header = |name: &str| first.header(name).to_owned();
        let (tag, location, len) = (header("etag"), header("content-location"), header("content-length"));
        let bytes = first.cut(1_000);
        let whole = web.get(&location, &[]);
        assert_eq!((whole.status, whole.body.len().to_string(), whole.header("etag")), (200, len.clone(), &*tag));
        assert_eq!(whole.body[..1_000], bytes);
        let sha = digest(&SHA256, &whole.body).as_ref().to_vec();
        Self { tag, location, len: len.parse().unwrap(), sha, bytes, random: Random(seed), cuts: 1 }
    }

    fn is_complete(&self) -> bool {
        self.bytes.len() == self.len
    }

    /// Receives some more bytes.
    fn resume(&mut self, web: &Client, way: Way) {
        let (at, last) = (self.bytes.len(), self.len - 1);
        let range = format!("bytes={at}-");
        let target = if way == Way::Query { &*self.location } else { BUNDLE };
        let headers = [("Range", &*range), ("If-Range", &*self.tag)];
        let headers = if way == Way::Tag { &headers[..] } else { &headers[..1] };
        let part = web.begin("GET", target, headers);
        if part.status != 206 {
            let problem = String::from_utf8_lossy(&part.cut(1_000)).into_owned();
            panic!("{way:?} at {at} of {}: {problem}", self.len);
        }
        assert_eq!(part.header("content-range"), format!("bytes {at}-{last}/{}", self.len));
        assert_eq!(part.header("etag"), self.tag);
        let piece = 1 + self.random.below(self.len / 15);
        self.bytes.extend(part.cut(piece.min(self.len - at)));
        self.cuts += 1;
    }

    #[track_caller]
    fn check(&self) {
        assert!(self.cuts > 20, "cut {} times only", self.cuts);
        assert_eq!(digest(&SHA256, &self.bytes).as_ref(), self.sha);
    }
}

#[test]
fn a_cut_download_is_continued_while_chunks_are_written_sealed_and_deleted() {
    let site = Site::start(DELETES);
    site.fill(8);
    let load = site.load();
    let web = site.web();
    let mut download = Download::begin(&web, 7);
    for way in [Way::Tag, Way::Query, Way::Bare].into_iter().cycle() {
        if download.is_complete() {
            break;
        }
        // The second half comes after retention has deleted something beside what the download holds.
        while download.bytes.len() > download.len / 2 && n_evicted(&web) == 0 {}
        download.resume(&web, way);
    }
    download.check();
    load.end();
}

/// Returns how many chunks retention has deleted.
fn n_evicted(web: &Client) -> u64 {
    let metrics = String::from_utf8(web.get("/metrics", &[]).body).unwrap();
    let counts = metrics.lines().filter(|line| line.starts_with("tracecapture_chunks_evicted_total"));
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn a_download_survives_kills_of_its_server() {
    let mut site = Site::start(KEEPS_ALL);
    site.fill(6);
    let mut download = Download::begin(&site.web(), 11);
    let mut kills = 0;
    for n in 0.. {
        if download.is_complete() {
            break;
        }
        if n % 5 == 0 && kills < 4 {
            assert!(site.otlp().post(&crate::site::request("late", vec![crate::site::span(9, 0, 1)])));
            // In the middle of a response: what was not received yet comes from the next process.
            let part = site.web().begin("GET", &download.location, &[]);
            site.restart(KEEPS_ALL);
            drop(part);
            kills += 1;
            let range = format!("bytes={}-", download.bytes.len());
            let bare = site.web().get(BUNDLE, &[("Range", &range)]);
            assert_eq!(bare.problem(412), "SnapshotUnknown", "a fresh process cannot know what was sent");
        }
        download.resume(&site.web(), if n % 2 == 0 { Way::Query } else { Way::Tag });
    }
    assert_eq!(kills, 4);
    download.check();
    let states = site.chunks();
    assert!(states.iter().all(|chunk| chunk["state"] != "recovering"), "{states:?}");
    let file = site.file("bundle.tar");
    write(&file, &download.bytes);
    let verified = crate::support::output(&["verify", file.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn after_a_restart_a_bare_range_is_refused_and_the_cut_file_says_how_to_go_on() {
    let mut site = Site::start(KEEPS_ALL);
    site.fill(6);
    let mut download = Download::begin(&site.web(), 13);
    download.resume(&site.web(), Way::Bare);
    site.restart(KEEPS_ALL);
    site.fill(8);
    // Another snapshot, cut at about the same byte before the eyes of the new process.
    let other = site.web().begin("GET", BUNDLE, &[]).cut(download.bytes.len() + 1);
    assert_ne!(other[..download.bytes.len()], download.bytes);
    let range = format!("bytes={}-", download.bytes.len());
    let bare = site.web().get(BUNDLE, &[("Range", &range)]);
    assert_eq!(bare.problem(412), "SnapshotUnknown");
    assert!(bare.json()["detail"].as_str().unwrap().contains("the manifest that a bundle begins with"));
    let target = format!("{BUNDLE}?snapshot={}", token_in(&download.bytes));
    let rest = site.web().get(&target, &[("Range", &range)]);
    assert_eq!(rest.status, 206);
    download.bytes.extend(rest.body);
    assert_eq!(digest(&SHA256, &download.bytes).as_ref(), download.sha);
}

#[test]
fn where_two_snapshots_were_sent_so_far_a_bare_range_is_refused() {
    let site = Site::start(KEEPS_ALL);
    site.fill(3);
    let whole = site.web().get(BUNDLE, &[]).body;
    site.fill(6);
    let later = site.web().get(BUNDLE, &[]);
    let bare = |at: usize| site.web().get(BUNDLE, &[("Range", &format!("bytes={at}-"))]);
    assert_eq!(bare(whole.len()).problem(412), "SnapshotUnknown");
    let rest = bare(whole.len() + 1);
    assert_eq!((rest.status, rest.header("etag")), (206, later.header("etag")));
    assert!(rest.body == later.body[whole.len() + 1..]);
}

/// Reads the snapshot's token out of the beginning of a bundle, as a shell does.
fn token_in(bundle: &[u8]) -> String {
    let text = String::from_utf8_lossy(bundle);
    let line = text.lines().find(|line| line.contains("\"snapshot\": \"")).unwrap();
    line.split('"').nth(3).unwrap().to_owned()
}

#[test]
fn what_retention_deleted_is_410_and_says_what_to_do() {
    let mut site = Site::start(KEEPS_ALL);
    site.fill(14);
    let first = site.web().begin("GET", BUNDLE, &[]);
    let (tag, location) = (first.header("etag").to_owned(), first.header("content-location").to_owned());
    drop(first);
    // The next process knows nothing of the download and keeps less.
    site.restart("{chunk: {maxBytes: 64Ki}, retention: {maxBytes: 320Ki}}");
    let web = site.web();
    let answers = [
        web.get(&location, &[]),
        web.get(&location, &[("Range", "bytes=1000-")]),
        web.get(BUNDLE, &[("Range", "bytes=1000-"), ("If-Range", &tag)]),
    ];
    for answer in answers {
        assert_eq!(answer.problem(410), "SnapshotGone");
        assert!(answer.json()["detail"].as_str().unwrap().contains("anew"));
    }
    assert_eq!(web.get(BUNDLE, &[]).status, 200);
}

#[test]
fn a_reader_that_takes_nothing_stalls_nobody() {
    let site = Site::start(KEEPS_ALL);
    site.fill(8);
    let web = site.web();
    let idle: Vec<_> = (0..8).map(|_| web.begin("GET", BUNDLE, &[])).collect();
    let whole = web.get(BUNDLE, &[]);
    assert_eq!((whole.status, whole.header("content-length")), (200, &*whole.body.len().to_string()));
    assert_eq!(web.get(CAPTURE, &[]).status, 200);
    site.fill(10);
    for started in idle {
        let stated = started.header("content-length").to_owned();
        assert_eq!(started.finish().body.len().to_string(), stated);
    }
}

#[expect(clippy::disallowed_methods, reason = "a file of the test's own")]
fn write(path: &std::path::Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// A small generator (xorshift64), so that a seed gives the same cuts again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}
