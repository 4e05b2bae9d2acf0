//! Compressed bodies, on both transports.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::grpc_client::{export, frame};
use crate::http_client::post_protobuf;
use crate::samples::{self, MAX_BYTES};

const OK: i32 = 0;
const INVALID_ARGUMENT: i32 = 3;
const RESOURCE_EXHAUSTED: i32 = 8;

const ALL: [&str; 7] = ["gzip", "zlib", "deflate", "zstd", "snappy", "x-snappy-framed", "lz4"];

fn compress(name: &str, body: &[u8]) -> Vec<u8> {
    fn written<W: Write>(mut encoder: W, body: &[u8], finish: fn(W) -> Vec<u8>) -> Vec<u8> {
        encoder.write_all(body).unwrap();
        finish(encoder)
    }
    let level = Compression::fast();
    match name {
        "gzip" => written(GzEncoder::new(Vec::new(), level), body, |e| e.finish().unwrap()),
        "zlib" => written(ZlibEncoder::new(Vec::new(), level), body, |e| e.finish().unwrap()),
        "deflate" => written(DeflateEncoder::new(Vec::new(), level), body, |e| e.finish().unwrap()),
        "zstd" => zstd::encode_all(body, 1).unwrap(),
        "snappy" => snap::raw::Encoder::new().compress_vec(body).unwrap(),
        "x-snappy-framed" => written(snap::write::FrameEncoder::new(Vec::new()), body, |e| e.into_inner().unwrap()),
        _ => written(lz4_flex::frame::FrameEncoder::new(Vec::new()), body, |e| e.finish().unwrap()),
    }
}

/// Sends a compressed body over both transports, under the name that clients use for it.
async fn check(name: &str, body: &[u8], http_status: u16, grpc_status: i32) {
    let named = match name {
        "zlib" => "deflate",
        "x-snappy-framed" => "snappy",
        other => other,
    };
    let answer = post_protobuf(&[("content-encoding", named)], body);
    assert_eq!(answer.status, http_status, "{name} over HTTP: {:?}", String::from_utf8_lossy(&answer.body));
    let reply = export(&[("grpc-encoding", named)], frame(1, body)).await;
    assert_eq!(reply.status, grpc_status, "{name} over gRPC: {reply:?}");
}

#[tokio::test]
async fn r13_every_compression_of_a_stock_collector_is_read() {
    for name in ALL {
        check(name, &compress(name, &samples::protobuf()), 200, OK).await;
    }
}

#[tokio::test]
async fn r13_large_compressed_bodies_are_read() {
    for name in ALL {
        check(name, &compress(name, &samples::protobuf_of(1 << 20)), 200, OK).await;
    }
}

#[tokio::test]
async fn r13_all_members_of_a_gzip_body_are_read() {
    // The second member alone is bad data: whoever stops after the first one does not see it.
    let (good, bad) = (compress("gzip", &samples::protobuf()), compress("gzip", b"\xff\xff\xff"));
    check("gzip", &[&good[..], &good].concat(), 200, OK).await;
    check("gzip", &[good, bad].concat(), 400, INVALID_ARGUMENT).await;
}

#[tokio::test]
async fn r18_garbage_and_cut_off_bodies_are_bad_data() {
    for name in ALL {
        let whole = compress(name, &samples::protobuf());
        check(name, &whole[..whole.len() - 1], 400, INVALID_ARGUMENT).await;
        check(name, &[&whole[..], b"trailing"].concat(), 400, INVALID_ARGUMENT).await;
        check(name, b"\x07 nothing of the kind", 400, INVALID_ARGUMENT).await;
    }
}

#[tokio::test]
async fn r03_r12_bombs_stop_at_the_limit() {
    let _large = samples::LARGE.lock().await;
    let zeroes = vec![0; MAX_BYTES + 1];
    for name in ["gzip", "zstd", "snappy", "lz4"] {
        check(name, &compress(name, &zeroes), 413, RESOURCE_EXHAUSTED).await;
    }
    let members = compress("gzip", &zeroes[..=MAX_BYTES / 2]).repeat(2);
    check("gzip", &members, 413, RESOURCE_EXHAUSTED).await;
}
