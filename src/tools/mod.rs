//! What a person runs in a terminal: one file per command, and what the commands share.

pub mod args;
pub mod capture_file;
pub mod cat;
pub mod collector;
pub mod completion;
pub mod crd;
pub mod escape;
pub mod exit;
pub mod gateway;
pub mod generate;
mod in_cluster;
pub mod operator;
pub mod output;
pub mod pod_args;
mod process;
pub mod progress;
pub mod reading;
pub mod recover;
pub mod run;
pub mod stats;
pub mod validate;
pub mod verify;
pub mod version;
pub mod watch;
