use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::super::admission::Budget;
use super::*;

const TEXT: &[u8] = b"spans and spans and spans";
const LIMIT: usize = 1 << 20;

fn encode(name: &str, text: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    match name {
        "gzip" => written(GzEncoder::new(Vec::new(), level), text, |e| e.finish().unwrap()),
        "zlib" => written(ZlibEncoder::new(Vec::new(), level), text, |e| e.finish().unwrap()),
        "deflate" => written(DeflateEncoder::new(Vec::new(), level), text, |e| e.finish().unwrap()),
        "zstd" => zstd::encode_all(text, 1).unwrap(),
        "snappy" => snap::raw::Encoder::new().compress_vec(text).unwrap(),
        "x-snappy-framed" => written(snap::write::FrameEncoder::new(Vec::new()), text, |e| e.into_inner().unwrap()),
        "lz4" => written(lz4_flex::frame::FrameEncoder::new(Vec::new()), text, |e| e.finish().unwrap()),
        _ => text.to_vec(),
    }
}

fn written<W: Write>(mut encoder: W, text: &[u8], finish: fn(W) -> Vec<u8>) -> Vec<u8> {
    encoder.write_all(text).unwrap();
    finish(encoder)
}

const ALL: [&str; 8] = ["identity", "gzip", "zlib", "deflate", "zstd", "snappy", "x-snappy-framed", "lz4"];

fn inflate_within(name: &str, body: &[u8], limit: usize, budget: u64) -> Result<Vec<u8>, InflateError> {
    let (mut inflater, mut permit) = (Inflater::default(), Budget::default().permit(budget));
    let mut bytes = Vec::new();
    inflater.inflate(Compression::from_name(name).unwrap(), body, (limit, &mut permit), &mut bytes)?;
    Ok(bytes)
}

fn check(name: &str, body: &[u8], expected: &[u8]) {
    let inflated = inflate_within(name, body, LIMIT, u64::MAX);
    assert!(inflated.as_ref().is_ok_and(|bytes| bytes == expected), "{name}: {inflated:?}");
}

fn check_corrupt(name: &str, body: &[u8], what: &str) {
    let inflated = inflate_within(name, body, LIMIT, u64::MAX);
    assert!(matches!(inflated, Err(InflateError::Corrupt { .. })), "{name}, {what}: {inflated:?}");
}

#[test]
fn every_scheme_is_read() {
    let long: Vec<u8> = (0..300_000_u32).map(|i| u8::try_from(i.wrapping_mul(i) % 251).unwrap()).collect();
    for name in ALL {
        for text in [TEXT, &long, b""] {
            check(name, &encode(name, text), text);
        }
    }
}

#[test]
fn all_members_and_frames_are_read() {
    for name in ["gzip", "zstd", "lz4", "x-snappy-framed"] {
        let twice = [encode(name, TEXT), encode(name, b"more")].concat();
        check(name, &twice, &[TEXT, b"more"].concat());
    }
}

#[test]
fn cut_off_bodies_are_bad_data() {
    for name in ["gzip", "zlib", "deflate", "zstd", "snappy", "x-snappy-framed", "lz4"] {
        let whole = encode(name, TEXT);
        for end in [whole.len() - 1, whole.len() / 2] {
            check_corrupt(name, &whole[..end], "cut off");
        }
    }
    for name in ["gzip", "zlib", "zstd", "lz4"] {
        check_corrupt(name, b"", "empty");
    }
}

#[test]
fn trailing_garbage_is_bad_data() {
    for name in ["gzip", "zlib", "deflate", "zstd", "snappy", "x-snappy-framed", "lz4"] {
        check_corrupt(name, &[&encode(name, TEXT)[..], b"garbage!"].concat(), "garbage behind");
        check_corrupt(name, b"\x07 this is not compressed at all", "garbage");
    }
}

#[test]
fn bombs_stop_at_the_limit() {
    let zeroes = vec![0; 4 * LIMIT];
    for name in ALL {
        let inflated = inflate_within(name, &encode(name, &zeroes), LIMIT, u64::MAX);
        assert!(matches!(inflated, Err(InflateError::TooLarge { limit: LIMIT })), "{name}");
    }
    let members = encode("gzip", &zeroes[..LIMIT]).repeat(2);
    assert!(matches!(inflate_within("gzip", &members, LIMIT, u64::MAX), Err(InflateError::TooLarge { .. })));
}

#[test]
fn memory_is_asked_for_before_it_is_used() {
    let zeroes = vec![0; LIMIT];
    for name in ALL {
        let inflated = inflate_within(name, &encode(name, &zeroes), LIMIT, 200 << 10);
        assert!(matches!(inflated, Err(InflateError::Overloaded(_))), "{name}");
    }
}

#[test]
fn a_zstd_window_of_gigabytes_is_refused() {
    // Magic number, a descriptor without checksum or size, and the window descriptor for 2 GiB.
    check_corrupt("zstd", &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00], "window");
}

#[test]
fn a_context_goes_on_after_bad_data() {
    let (mut inflater, mut permit) = (Inflater::default(), Budget::default().permit(u64::MAX));
    let body = encode("zstd", TEXT);
    for (body, good) in [(&body[..], true), (&body[..9], false), (&body[..], true)] {
        let mut bytes = Vec::new();
        let result = inflater.inflate(Compression::Zstd, body, (LIMIT, &mut permit), &mut bytes);
        assert_eq!(result.is_ok() && bytes == TEXT, good);
    }
}
