//! What other programs wrote, and what means harm.

use std::io::Write as _;

use crate::seen::{Frames, built, check, check_limit, forge, gzip, read_with, zstd};
use crate::support::chunks::{Built, SPAN, Span, append};
use tracecapture::archive::frame::Compression;
use tracecapture::archive::read::{Limits, ReadError, read_stream};
use tracecapture::archive::ustar;

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
fn many_members_name_the_flag() {
    let mut tar = Vec::new();
    (0..20_000).for_each(|n| append(&mut tar, &format!("{n}.jsonl"), b""));
    check_limit(&tar, &Limits { max_entries: 10_000, ..Limits::default() }, "--max-entries");
    check(&tar, "begin Foreign end", "");
}

#[test]
fn what_is_no_archive_is_refused_with_a_hint() {
    assert!(matches!(read_with(b"\x7fELF", &Limits::default()), Err(ReadError::Unrecognised(_))));
    let tar = built(Compression::Zstd).0.sealed();
    let compressed = zstd::stream::encode_all(&tar[..], 1).unwrap();
    assert!(matches!(read_with(&compressed, &Limits::default()), Err(ReadError::CompressedTar(_))));
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
