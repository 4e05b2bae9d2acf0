//! Figures and tables for people.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::tools::escape::escape_for_terminal;

/// Units of time that are typed and told, in seconds, largest first.
const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

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

/// Reads a duration such as `7d`, `1h30m` or `3600`, in seconds.
///
/// # Errors
/// What to write instead.
pub fn parse_seconds(text: &str) -> Result<i64, &'static str> {
    const WRONG: &str = "write a duration such as `7d`, `1h30m` or `90s`; w, d, h, m and s are known";
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(i64::from(seconds));
    }
    let (mut total, mut digits) = (0_u64, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = UNITS.iter().find(|&&(name, _)| name == c).map(|&(_, unit)| unit).ok_or(WRONG)?;
        let number: u64 = digits.parse().map_err(|_| WRONG)?;
        total = number.checked_mul(unit).and_then(|seconds| seconds.checked_add(total)).ok_or(WRONG)?;
        digits.clear();
    }
    if !digits.is_empty() || text.is_empty() {
        return Err(WRONG);
    }
    i64::try_from(total).map_err(|_| WRONG)
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
        for text in ["", "d", "1", "7x", "1h30", "-1s", "99999999999999999999d"].into_iter().filter(|t| *t != "1") {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
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
