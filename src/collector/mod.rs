//! The collector: receives OTLP and hands what is to be stored to the appender.
//!
//! A request's way: `server` accepts the connection, `grpc` or `http` reads the message while
//! `admission` counts its bytes, `intake` inflates and transcodes it and puts the lines into the
//! `queue`, the appender resolves the reply, and `answer` turns the outcome into the transport's words.
//!
//! # Invariants
//! - An outcome is decided in `intake` (or where reading failed), a status code only in `answer`.
//! - A client is told "accepted" only after a [`crate::archive::Durable`] receipt.
//! - Every byte a client makes us hold is counted in [`Budget`] until its reply is resolved.

mod admission;
mod answer;
mod appender;
mod assembly;
mod body;
mod controls;
mod describe;
mod grpc;
mod health;
mod http;
mod incarnation;
mod inflate;
mod intake;
mod keeper;
mod outcome;
mod place;
mod queue;
mod reply;
mod roll;
mod server;
mod serving;
mod share;
#[cfg(test)]
mod testing;
mod vitals;
mod volume;
mod wake;
pub mod web;

pub use admission::{Budget, Overloaded, Permit};
pub use assembly::{Collector, OpenError, Storage, Web};
pub use controls::Controls;
pub use health::{Health, StorageHealth};
pub use inflate::{Compression, InflateError};
pub use intake::{Intake, Request};
pub use outcome::{Outcome, Refusal, RetryReason};
pub use place::Place;
pub use queue::{NotStored, Pending, PushError, QueueReceiver, QueueSender, Reply, Submission, queue};
pub use server::{BindError, ConnectionLimits, Receiver};
