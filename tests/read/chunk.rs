//! Chunks and bundles: intact, torn, damaged, of a later format.

use crate::seen::{built, check, groups, read_with};
use crate::support::chunks::{Built, SPAN, Span, append, bundle, chunk_name};
use tracecapture::archive::frame::Compression;
use tracecapture::archive::read::{Limits, ReadError};
use tracecapture::archive::trailer::Trailer;
use tracecapture::archive::ustar;

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
    append(&mut tar, &chunk_name(1).member("traces-000001.jsonl.zst"), &body);
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
    append(&mut tar, &chunk_name(1).member("manifest.json"), b"{\"format\":2}");
    assert!(matches!(read_with(&tar, &Limits::default()), Err(ReadError::Newer { .. })));
}
