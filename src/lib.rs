//! TraceCapture: durable capture of OTLP traces in chunked tar files.
//!
//! The map of the crate, from top to bottom; an import only ever points down
//! (`ARCHITECTURE.md` says why, `tests/architecture` keeps it so).

pub mod cli;
pub mod tools;

pub mod collector;
pub mod gateway;
pub mod operator;

pub mod installation;
pub mod settings;

pub mod admin;
pub mod api;
pub mod archive;
pub mod http1;
pub mod otlp;

pub mod clock;
pub mod ids;
pub mod patience;
pub mod shutdown;
pub mod telemetry;
pub mod units;
