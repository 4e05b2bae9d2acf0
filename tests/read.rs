//! The reader of archives: what it hands out of every kind of file, intact, damaged or hostile.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on has failed"
)]

mod support {
    pub(crate) mod chunks;
}

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proptest::prelude::*;
use support::chunks::{Built, SPAN, Span, append, bundle};
use tracecapture::archive::committed::Committed;
use tracecapture::archive::frame::Compression;
use tracecapture::archive::fs::RealFs;
use tracecapture::archive::index::FrameRef;
use tracecapture::archive::name::ChunkState;
use tracecapture::archive::read::{Event, Limits, Origin, ReadError, Visitor, read_path, read_stream};
use tracecapture::archive::trailer::Trailer;
use tracecapture::archive::ustar;
use tracecapture::archive::{ChunkWriter, Durability, WriterOptions};
use tracecapture::ids::Signal;

/// What came out, in short.
#[derive(Default)]
struct Seen {
    log: Vec<String>,
    lines: String,
    frames: Vec<FrameRef>,
}

impl Visitor for Seen {
    fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Begin { origin, .. } => self.log.push(format!("begin {origin:?}")),
            Event::Frame { frame, lines } => {
                self.log.push("frame".to_owned());
                self.frames.push(frame.clone());
                self.lines.push_str(std::str::from_utf8(lines.unwrap()).unwrap());
            }
            Event::Lines { lines, .. } => {
                self.log.push("lines".to_owned());
                self.lines.push_str(std::str::from_utf8(lines).unwrap());
            }
            Event::Damage(_) => self.log.push("damage".to_owned()),
            Event::Torn(_) => self.log.push("torn".to_owned()),
            Event::Index(_) => self.log.push("index".to_owned()),
            Event::Manifest(_) => self.log.push("manifest".to_owned()),
            Event::BundleManifest(_) => self.log.push("bundle".to_owned()),
            Event::End { complete } => self.log.push(if complete { "end" } else { "cut" }.to_owned()),
        }
        ControlFlow::Continue(())
    }
}

/// Counts frames and bytes of lines.
struct Frames(usize, usize);

impl Visitor for Frames {
    fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
        if let Event::Frame { lines, .. } = event {
            (self.0, self.1) = (self.0 + 1, self.1 + lines.unwrap().len());
        }
        ControlFlow::Continue(())
    }
}

fn read_with(bytes: &[u8], limits: &Limits) -> Result<Seen, ReadError> {
    let mut seen = Seen::default();
    // One byte more than asked never comes, often fewer: as from a pipe.
    let mut pipe = bytes.chunks(4093).fold(Box::new(std::io::empty()) as Box<dyn Read>, |rest, part| {
        if bytes.len() > 100_000 { rest } else { Box::new(rest.chain(part)) }
    });
    let mut whole = bytes;
    let input: &mut dyn Read = if bytes.len() > 100_000 { &mut whole } else { &mut pipe };
    let _ = read_stream("test", input, limits, &mut seen)?;
    Ok(seen)
}

/// Checks the order of events and the lines of a stream.
fn check(bytes: &[u8], log: &str, lines: &str) {
    let seen = read_with(bytes, &Limits::default()).unwrap();
    assert_eq!((seen.log.join(" "), seen.lines), (log.to_owned(), lines.to_owned()));
}

fn check_limit(bytes: &[u8], limits: &Limits, flag: &str) {
    match read_with(bytes, limits) {
        Err(ReadError::Limit { flag: found, .. }) => assert_eq!(found, flag),
        Err(other) => panic!("{other}"),
        Ok(seen) => panic!("{:?}", seen.log),
    }
}

