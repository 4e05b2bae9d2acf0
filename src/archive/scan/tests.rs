#![expect(clippy::cast_possible_truncation, reason = "test chunks are small")]

use std::ops::Range;

use super::*;
use crate::archive::frame::Compression;
use crate::archive::fs::{Fs, RealFs};
use crate::archive::testing::{Build, chunk};
use crate::archive::ustar::END;
use proptest::prelude::*;

fn build(compression: Compression) -> Build {
    Build::new(chunk("writer-0", 1, 0), compression)
}

fn with_file<T>(bytes: &[u8], read: impl FnOnce(&dyn File) -> T) -> T {
    let dir = tempfile::tempdir().unwrap();
    let file = RealFs.create_new(&dir.path().join("chunk")).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    read(&*file)
}

fn scanned(bytes: &[u8]) -> Scan {
    with_file(bytes, |file| scan(file, bytes.len() as u64).unwrap())
}

/// Checks which frames are found (by sequence) and which bytes are not vouched for.
#[track_caller]
fn check(bytes: &[u8], frames: &[u32], gaps: &[(Range<usize>, bool)]) -> Scan {
    let scan = scanned(bytes);
    let found: Vec<u32> = scan.frames.iter().map(|frame| frame.trailer.sequence).collect();
    let left_out: Vec<_> =
        scan.gaps.iter().map(|gap| (gap.range.start as usize..gap.range.end as usize, gap.zeros)).collect();
    assert_eq!((&found[..], &left_out[..]), (frames, gaps));
    scan
}

fn span(build: &Build, frame: usize) -> Range<usize> {
    let span = &build.frames[frame].span;
    span.start as usize..span.end as usize
}

#[test]
fn a_sealed_chunk_is_complete_and_its_index_says_what_a_scan_finds() {
    for compression in Compression::ALL {
        let chunk = build(compression).member(3).member(2).sealed();
        let scan = check(&chunk.bytes, &[0, 1, 2, 3, 4], &[]);
        assert!(scan.complete && scan.index_ok, "{compression:?}");
        assert_eq!((scan.frames.clone(), scan.compression()), (chunk.frames.clone(), Some(compression)));
        with_file(&chunk.bytes, |file| {
            let len = chunk.bytes.len() as u64;
            assert_eq!(frames(file, len).unwrap(), chunk.frames);
            assert_eq!(super::compression(file, len).unwrap(), Some(compression));
            assert_eq!(manifest(file, len).unwrap(), scan.manifest);
        });
    }
}

#[test]
fn a_sealed_chunk_with_a_damaged_index_is_scanned() {
    let mut chunk = build(Compression::Zstd).member(2).sealed();
    let index_at = chunk.bytes.len() - 1024 - 2048;
    let at = memchr::memmem::rfind(&chunk.bytes, b"TCI1").unwrap();
    assert!(at < index_at + 4096);
    chunk.bytes[at + 9] ^= 1;
    let scan = check(&chunk.bytes, &[0, 1], &[]);
    assert!(!scan.index_ok && !scan.complete);
    let len = chunk.bytes.len() as u64;
    assert_eq!(with_file(&chunk.bytes, |file| frames(file, len).unwrap()), chunk.frames);
}

#[test]
fn an_unfinished_chunk_is_not_complete() {
    for compression in Compression::ALL {
        let open = build(compression).member(2);
        let tables = build(compression).member(2).tables();
        let mut half_end = tables.bytes.clone();
        half_end.extend_from_slice(&END[..512]);
        for bytes in [&open.bytes, &tables.bytes, &half_end] {
            assert!(!check(bytes, &[0, 1], &[]).complete);
        }
    }
}

#[test]
fn the_size_in_the_header_is_only_a_hint() {
    for size in ["00000000000", "00000000100", "77777777777"] {
        let mut chunk = build(Compression::Zstd).member(3);
        let name = chunk.name.member("traces-000001.jsonl.zst");
        let size = u64::from_str_radix(size, 8).unwrap();
        chunk.bytes[..512].copy_from_slice(&crate::archive::ustar::header(&name, size, 0).unwrap());
        check(&chunk.bytes, &[0, 1, 2], &[]);
    }
}

#[test]
fn garbage_inside_is_passed_over_to_the_next_frame() {
    for compression in [Compression::Zstd, Compression::Gzip] {
        let mut chunk = build(compression).member(3).member(1);
        let (first, second) = (span(&chunk, 0), span(&chunk, 1));
        chunk.bytes[second.start + 60] ^= 0x55;
        check(&chunk.bytes, &[0, 2, 3], &[(second.clone(), false)]);
        chunk.bytes[first.start + 60] ^= 0x55;
        check(&chunk.bytes, &[2, 3], &[(first.start..second.end, false)]);
    }
}

#[test]
fn a_damaged_pair_of_plain_entries_is_left_out_whole() {
    let mut chunk = build(Compression::None).member(3);
    let second = span(&chunk, 1);
    chunk.bytes[second.start + 600] ^= 1;
    check(&chunk.bytes, &[0, 2], &[(second, false)]);
}

#[test]
fn a_lost_header_loses_no_frame() {
    for compression in [Compression::Zstd, Compression::Gzip] {
        let mut chunk = build(compression).member(2).member(2);
        chunk.bytes[..512].fill(0xaa);
        let scan = check(&chunk.bytes, &[0, 1, 2, 3], &[(0..512, false)]);
        assert_eq!(scan.compression(), Some(compression));
    }
}

