//! What both transports hand in.

use bytes::Bytes;

use crate::collector::admission::Permit;
use crate::collector::inflate::Compression;
use crate::ids::Signal;
use crate::otlp::Encoding;

/// One request, read but neither inflated nor decoded.
#[derive(Debug)]
pub struct Request {
    /// What it brings.
    pub signal: Signal,
    /// How the inflated body is encoded.
    pub encoding: Encoding,
    /// How the body is compressed.
    pub compression: Compression,
    /// The body.
    pub body: Bytes,
    /// Its bytes in flight.
    pub permit: Permit,
}
