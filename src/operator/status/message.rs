//! Messages of conditions: one line, bounded, with the next step last.
//!
//! Parts of a message come from elsewhere (the API server, a kubelet, an operating system)
//! and may be of any length and hold anything.

/// How many bytes a message may take in JSON, which is also below the 512 characters that the schema allows.
const MAX_BYTES: usize = 512;

/// Stands for what was cut.
const CUT: &str = "…";

/// Makes a message of what is the matter and what to do next, which is never cut in favour of the former.
pub(super) fn compose(what: &str, next: &str) -> String {
    let next = cut(&one_line(next), MAX_BYTES / 2);
    let what = one_line(what);
    let mut text = cut(&what, MAX_BYTES - json_len(&next) - 2);
    if text.chars().last().is_some_and(|last| !['.', '!', '?', '…'].contains(&last)) {
        text.push('.');
    }
    if !text.is_empty() && !next.is_empty() {
        text.push(' ');
    }
    text + &next
}

/// Replaces every run of white space and control characters by one blank.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Cuts a text, between characters, to at most `max_bytes` in JSON.
fn cut(text: &str, max_bytes: usize) -> String {
    if json_len(text) <= max_bytes {
        return text.to_owned();
    }
    let mut left = max_bytes.saturating_sub(CUT.len());
    let mut kept = String::new();
    for c in text.chars() {
        let Some(rest) = left.checked_sub(json_char_len(c)) else { break };
        left = rest;
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    kept + CUT
}

fn json_len(text: &str) -> usize {
    text.chars().map(json_char_len).sum()
}

/// Returns how many bytes a character takes in JSON; control characters are gone by now.
fn json_char_len(c: char) -> usize {
    c.len_utf8() + usize::from(matches!(c, '"' | '\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_and_the_next_step_survives_any_length() {
        assert_eq!(compose("no\n  room\u{7}\there", "Make some."), "no room here. Make some.");
        assert_eq!(compose("Full.", "Grow."), "Full. Grow.");
        assert_eq!(compose("Full.", ""), "Full.");
        assert_eq!(compose("write less", ""), "write less.");
        assert_eq!(compose("", ""), "");
        assert_eq!(compose("", "Grow."), "Grow.");
        for filler in ["a", "\"", "ä", "\u{1f600}", "a b"] {
            let message = compose(&filler.repeat(2000), "Grow it.");
            assert!(message.ends_with("… Grow it."), "{message}");
            assert!(serde_json::to_string(&message).unwrap().len() <= MAX_BYTES + 2, "{filler}");
            assert!(json_len(&message) > MAX_BYTES - 16, "{filler}: cut too short");
        }
    }
}
