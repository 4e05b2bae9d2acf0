//! What a download gets, whatever happens to the directory meanwhile.

use std::sync::Arc;

use proptest::prelude::*;

use super::fixture::{Fixture, id, lines, segment, walk};
use super::*;
use crate::archive::frame::Compression;
use crate::archive::fs::RealFs;
use crate::archive::name::ChunkState;
use crate::archive::snapshot::{Filter, Token};
use crate::clock::Timestamp;

/// A snapshot laid out, with its reader.
struct Download {
    bundle: Arc<Bundle>,
    reader: BundleReader,
}

impl Download {
    fn new(bundles: Arc<Bundles>, scope: &Scope) -> Self {
        let snapshot = bundles.freeze(scope).unwrap();
        Self::of(bundles, snapshot).unwrap()
    }

    fn resume(bundles: Arc<Bundles>, scope: &Scope, token: &str) -> Result<Self, BundleError> {
        let snapshot = bundles.resolve(&token.parse::<Token>().unwrap(), scope)?;
        Self::of(bundles, snapshot)
    }

    fn of(bundles: Arc<Bundles>, snapshot: Snapshot) -> Result<Self, BundleError> {
        let bundle = Arc::new(bundles.lay_out(snapshot)?);
        Ok(Self { reader: BundleReader::new(bundles, Arc::clone(&bundle)), bundle })
    }

    fn token(&self) -> String {
        self.bundle.snapshot().token().unwrap().to_string()
    }

    fn range(&mut self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0xee; len];
        let n = self.reader.read_at(at, &mut bytes).unwrap();
        bytes.truncate(n);
        bytes
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = self.bundle.content_len();
        let bytes = self.range(0, usize::try_from(len).unwrap() + 1);
        assert_eq!(bytes.len() as u64, len, "stated length");
        bytes
    }
}

fn all(fixture: &Fixture) -> Download {
    Download::new(fixture.bundles(), &Scope::Bundle(Filter::default()))
}

fn expected(frames: impl IntoIterator<Item = u64>) -> Vec<u8> {
    frames.into_iter().flat_map(|n| segment(n).lines).collect()
}

fn manifest(tar: &[u8]) -> serde_json::Value {
    let entries = walk(tar);
    assert_eq!(entries[0].0, "manifest.json");
    serde_json::from_slice(&entries[0].1).unwrap()
}

#[test]
fn a_bundle_holds_every_committed_line_sealed_or_not() {
    for compression in Compression::ALL {
        let mut fixture = Fixture::new(compression);
        (0..7).for_each(|_| fixture.append());
        fixture.seal();
        (0..6).for_each(|_| fixture.append());
        let tar = all(&fixture).bytes();
        assert_eq!(lines(&tar), expected(1..=13), "{compression:?}");
        let manifest = manifest(&tar);
        assert_eq!(manifest["totals"]["items"], 26);
        assert_eq!(manifest["chunks"][0]["state"], "sealed");
        assert_eq!(manifest["chunks"][1]["state"], "inProgress");
    }
}

#[test]
fn the_systems_tar_lists_a_bundle_without_a_word() {
    for compression in Compression::ALL {
        let mut fixture = Fixture::new(compression);
        (0..4).for_each(|_| fixture.append());
        fixture.seal();
        (0..3).for_each(|_| fixture.append());
        let (tar, path) = (all(&fixture).bytes(), fixture.dir.path().join("bundle.tar"));
        RealFs.create_new(&path).unwrap().write_all_at(&tar, 0).unwrap();
        let listed = std::process::Command::new("tar").arg("-tf").arg(&path).output().unwrap();
        assert!(listed.status.success() && listed.stderr.is_empty(), "{listed:?}");
        let names: Vec<_> = walk(&tar).into_iter().map(|(name, _)| name).collect();
        assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().collect::<Vec<_>>(), names);
    }
}

#[test]
fn an_empty_capture_gives_a_manifest_alone() {
    let fixture = Fixture::new(Compression::Zstd);
    assert_eq!(walk(&all(&fixture).bytes()).len(), 1);
}

#[test]
fn one_chunk_is_an_archive_of_its_own() {
    let mut fixture = Fixture::new(Compression::Zstd);
    (0..5).for_each(|_| fixture.append());
    let scope = Scope::Chunk(Fixture::name(1));
    let mut growing = Download::new(fixture.bundles(), &scope);
    assert_eq!(lines(&growing.bytes()), expected(1..=5));
    fixture.seal();
    let sealed = Download::new(fixture.bundles(), &scope).bytes();
    let file = RealFs.open(&fixture.path(1, ChunkState::Sealed)).unwrap();
    let mut whole = vec![0; sealed.len()];
    assert_eq!(file.read_at(&mut whole, 0).unwrap(), sealed.len());
    assert_eq!((sealed == whole, file.stat().unwrap().len), (true, sealed.len() as u64));
    let missing = fixture.bundles().freeze(&Scope::Chunk(Fixture::name(9)));
    assert!(matches!(missing, Err(BundleError::NoSuchChunk)));
}

#[test]
fn bytes_that_are_not_committed_are_never_taken() {
    let mut fixture = Fixture::new(Compression::Zstd);
    fixture.append();
    let before = all(&fixture).bytes();
    // A whole frame behind the committed length, as a commit leaves it between its write and its sync.
    let committed = fixture.committed.of(&Fixture::name(1)).unwrap();
    fixture.append();
    fixture.committed.publish(&Fixture::name(1), committed);
    assert_eq!(all(&fixture).bytes(), before);
}

