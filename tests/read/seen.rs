//! What the reader handed out, and what is handed to it.

use std::io::{Read, Write as _};
use std::ops::ControlFlow;

use crate::support::chunks::{Built, SPAN, Span};
use tracecapture::archive::frame::Compression;
use tracecapture::archive::index::FrameRef;
use tracecapture::archive::read::{Event, Limits, ReadError, Visitor, read_stream};

/// What came out, in short.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) log: Vec<String>,
    pub(crate) lines: String,
    pub(crate) frames: Vec<FrameRef>,
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
pub(crate) struct Frames(pub(crate) usize, pub(crate) usize);

impl Visitor for Frames {
    fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
        if let Event::Frame { lines, .. } = event {
            (self.0, self.1) = (self.0 + 1, self.1 + lines.unwrap().len());
        }
        ControlFlow::Continue(())
    }
}

pub(crate) fn read_with(bytes: &[u8], limits: &Limits) -> Result<Seen, ReadError> {
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
pub(crate) fn check(bytes: &[u8], log: &str, lines: &str) {
    let seen = read_with(bytes, &Limits::default()).unwrap();
    assert_eq!((seen.log.join(" "), seen.lines), (log.to_owned(), lines.to_owned()));
}

pub(crate) fn check_limit(bytes: &[u8], limits: &Limits, flag: &str) {
    match read_with(bytes, limits) {
        Err(ReadError::Limit { flag: found, .. }) => assert_eq!(found, flag),
        Err(other) => panic!("{other}"),
        Ok(seen) => panic!("{:?}", seen.log),
    }
}

pub(crate) fn groups() -> [[Span<'static>; 2]; 3] {
    [1, 2, 3].map(|trace| [Span { trace, ..SPAN }, Span { trace, name: "POST /cart", ..SPAN }])
}

pub(crate) fn built(compression: Compression) -> (Built, String) {
    let groups = groups();
    let groups: Vec<&[Span<'_>]> = groups.iter().map(<[_; 2]>::as_slice).collect();
    let lines = groups.iter().flat_map(|group| group.iter().map(Span::line)).collect();
    (Built::new(1, compression, &groups), lines)
}

/// Changes a header and makes its checksum right again.
pub(crate) fn forge(header: &mut [u8], change: impl FnOnce(&mut [u8])) {
    change(header);
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|&b| u32::from(b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

pub(crate) fn zstd(text: &str) -> Vec<u8> {
    zstd::stream::encode_all(text.as_bytes(), 3).unwrap()
}

pub(crate) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}
