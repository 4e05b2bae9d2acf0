//! What the process tells about itself.

pub mod log;
pub mod metrics;
pub mod trace;

/// Joins an error and its sources with `: `, as people read them.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