#[test]
fn time_and_service_choose_whole_frames() {
    for compression in Compression::ALL {
        let mut fixture = Fixture::new(compression);
        (0..9).for_each(|_| fixture.append());
        fixture.seal();
        (0..9).for_each(|_| fixture.append());
        let service = Filter { service: Some("service-1".to_owned()), ..Filter::default() };
        let mut download = Download::new(fixture.bundles(), &Scope::Bundle(service));
        assert_eq!(lines(&download.bytes()), expected((1..=18).filter(|n| n % 3 == 1)), "{compression:?}");
        let at = |n: u64| Some(Timestamp::from_unix_nanos(n * 10));
        let time = Filter { since: at(5), until: at(12), ..Filter::default() };
        assert_eq!(lines(&Download::new(fixture.bundles(), &Scope::Bundle(time)).bytes()), expected(5..12));
    }
}

#[test]
fn a_trace_id_chooses_spans_and_gives_the_same_bytes_to_everyone() {
    let mut fixture = Fixture::new(Compression::Gzip);
    (0..9).for_each(|_| fixture.append());
    fixture.seal();
    fixture.append();
    let scope = Scope::Bundle(Filter { trace_id: Some(id(4)), ..Filter::default() });
    let mut download = Download::new(fixture.bundles(), &scope);
    let tar = download.bytes();
    let found = String::from_utf8(lines(&tar)).unwrap();
    assert_eq!((found.lines().count(), found.contains("\"n4\"")), (1, true));
    fixture.append();
    let again = Download::resume(fixture.bundles(), &scope, &download.token()).unwrap().bytes();
    assert_eq!(tar, again);
    let through = Filter { trace_id: Some(id(1_000)), ..Filter::default() };
    let bundles = fixture.bundles();
    let snapshot = bundles.freeze(&Scope::Bundle(through.clone())).unwrap();
    let json = bundles.trace_json(&snapshot, &through).unwrap().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["resourceSpans"].as_array().unwrap().len(), 11);
}

#[test]
fn a_token_is_good_for_its_own_scope_alone() {
    let mut fixture = Fixture::new(Compression::Zstd);
    fixture.append();
    let token = all(&fixture).token();
    let other = Scope::Bundle(Filter { service: Some("x".to_owned()), ..Filter::default() });
    assert!(matches!(Download::resume(fixture.bundles(), &other, &token), Err(BundleError::OtherScope)));
}

#[test]
fn what_retention_removed_is_gone() {
    let mut fixture = Fixture::new(Compression::Zstd);
    for _ in 0..3 {
        fixture.append();
        fixture.seal();
    }
    let mut running = all(&fixture);
    RealFs.remove(&fixture.path(2, ChunkState::Sealed)).unwrap();
    let resumed = Download::resume(fixture.bundles(), &Scope::Bundle(Filter::default()), &running.token());
    assert!(matches!(resumed, Err(BundleError::Gone { missing: 1, total: 3 })));
    let mut buffer = vec![0; 1 << 20];
    assert!(matches!(running.reader.read_at(0, &mut buffer), Err(BundleError::Gone { .. })));
}

#[test]
fn a_growing_chunk_that_lost_a_frame_is_changed() {
    let mut fixture = Fixture::new(Compression::Zstd);
    (0..3).for_each(|_| fixture.append());
    let mut running = all(&fixture);
    let _ = running.range(0, 10);
    fixture.crash();
    // The same chunk under another inode, one of its frames zeroed.
    let path = fixture.path(1, ChunkState::InProgress);
    let file = RealFs.open(&path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.stat().unwrap().len).unwrap()];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes[560..600].fill(0);
    RealFs.remove(&path).unwrap();
    RealFs.create_new(&path).unwrap().write_all_at(&bytes, 0).unwrap();
    let mut buffer = vec![0; 1 << 20];
    assert!(matches!(running.reader.read_at(0, &mut buffer), Err(BundleError::Changed)));
    let resumed = Download::resume(fixture.bundles(), &Scope::Bundle(Filter::default()), &running.token());
    assert!(matches!(resumed, Err(BundleError::Changed)));
}

/// What happens between two ranges of a download.
#[derive(Debug, Clone, Copy)]
enum Event {
    Append,
    Seal,
    Crash,
    Claim,
    Recover,
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Append),
        2 => Just(Event::Seal),
        1 => Just(Event::Crash),
        1 => Just(Event::Claim),
        2 => Just(Event::Recover),
        2 => Just(Event::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_range_is_of_the_same_bytes_whatever_happens_meanwhile(
        before in proptest::collection::vec(event(), 1..12),
        meanwhile in proptest::collection::vec((event(), 0_usize..1_000, 1_usize..4_000), 1..12),
        compression in 0_usize..3,
        filtered: bool,
    ) {
        let mut fixture = Fixture::new(Compression::ALL[compression]);
        let apply = |fixture: &mut Fixture, event| match event {
            Event::Append => fixture.append(),
            Event::Seal => fixture.seal(),
            Event::Crash => fixture.crash(),
            Event::Claim => fixture.claim(),
            Event::Recover => fixture.recover(),
            Event::Restart => {}
        };
        for event in before {
            apply(&mut fixture, event);
        }
        let service = filtered.then(|| "service-1".to_owned());
        let scope = Scope::Bundle(Filter { service, ..Filter::default() });
        let mut download = Download::new(fixture.bundles(), &scope);
        let (whole, token) = (download.bytes(), download.token());
        walk(&whole);
        for (event, at, len) in meanwhile {
            apply(&mut fixture, event);
            if matches!(event, Event::Restart) {
                download = Download::resume(fixture.bundles(), &scope, &token).unwrap();
            }
            let at = whole.len() * at / 1_000;
            prop_assert_eq!(&download.range(at as u64, len)[..], &whole[at..whole.len().min(at + len)]);
        }
        prop_assert_eq!(Download::resume(fixture.bundles(), &scope, &token).unwrap().bytes(), whole);
    }
}
