use super::*;
use proptest::prelude::*;

const COMPRESSED: [Compression; 2] = [Compression::Zstd, Compression::Gzip];

fn lines(seed: usize) -> Vec<u8> {
    (0..50 + seed).flat_map(|n| format!("{{\"line\":{n},\"seed\":{seed}}}\n").into_bytes()).collect()
}

fn body(compression: Compression, n_frames: usize) -> (Vec<u8>, Vec<usize>) {
    let mut encoder = Encoder::new(compression).unwrap();
    let (mut out, mut borders) = (Vec::new(), vec![0]);
    for n in 0..n_frames {
        encoder.encode(&lines(n), Facts::default(), u32::try_from(n).unwrap(), &mut out).unwrap();
        borders.push(out.len());
    }
    (out, borders)
}

#[test]
fn frames_are_found_one_after_the_other_and_decode() {
    for compression in COMPRESSED {
        let (body, borders) = body(compression, 5);
        for n in 0..5 {
            let frame = locate(compression, &body, borders[n]).unwrap().unwrap();
            assert_eq!(
                (frame.span.clone(), frame.trailer.sequence),
                (borders[n]..borders[n + 1], u32::try_from(n).unwrap())
            );
            let mut out = Vec::new();
            decode(compression, &body[frame.data], &frame.trailer, &mut out).unwrap();
            assert_eq!(out, lines(n));
        }
    }
}

#[test]
fn stock_decoders_read_a_whole_member() {
    let expected: Vec<u8> = (0..5).flat_map(lines).collect();
    let (zst, _) = body(Compression::Zstd, 5);
    assert_eq!(zstd::stream::decode_all(&zst[..]).unwrap(), expected);
    let (gz, _) = body(Compression::Gzip, 5);
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(&gz[..]).read_to_end(&mut out).unwrap();
    assert_eq!(out, expected);
}

#[test]
fn a_damaged_frame_is_passed_over() {
    for compression in COMPRESSED {
        let (mut body, borders) = body(compression, 3);
        body[borders[1] + 40] ^= 0x10;
        let frame = locate(compression, &body, borders[1]).unwrap().unwrap();
        assert_eq!(frame.span, borders[2]..borders[3], "{compression:?}");
    }
}

#[test]
fn a_frame_of_a_later_format_is_refused_by_name() {
    for compression in COMPRESSED {
        let (mut body, _) = body(compression, 1);
        let at = memmem::find(&body, &MAGIC).unwrap();
        body[at + 3] = b'2';
        assert!(matches!(locate(compression, &body, 0), Err(FrameError::Newer(_))), "{compression:?}");
    }
}

#[test]
fn names_tell_the_compression() {
    assert_eq!(Compression::of_name("a/traces-000001.jsonl.zst"), Some(Compression::Zstd));
    assert_eq!(Compression::of_name("traces.jsonl.gz"), Some(Compression::Gzip));
    assert_eq!(Compression::of_name("traces.jsonl"), Some(Compression::None));
    assert_eq!(Compression::of_name("manifest.json"), None);
}

proptest! {
    #[test]
    fn a_torn_tail_leaves_exactly_the_whole_frames(cut in 0_usize..2_000, gzip: bool) {
        let compression = COMPRESSED[usize::from(gzip)];
        let (body, borders) = body(compression, 4);
        let cut = cut.min(body.len());
        let (mut at, mut whole) = (0, 0);
        while let Some(frame) = locate(compression, &body[..cut], at).unwrap() {
            prop_assert_eq!(frame.span.start, at);
            (at, whole) = (frame.span.end, whole + 1);
        }
        prop_assert_eq!(whole, borders.iter().filter(|&&end| end > 0 && end <= cut).count());
    }
}
