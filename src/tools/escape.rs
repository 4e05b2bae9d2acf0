//! Keeps text that others wrote from steering a terminal.

use std::borrow::Cow;

/// Returns `text` with everything escaped that could move the cursor, recolour, or reorder what is read.
///
/// Escaped as `\n`, `\r`, `\t` or `\u{..}`: the C0 and C1 controls with escape and delete, the
/// line and paragraph separators, and the marks, embeddings, overrides and isolates
/// that turn the direction of text. A backslash stays, so that text without
/// any of these is returned as it is.
///
/// Source: Unicode Standard Annex 9, and CVE-2021-42574 for what its controls are abused for.
pub fn escape_for_terminal(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) {
            match c {
                '\n' => escaped.push_str("\\n"),
                '\r' => escaped.push_str("\\r"),
                '\t' => escaped.push_str("\\t"),
                _ => escaped.extend(c.escape_unicode()),
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Tells whether a character does something to a terminal other than stand there.
fn steers(c: char) -> bool {
    let separates_lines = matches!(c, '\u{2028}' | '\u{2029}');
    let turns_text =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || separates_lines || turns_text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn controls_and_turns_are_spelt_out() {
        let table = [
            ("GET /cart", "GET /cart"),
            ("größe → 円 \\ 😀", "größe → 円 \\ 😀"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{7f}\u{9b}2J\0", "\\u{7f}\\u{9b}2J\\u{0}"),
            ("user\u{202e}nimda\u{2066}", "user\\u{202e}nimda\\u{2066}"),
            ("x\u{2028}y\u{200f}", "x\\u{2028}y\\u{200f}"),
        ];
        for (text, escaped) in table {
            assert_eq!(escape_for_terminal(text), escaped);
        }
    }

    proptest! {
        #[test]
        fn nothing_that_steers_is_left(text in any::<String>()) {
            prop_assert!(!escape_for_terminal(&text).chars().any(steers));
        }
    }
}
