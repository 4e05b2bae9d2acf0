//! Figures and tables for people.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::tools::escape::escape_for_terminal;

/// Units of time that are typed and told, in seconds, largest first; milliseconds are typed only.
const UNITS: [(&str, u64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// What is said to who types no duration.
const NO_DURATION: &str = "write a duration such as `7d`, `1h30m` or `90s`; w, d, h, m, s and ms are known";

/// Units of bytes, as drives and the defaults of captures count them.
const BYTES: [(&str, u64); 4] = [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];

/// Returns bytes with one decimal of the unit that fits.
pub fn bytes(n: u64) -> String {
    match BYTES.iter().find(|&&(_, unit)| n >= unit) {
        Some(&(name, unit)) => format!("{}.{} {name}", n / unit, n % unit * 10 / unit),
        None => format!("{n} bytes"),
    }
}

/// Returns a duration in its two largest units, such as `3d4h`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    // Weeks are typed, but days are what people count in.
    let Some(at) = UNITS.iter().skip(1).position(|&(_, unit)| seconds >= unit) else { return "0s".to_owned() };
    let mut rest = seconds;
    let mut text = String::new();
    for &(name, unit) in UNITS.iter().skip(1 + at).take(2) {
        if rest >= unit {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}{name}", rest / unit);
        }
        rest %= unit;
    }
    text
}

/// Returns how long ago an instant was.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", duration(now.saturating_since(then)))
}

/// Reads a duration: numbers with units such as `7d`, `1h30m` or `250ms`, or seconds alone such as `3600`.
///
/// # Errors
/// What to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    if text.is_empty() {
        return Err(NO_DURATION);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Duration::from_secs).map_err(|_| NO_DURATION);
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or(NO_DURATION)?);
        let (unit, next) = behind.split_at(behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len()));
        let number: u64 = number.parse().map_err(|_| NO_DURATION)?;
        let part = if unit == "ms" {
            Duration::from_millis(number)
        } else {
            let &(_, seconds) = UNITS.iter().find(|&&(name, _)| name == unit).ok_or(NO_DURATION)?;
            Duration::from_secs(number.checked_mul(seconds).ok_or(NO_DURATION)?)
        };
        total = total.checked_add(part).ok_or(NO_DURATION)?;
        rest = next;
    }
    Ok(total)
}

/// Reads a duration as [`parse_duration`] does, in seconds.
///
/// # Errors
/// What to write instead; parts of a second are nothing to the fields that hold seconds.
pub fn parse_seconds(text: &str) -> Result<i64, &'static str> {
    let duration = parse_duration(text)?;
    if duration.subsec_nanos() > 0 {
        return Err("write whole seconds");
    }
    i64::try_from(duration.as_secs()).map_err(|_| NO_DURATION)
}

/// Returns rows as columns, each as wide as its widest cell, with every cell escaped.
pub fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|cell| escape_for_terminal(cell)).collect()).collect();
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}   ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Returns a word as a shell reads it back.
pub fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_told() {
        for (text, seconds) in [("7d", 604_800), ("1h30m", 5_400), ("90", 90), ("2w1s", 1_209_601)] {
            assert_eq!(parse_seconds(text), Ok(seconds), "{text}");
        }
        let millis = |text| parse_duration(text).map(|duration| duration.as_millis()).ok();
        for (text, expected) in [("250ms", 250), ("1s1ms", 1_001), ("1w", 604_800_000), ("2", 2_000), ("0s", 0)] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for text in
            ["", "d", "7x", "1h30", "-1s", "+1", "1 h", "1\u{b5}s", "99999999999999999999d", "99999999999999999w"]
        {
            assert_eq!((millis(text), parse_seconds(text).ok()), (None, None), "{text}");
        }
        assert_eq!((parse_seconds("2000ms"), parse_seconds("1500ms").ok()), (Ok(2), None));
        for (seconds, text) in [(0, "0s"), (59, "59s"), (3_600, "1h"), (3_661, "1h1m"), (700_000, "8d2h")] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        for (n, text) in [(0, "0 bytes"), (999, "999 bytes"), (1_000, "1.0 kB"), (812_345_678, "812.3 MB")] {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn tables_line_up_and_steer_nothing() {
        let rows = [vec!["A".to_owned(), "B".to_owned()], vec!["a\u{1b}".to_owned(), "b".to_owned()]];
        assert_eq!(table(&rows), "A         B\na\\u{1b}   b\n");
    }

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("a-b"), "a-b");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
