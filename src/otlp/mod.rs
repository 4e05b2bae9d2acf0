//! OTLP without I/O: requests in either encoding become canonical lines of the OTLP file format.
//!
//! There is one canonical path: JSON input becomes protobuf first, then the same walk makes the lines, so every
//! rule about spans has one place. Which fields there are is told by tables, for both directions.
//!
//! ```text
//!            protobuf ─────────────────► walk ──► assemble ──► Vec<Segment>
//!            JSON ──► json ──► protobuf ──┘  ▲
//!                       ▲                    │
//!                       └────── schema ──────┘
//! ```

pub(crate) mod answers;
mod assemble;
mod batch;
pub mod export;
mod json;
pub mod lines;
mod output;
mod schema;
mod swar;
mod transcode;
pub mod view;
mod walk;
mod wire;

pub use batch::{BadData, Encoding, Limits, MAX_SERVICES_BYTES, Report, Room, Segment, Unbounded};
pub use transcode::{Transcoder, json_line_to_protobuf};
