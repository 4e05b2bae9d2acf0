//! Prints the documentation of conditions and reasons: `cargo run --quiet --example docs > docs/conditions.md`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(tracecapture::api::conditions_markdown().as_bytes())
}
