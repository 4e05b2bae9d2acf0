//! Keeps text that others wrote from steering a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

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

/// Returns lines of JSON with the same escaped as JSON escapes it, `\u001b`, and every line end kept.
///
/// What is in a string then still means the same: the lines stay JSON. What is no UTF-8 is replaced.
pub fn escape_json_lines_for_terminal(lines: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(lines);
    let is_bad = |c: char| c != '\n' && steers(c);
    if !text.contains(is_bad) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_bad(c) {
            // All that steer lie in the plane that four digits reach.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
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

    #[test]
    fn escaped_lines_stay_json_and_mean_the_same() {
        let text = "a\u{1b}[2J\u{9b}b\u{202e}\u{2028}c\u{7f}→😀";
        let canonical = format!("{{\"name\":\"{}\"}}\n{{}}\n", text.replace('\u{1b}', "\\u001b"));
        let escaped = escape_json_lines_for_terminal(canonical.as_bytes());
        assert_eq!(escaped, "{\"name\":\"a\\u001b[2J\\u009bb\\u202e\\u2028c\\u007f→😀\"}\n{}\n");
        let value: serde_json::Value = serde_json::from_str(escaped.lines().next().unwrap()).unwrap();
        assert_eq!(value["name"], text);
        assert_eq!(escape_json_lines_for_terminal(b"\x1b]0;x\x07\r\n\xff\n"), "\\u001b]0;x\\u0007\\u000d\n\u{fffd}\n");
    }

    proptest! {
        #[test]
        fn nothing_that_steers_is_left(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            prop_assert!(!escape_for_terminal(&text).chars().any(steers));
            let lines = escape_json_lines_for_terminal(&bytes);
            prop_assert!(!lines.chars().any(|c| c != '\n' && steers(c)));
        }
    }
}