fn groups() -> [[Span<'static>; 2]; 3] {
    [1, 2, 3].map(|trace| [Span { trace, ..SPAN }, Span { trace, name: "POST /cart", ..SPAN }])
}

fn built(compression: Compression) -> (Built, String) {
    let groups = groups();
    let groups: Vec<&[Span<'_>]> = groups.iter().map(<[_; 2]>::as_slice).collect();
    let lines = groups.iter().flat_map(|group| group.iter().map(Span::line)).collect();
    (Built::new(1, compression, &groups), lines)
}

/// Changes a header and makes its checksum right again.
fn forge(header: &mut [u8], change: impl FnOnce(&mut [u8])) {
    change(header);
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|&b| u32::from(b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn zstd(text: &str) -> Vec<u8> {
    zstd::stream::encode_all(text.as_bytes(), 3).unwrap()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_chunk_hands_out_its_frames_where_they_are() {
    for compression in Compression::ALL {
        let (built, lines) = built(compression);
        check(&built.sealed(), "begin Loose frame frame frame index manifest end", &lines);
        let seen = read_with(&built.sealed(), &Limits::default()).unwrap();
        assert_eq!(seen.frames, built.frames, "{compression:?}");
    }
}

#[test]
fn a_chunk_that_is_written_ends_anywhere() {
    for compression in Compression::ALL {
        let (built, lines) = built(compression);
        check(&built.open, "begin Loose frame frame frame end", &lines);
        // What is cut is the last frame, in its trailer or its data.
        let cut = built.frames[2].span.end as usize - if compression == Compression::None { 600 } else { 3 };
        let kept: String = groups()[..2].iter().flatten().map(Span::line).collect();
        check(&built.open[..cut], "begin Loose frame frame torn end", &kept);
    }
}

#[test]
fn a_damaged_frame_is_left_out_and_the_others_are_not() {
    for compression in Compression::ALL {
        let (built, _) = built(compression);
        let mut tar = built.sealed();
        tar[built.frames[1].data.start as usize + 20] ^= 4;
        let kept: String = [&groups()[0], &groups()[2]].into_iter().flatten().map(Span::line).collect();
        check(&tar, "begin Loose frame damage frame index manifest end", &kept);
    }
}

#[test]
fn a_tail_of_zeros_is_torn_only_where_a_frame_should_be() {
    let (built, lines) = built(Compression::Zstd);
    let mut tar = built.open.clone();
    tar.resize(tar.len() + 4096, 0);
    check(&tar, "begin Loose frame frame frame end", &lines);
    let last = built.frames[2].span.start as usize;
    tar[last..].fill(0);
    let kept: String = groups()[..2].iter().flatten().map(Span::line).collect();
    check(&tar, "begin Loose frame frame torn end", &kept);
}

#[test]
fn trailers_that_all_claim_the_same_data_cost_no_more_than_it() {
    let mut body = vec![0; 4 << 20];
    let trailer = Trailer { data_len: 3 << 20, raw_len: 9, ..Trailer::default() };
    for _ in 0..40_000 {
        let mut payload = Vec::new();
        trailer.encode(&mut payload);
        body.extend_from_slice(&0x184D_2A5C_u32.to_le_bytes());
        body.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        body.append(&mut payload);
    }
    let mut tar = Vec::new();
    append(&mut tar, &support::chunks::chunk_name(1).member("traces-000001.jsonl.zst"), &body);
    // Some 120 GB of checksums otherwise.
    check(&tar, "begin Loose torn end", "");
}

#[test]
fn a_destroyed_header_costs_its_member_only() {
    let (built, _) = built(Compression::Zstd);
    let mut tar = built.sealed();
    let second = built.frames[2].span.start as usize - 512;
    tar[second + 10..second + 300].fill(7);
    let kept: String = groups()[..2].iter().flatten().map(Span::line).collect();
    check(&tar, "begin Loose frame frame index manifest damage end", &kept);
}

#[test]
fn a_bundle_is_its_chunks_and_says_when_it_was_cut() {
    let (first, lines) = built(Compression::Zstd);
    let second = Built::new(2, Compression::Gzip, &[&[SPAN]]);
    let tar = bundle(&[first.members(), second.open.clone()]);
    let lines = lines + &SPAN.line();
    check(&tar, "bundle begin Bundle frame frame frame index manifest end begin Bundle frame end", &lines);
    let cut = &tar[..tar.len() - 1024];
    check(cut, "bundle begin Bundle frame frame frame index manifest end begin Bundle frame cut", &lines);
}

#[test]
fn other_programs_lines_are_read_plain_and_compressed() {
    let lines = format!("{}{}", SPAN.line(), SPAN.line());
    check(lines.as_bytes(), "begin Foreign lines end", &lines);
    check(lines.trim_end().as_bytes(), "begin Foreign lines lines end", &lines);
    check(&zstd(&lines), "begin Foreign lines end", &lines);
    check(&gzip(&lines), "begin Foreign lines end", &lines);
    check(b"", "begin Foreign end", "");
    let two = |encode: fn(&str) -> Vec<u8>| [encode(&lines), encode(&lines)].concat();
    check(&two(gzip), "begin Foreign lines end", &lines.repeat(2));
    check(&two(zstd), "begin Foreign lines end", &lines.repeat(2));
}

#[test]
fn a_single_member_keeps_its_frames() {
    for compression in [Compression::Zstd, Compression::Gzip] {
        let (built, _) = built(compression);
        let body = built.frames[0].span.start as usize..built.frames[1].span.end as usize;
        let lines: String = groups()[..2].iter().flatten().map(Span::line).collect();
        check(&built.open[body.clone()], "begin Member frame frame end", &lines);
        let lines: String = groups()[0].iter().map(Span::line).collect();
        check(&built.open[body.start..body.end - 1], "begin Member frame damage end", &lines);
    }
}

#[test]
fn a_foreign_tar_is_read_member_by_member() {
    let mut tar = Vec::new();
    append(&mut tar, "../../etc/passwd", b"root");
    append(&mut tar, "export/traces.jsonl.gz", &gzip(&SPAN.line()));
    append(&mut tar, "/etc/traces.jsonl", SPAN.line().as_bytes());
    tar.extend_from_slice(&ustar::END);
    check(&tar, "begin Foreign lines lines end", &SPAN.line().repeat(2));
}

#[test]
fn links_and_extensions_are_passed_over() {
    let mut tar = Vec::new();
    for (kind, size) in [(b'1', 0), (b'2', 0), (b'5', 0), (b'x', 30), (b'L', 200)] {
        let at = tar.len();
        append(&mut tar, "traces.jsonl", &vec![b'x'; size]);
        forge(&mut tar[at..], |header| header[156] = kind);
    }
    append(&mut tar, "last.jsonl", SPAN.line().as_bytes());
    check(&tar, "begin Foreign lines end", &SPAN.line());
}

#[test]
fn an_extension_that_claims_gigabytes_is_not_believed() {
    let mut tar = Vec::new();
    append(&mut tar, "pax", b"");
    forge(&mut tar, |header| {
        header[156] = b'x';
        header[124..136].copy_from_slice(b"77777777777\0");
    });
    append(&mut tar, "last.jsonl", SPAN.line().as_bytes());
    check(&tar, "begin Foreign damage lines end", &SPAN.line());
}

#[test]
fn a_member_that_claims_eight_gigabytes_ends_with_the_file() {
    let (built, lines) = built(Compression::Zstd);
    for name in ["traces.jsonl", "index.bin", "manifest.json", "traces-000009.jsonl.zst", "traces-000009.jsonl"] {
        let mut tar = built.open.clone();
        let at = tar.len();
        append(&mut tar, &built.name.member(name), b"{}");
        forge(&mut tar[at..], |header| header[124..136].copy_from_slice(b"77777777777\0"));
        check(&tar, "begin Loose frame frame frame torn end", &lines);
    }
}

#[test]
fn a_line_too_long_names_the_flag() {
    let limits = Limits { max_line_bytes: 1_000_000, ..Limits::default() };
    let text = format!("{}{{\"a\":\"{}\"}}\n", SPAN.line(), "x".repeat(3_000_000));
    check_limit(text.as_bytes(), &limits, "--max-line-bytes");
    check_limit(&zstd(&text), &limits, "--max-line-bytes");
}

#[test]
fn a_bomb_names_the_flag() {
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1 << 20));
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..300 {
        encoder.write_all(line.as_bytes()).unwrap();
    }
    check_limit(&encoder.finish().unwrap(), &Limits::default(), "--max-ratio");
}

#[test]
fn a_bomb_of_zeros_is_no_tar() {
    let limits = Limits { max_line_bytes: 1 << 20, ..Limits::default() };
    let zeros = vec![0; 4 << 20];
    check_limit(&zstd::stream::encode_all(&zeros[..], 1).unwrap(), &limits, "--max-line-bytes");
    check_limit(&gzip(&"\0".repeat(4 << 20)), &limits, "--max-line-bytes");
    // As tar writes it: two blocks of zeros, filled up to a record of twenty.
    let empty = zstd::stream::encode_all(&zeros[..10_240], 1).unwrap();
    assert!(matches!(read_with(&empty, &limits), Err(ReadError::CompressedTar(_))));
}

#[test]
fn frames_that_compress_well_are_no_bomb() {
    let name = "\u{1}".repeat(10 << 20);
    let span = Span { name: &name, ..SPAN };
    for compression in [Compression::Zstd, Compression::Gzip] {
        let chunk = Built::new(1, compression, &[&[span]]);
        let mut tar = Vec::new();
        (0..6).for_each(|_| tar.extend_from_slice(&chunk.open));
        let limits = Limits { max_ratio: 100, ..Limits::default() };
        let mut counts = Frames(0, 0);
        let _ = read_stream("test", &mut tar.as_slice(), &limits, &mut counts).unwrap();
        assert_eq!(counts.0, 6);
        // More than comes out before a ratio counts.
        assert!(counts.1 > 256 << 20, "{}", counts.1);
    }
}

#[test]
fn bytes_behind_the_end_mark_are_damage_unless_they_are_zeros() {
    for compression in Compression::ALL {
        let (built, lines) = built(compression);
        let with_end = [built.open.as_slice(), &ustar::END].concat();
        for (tar, log) in [
            (bundle(&[built.members()]), "bundle begin Bundle frame frame frame index manifest"),
            (built.sealed(), "begin Loose frame frame frame index manifest"),
            (with_end, "begin Loose frame frame frame"),
            (bundle(&[]), "bundle"),
        ] {
            let lines = if log == "bundle" { "" } else { &lines };
            let padded = [tar.as_slice(), &[0; 9_000]].concat();
            let end = if log == "bundle" { "" } else { " end" };
            check(&padded, &format!("{log}{end}"), lines);
            let begin = if log == "bundle" { " begin Foreign" } else { "" };
            for behind in [b"x".as_slice(), &[vec![0; 100_000].as_slice(), b"x"].concat(), &built.sealed()] {
                check(&[&tar, behind].concat(), &format!("{log}{begin} damage end"), lines);
            }
        }
    }
}

#[test]
fn many_members_name_the_flag() {
    let mut tar = Vec::new();
    (0..20_000).for_each(|n| append(&mut tar, &format!("{n}.jsonl"), b""));
    check_limit(&tar, &Limits { max_entries: 10_000, ..Limits::default() }, "--max-entries");
    check(&tar, "begin Foreign end", "");
}

#[test]
fn a_later_format_is_refused_by_name() {
    for compression in Compression::ALL {
        let (built, _) = built(compression);
        let mut tar = built.sealed();
        let at = tar.windows(4).position(|window| window == b"TCF1").unwrap();
        tar[at + 3] = b'2';
        let error = read_with(&tar, &Limits::default()).err().unwrap();
        assert!(error.to_string().contains("use a newer tracecapture"), "{error}");
    }
    let mut tar = Vec::new();
    append(&mut tar, &support::chunks::chunk_name(1).member("manifest.json"), b"{\"format\":2}");
    assert!(matches!(read_with(&tar, &Limits::default()), Err(ReadError::Newer { .. })));
}

#[test]
fn what_is_no_archive_is_refused_with_a_hint() {
    assert!(matches!(read_with(b"\x7fELF", &Limits::default()), Err(ReadError::Unrecognised(_))));
    let tar = built(Compression::Zstd).0.sealed();
    let compressed = zstd::stream::encode_all(&tar[..], 1).unwrap();
    assert!(matches!(read_with(&compressed, &Limits::default()), Err(ReadError::CompressedTar(_))));
}

#[test]
fn a_directory_is_read_in_the_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let chunks = dir.path().join("chunks");
    std::fs::create_dir_all(&chunks).unwrap();
    let chunk = |n: u32| Built::new(n, Compression::Zstd, &[&[Span { trace: u128::from(n), ..SPAN }]]);
    let write = |built: &Built, state: ChunkState, bytes: &[u8]| {
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(chunks.join(built.file(state)), bytes).unwrap();
    };
    write(&chunk(3), ChunkState::InProgress, &chunk(3).open);
    write(&chunk(2), ChunkState::Recovering, &chunk(2).open);
    // Both names of a chunk: it is read once.
    write(&chunk(2), ChunkState::Sealed, &chunk(2).sealed());
    write(&chunk(1), ChunkState::Sealed, &chunk(1).sealed());
    std::os::unix::fs::symlink("/dev/zero", chunks.join(chunk(4).file(ChunkState::Sealed))).unwrap();
    for path in [dir.path(), &chunks] {
        let mut seen = Seen::default();
        let _ = read_path(path, &Limits::default(), &mut seen).unwrap();
        let lines: String = (1..=3).map(|trace| Span { trace, ..SPAN }.line()).collect();
        assert_eq!(seen.lines, lines);
        let (sealed, open) = (Origin::File(ChunkState::Sealed), Origin::File(ChunkState::InProgress));
        let log = format!(
            "begin {sealed:?} frame index manifest end begin {sealed:?} frame index manifest end begin {open:?} frame end"
        );
        assert_eq!(seen.log.join(" "), log);
    }
}

#[test]
fn a_chunk_is_read_while_it_is_written() {
    for compression in Compression::ALL {
        let dir = tempfile::tempdir().unwrap();
        let options = WriterOptions {
            compression,
            durability: Durability::Write,
            // Many members, because the change from one to the next is where a reader may stumble.
            member_bytes: 1_000,
            ..WriterOptions::default()
        };
        let name = support::chunks::chunk_name(1);
        let committed = Committed::new();
        let fs = Arc::new(RealFs);
        let mut writer = ChunkWriter::create(fs, dir.path(), name, options, committed).unwrap();
        let (n_committed, is_done) = (AtomicUsize::new(0), AtomicBool::new(false));
        let reader = || {
            while !is_done.load(Ordering::SeqCst) {
                let before = n_committed.load(Ordering::SeqCst);
                let mut seen = Seen::default();
                let _ = read_path(dir.path(), &Limits::default(), &mut seen).unwrap();
                assert!(!seen.log.iter().any(|event| event == "damage" || event == "cut"), "{:?}", seen.log);
                assert!(seen.frames.len() >= before, "{} of {before} frames: {:?}", seen.frames.len(), seen.log.last());
            }
        };
        let mut write = || {
            for trace in 1..=400 {
                writer.append(Signal::Traces, &[&Span { trace, ..SPAN }.segment()]).unwrap();
                let _receipt = writer.commit().unwrap();
                n_committed.fetch_add(1, Ordering::SeqCst);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(reader);
            write();
            is_done.store(true, Ordering::SeqCst);
        });
        assert_eq!(n_committed.load(Ordering::SeqCst), 400);
    }
}

#[test]
fn an_extracted_bundle_reads_as_the_bundle() {
    for compression in Compression::ALL {
        let (built, lines) = built(compression);
        let dir = tempfile::tempdir().unwrap();
        let tar = dir.path().join("b");
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(&tar, bundle(&[built.members()])).unwrap();
        let status = std::process::Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(dir.path()).status().unwrap();
        assert!(status.success());
        let mut seen = Seen::default();
        let _ = read_path(dir.path(), &Limits::default(), &mut seen).unwrap();
        assert_eq!(seen.log.join(" "), "bundle begin Extracted frame frame frame index manifest end");
        assert_eq!((seen.lines, seen.frames), (lines, built.frames));
    }
}

#[test]
fn unwanted_frames_are_not_decompressed() {
    struct Second(Vec<bool>);
    impl Visitor for Second {
        fn wants(&mut self, frame: &FrameRef) -> bool {
            frame.trailer.sequence == 1
        }
        fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
            if let Event::Frame { lines, .. } = event {
                self.0.push(lines.is_some());
            }
            ControlFlow::Continue(())
        }
    }
    let mut second = Second(Vec::new());
    let sealed = built(Compression::Zstd).0.sealed();
    let _ = read_stream("test", &mut sealed.as_slice(), &Limits::default(), &mut second).unwrap();
    assert_eq!(second.0, [false, true, false]);
}

proptest! {
    #[test]
    fn no_flipped_byte_or_cut_makes_up_a_line(at in 0_usize..6_000, value: u8, cut: bool, kind in 0_usize..3) {
        let (built, lines) = built(Compression::ALL[kind]);
        let mut tar = built.sealed();
        let at = at % tar.len();
        if cut { tar.truncate(at) } else { tar[at] = value }
        if let Ok(seen) = read_with(&tar, &Limits::default()) {
            prop_assert!(seen.lines.lines().all(|line| lines.contains(line)));
        }
    }
}

/// Messages behind their lengths, as the Collector's file exporter writes them.
fn messages(messages: &[&[u8]]) -> Vec<u8> {
    messages.iter().flat_map(|body| [&u32::try_from(body.len()).unwrap().to_be_bytes(), *body].concat()).collect()
}

#[test]
fn messages_behind_their_lengths_are_lines() {
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let two = messages(&[&zstd(b"{\"a\":\n1}"), b"", &zstd(b"{}")]);
    check(&two, "begin Foreign lines lines end", "{\"a\": 1}\n{}\n");
    check(&zstd(&messages(&[b"{}", b"{}"])), "begin Foreign lines lines end", "{}\n{}\n");
    check(&two[..two.len() - 1], "begin Foreign lines damage end", "{\"a\": 1}\n");
    check(&messages(&[b"{}", b"\x0a\xff", b"{}"]), "begin Foreign lines damage lines end", "{}\n{}\n");
}

#[test]
fn a_message_grows_no_further_than_a_line_may() {
    let limits = Limits { max_line_bytes: 1_000, ..Limits::default() };
    let bomb = zstd::encode_all(vec![b' '; 1_000_000].as_slice(), 3).unwrap();
    check_limit(&messages(&[&bomb]), &limits, "--max-line-bytes");
    check_limit(&messages(&[b"{}", &[b' '; 1_001]]), &limits, "--max-line-bytes");
    let claims = [b"\0\0\0\x02{}".as_slice(), &u32::MAX.to_be_bytes()].concat();
    check_limit(&claims, &limits, "--max-line-bytes");
}
