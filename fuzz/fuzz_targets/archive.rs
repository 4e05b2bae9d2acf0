//! Any bytes as an archive from a stranger: never a panic, and what is handed out keeps the reader's promises.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use tracecapture::archive::read::{Event, Limits, ReadError, Visitor, read_stream};

const BLOCK: usize = 512;

/// Where a ustar header has its checksum.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Small enough that a bomb ends before the fuzzer's own patience does.
const LIMITS: Limits = Limits { max_entries: 1_000, max_line_bytes: 1 << 20, max_ratio: 100 };

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // A change in a header is refused by its checksum alone; with the checksum made good, what is behind it is reached.
    let mut mended = bytes.to_vec();
    if mend_headers(&mut mended) {
        read(&mended);
    }
});

fn read(mut bytes: &[u8]) {
    // The padding behind the last member may be missing: nothing was lost with it.
    let end = (bytes.len() as u64).next_multiple_of(BLOCK as u64);
    let mut seen = Seen { end, is_open: false };
    match read_stream("input", &mut bytes, &LIMITS, &mut seen) {
        Ok(flow) => {
            assert_eq!(flow, ControlFlow::Continue(()), "nobody ended the reading");
            assert!(!seen.is_open, "what begins ends");
        }
        Err(ReadError::Read { source, .. }) => panic!("memory does not fail: {source}"),
        Err(_) => {}
    }
}

struct Seen {
    end: u64,
    is_open: bool,
}

impl Visitor for Seen {
    fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Begin { .. } => {
                assert!(!self.is_open, "the one before has ended");
                self.is_open = true;
            }
            Event::End { .. } => {
                assert!(self.is_open, "only what began ends");
                self.is_open = false;
            }
            Event::Frame { frame, lines } => {
                assert!(self.is_open && frame.span.start < frame.span.end && frame.span.end <= self.end);
                assert!(frame.span.start <= frame.data.start && frame.data.end <= frame.span.end);
                assert!(lines.is_some(), "every frame is wanted");
            }
            Event::Lines { lines, .. } => assert!(self.is_open && lines.ends_with(b"\n"), "whole lines"),
            Event::Damage(damage) | Event::Torn(damage) => {
                assert!(self.is_open && damage.span.start <= damage.span.end, "{damage:?}");
            }
            Event::Index(_) | Event::Manifest(_) => assert!(self.is_open),
            Event::BundleManifest(_) => {}
        }
        ControlFlow::Continue(())
    }
}

/// Makes the checksums of ustar headers good; tells whether any was not.
fn mend_headers(bytes: &mut [u8]) -> bool {
    let mut has_mended = false;
    for block in bytes.chunks_exact_mut(BLOCK).filter(|block| &block[257..262] == b"ustar") {
        let others = block.iter().enumerate().filter(|(at, _)| !CHECKSUM.contains(at));
        let sum: u32 = others.map(|(_, &byte)| u32::from(byte)).sum::<u32>() + 8 * u32::from(b' ');
        let good = format!("{sum:06o}\0 ");
        has_mended |= block[CHECKSUM] != *good.as_bytes();
        block[CHECKSUM].copy_from_slice(good.as_bytes());
    }
    has_mended
}
