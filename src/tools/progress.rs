//! Progress of long commands: a bar on a terminal, nothing anywhere else.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::units::ByteSize;

/// How often the bar is drawn, in hertz: enough to look alive, little over a slow connection.
const DRAWS_PER_SECOND: u8 = 8;

/// Returns a bar on stderr that counts bytes up to `total`; invisible where stderr is no terminal.
///
/// It has no colours, so there is nothing for `NO_COLOR` to turn off.
/// Whoever holds it calls `finish_and_clear`, so that only the result stays on the screen.
pub fn bytes(what: &'static str, total: ByteSize) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND)
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(total.0), target);
    // A template with a mistake would fall back to indicatif's own; a test keeps ours sound.
    if let Ok(style) = style() {
        bar.set_style(style);
    }
    bar.with_message(what)
}

fn style() -> Result<ProgressStyle, indicatif::style::TemplateError> {
    ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left")
        .map(|style| style.progress_chars("=> "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_sound() {
        assert!(style().is_ok());
    }

    #[test]
    fn a_bar_counts_also_where_nobody_sees_it() {
        let bar = bytes("verifying", ByteSize(100));
        bar.inc(40);
        assert_eq!((bar.position(), bar.length()), (40, Some(100)));
    }
}
