//! The `tracecapture` binary: the process around the library, and nothing else.

use std::process::ExitCode;

/// Decoding and encoding spans allocates in many small pieces, which mimalloc serves faster than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tracecapture::cli::run(std::env::args_os()).into()
}