#[test]
fn zeros_are_told_from_damage() {
    for compression in [Compression::Zstd, Compression::Gzip] {
        let mut chunk = build(compression).member(3);
        let (second, whole) = (span(&chunk, 1), chunk.bytes.len());
        chunk.bytes[second.clone()].fill(0);
        check(&chunk.bytes, &[0, 2], &[(second, true)]);
        chunk.bytes.resize(whole + 10_000, 0);
        assert!(scanned(&chunk.bytes).gaps[1].zeros);
    }
}

#[test]
fn a_chunk_that_grows_is_scanned_from_where_it_ended() {
    for compression in Compression::ALL {
        let chunk = build(compression).member(3).member(3).sealed();
        for cut in (0..chunk.bytes.len()).step_by(97) {
            let scan = with_file(&chunk.bytes, |file| {
                let before = scan(file, cut as u64).unwrap();
                scan_from(before, file, chunk.bytes.len() as u64).unwrap()
            });
            assert_eq!(scan, scanned(&chunk.bytes), "{compression:?} cut at {cut}");
        }
    }
}

#[test]
fn the_manifest_is_found_however_long_the_names_of_services_are() {
    for letter in ["a", "\"", "\u{1}", "ä"] {
        let mut chunk = build(Compression::Zstd).member(40);
        for (n, frame) in chunk.frames.iter_mut().enumerate() {
            let name = format!("{n:02}{}", letter.repeat(15_000 / letter.len()));
            frame.trailer.facts.services = vec![name, format!("{n:02}")];
        }
        let chunk = chunk.sealed();
        let found = with_file(&chunk.bytes, |file| manifest(file, chunk.bytes.len() as u64).unwrap());
        let found = found.unwrap_or_else(|| panic!("no manifest with names of {letter:?}"));
        assert!(found.services.len() >= 40, "the short ones, and what else fits");
        assert!(found.services.is_sorted() && found.to_json().len() < 70_000);
    }
}

#[test]
fn a_later_format_is_told() {
    for compression in Compression::ALL {
        let mut later = build(compression).member(2).bytes;
        let digits: Vec<_> = memchr::memmem::find_iter(&later, b"TCF1").map(|at| at + 3).collect();
        for at in digits {
            later[at] = b'2';
        }
        assert_eq!(scanned(&later).newer, Some(Newer::Frame('2')));
    }
    let mut manifest = build(Compression::Zstd).member(2);
    manifest.entry("manifest.json", br#"{"format":2,"else":1}"#);
    let len = manifest.bytes.len() as u64;
    assert_eq!(scanned(&manifest.bytes).newer, Some(Newer::Manifest(2)));
    assert!(with_file(&manifest.bytes, |file| matches!(frames(file, len), Err(ScanError::Newer(_)))));
}

#[test]
fn a_flipped_bit_in_the_version_of_one_frame_is_damage() {
    for compression in Compression::ALL {
        for damaged in 0..3 {
            let mut chunk = build(compression).member(3);
            let frame = span(&chunk, damaged);
            let at = memchr::memmem::find(&chunk.bytes[frame.clone()], b"TCF1").unwrap();
            chunk.bytes[frame.start + at + 3] = b'3';
            let kept: Vec<_> = (0..3).filter(|&n| n != damaged as u32).collect();
            let scan = scanned(&chunk.bytes);
            assert_eq!(scan.newer, None, "{compression:?}");
            assert_eq!(scan.frames.iter().map(|f| f.trailer.sequence).collect::<Vec<_>>(), kept);
            assert!(scan.damaged_bytes() >= frame.len() as u64);
        }
    }
}

#[test]
fn members_of_others_are_left_out() {
    let mut chunk = build(Compression::Zstd).member(1);
    let from = chunk.bytes.len();
    chunk.entry("notes.txt", b"hello");
    let to = chunk.bytes.len();
    chunk = chunk.member(1);
    check(&chunk.bytes, &[0, 1], &[(from..to, false)]);
}

#[test]
fn a_frame_longer_than_the_window_is_found() {
    use crate::archive::frame::Encoder;
    use crate::archive::trailer::Facts;
    let mut noise = 1_u64;
    let lines: Vec<u8> = (0..20 << 20)
        .map(|_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (noise >> 56) as u8
        })
        .collect();
    let mut chunk = build(Compression::Zstd).member(1);
    let mut body = Vec::new();
    Encoder::new(Compression::Zstd).unwrap().encode(&lines, Facts::default(), 7, &mut body).unwrap();
    chunk.entry("traces-000002.jsonl.zst", &body);
    chunk = chunk.member(1);
    check(&chunk.bytes, &[0, 7, 1], &[]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_torn_chunk_keeps_exactly_its_whole_frames(cut: u16, which in 0_usize..3) {
        let chunk = build(Compression::ALL[which]).member(3).member(3).sealed();
        let cut = usize::from(cut) % (chunk.bytes.len() + 1);
        let scan = scanned(&chunk.bytes[..cut]);
        let slack = if which == 2 { 511 } else { 0 };
        let whole = chunk.frames.iter().filter(|f| f.span.end <= (cut + slack) as u64).count();
        // Without compression the last bytes of a pair are padding, which a frame can do without.
        prop_assert!(scan.frames.len() == whole || (which == 2 && scan.frames.len() + 1 == whole));
        prop_assert_eq!(scan.complete, cut == chunk.bytes.len());
    }

    #[test]
    fn no_damage_makes_it_fail_or_find_what_was_not_written(
        flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..8),
        which in 0_usize..3,
    ) {
        let chunk = build(Compression::ALL[which]).member(3).member(2).sealed();
        let mut bytes = chunk.bytes.clone();
        let n = bytes.len();
        for (at, with) in flips {
            bytes[usize::from(at) % n] ^= with;
        }
        for frame in scanned(&bytes).frames {
            prop_assert!(chunk.frames.iter().any(|f| f.span == frame.span && f.trailer == frame.trailer));
        }
    }
}
