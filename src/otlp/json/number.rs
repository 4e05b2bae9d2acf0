//! Numbers as JSON writes them.

use crate::otlp::swar;

/// As many digits always fit a `u64`.
const MAX_U64_DIGITS: usize = 19;

/// Tells whether `text` is a number of JSON's grammar.
pub(super) fn is_number(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, rest) = digits(unsigned);
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with(b"0")) {
        return false;
    }
    let rest = match rest.strip_prefix(b".").map(digits) {
        Some(([], _)) => return false,
        Some((_, rest)) => rest,
        None => rest,
    };
    match rest {
        [] => true,
        [b'e' | b'E', exponent @ ..] => {
            let (digits, end) = digits(exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent));
            !digits.is_empty() && end.is_empty()
        }
        _ => false,
    }
}

/// Returns the integer that digits alone are, as JSON writes it; `None` if there is anything else, or too many.
#[inline]
pub(super) fn plain(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > MAX_U64_DIGITS || (text.len() > 1 && text.starts_with(b"0")) {
        return None;
    }
    let (blocks, rest) = text.as_chunks::<8>();
    let mut value = 0;
    for block in blocks {
        value = value * 100_000_000 + swar::undecimal(*block)?;
    }
    rest.iter().try_fold(value, |value, &digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0')))
}

/// Returns the integer that a number is, also where it is written as `1.0` or `1e3`; `None` if it is none.
///
/// Nothing goes through a double, so 64-bit values keep their last digits.
pub(super) fn integer(text: &[u8]) -> Option<i128> {
    let (negative, unsigned) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, rest) = digits(unsigned);
    let magnitude = if rest.is_empty() { fold(0, whole)? } else { decimal(whole, rest)? };
    Some(if negative { -magnitude } else { magnitude })
}

/// Returns the double that a number is; `None` if it is beyond the range of doubles.
pub(super) fn double(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

// A whole part with a fraction, an exponent, or both.
fn decimal(whole: &[u8], rest: &[u8]) -> Option<i128> {
    let (fraction, rest) = rest.strip_prefix(b".").map_or((&[][..], rest), digits);
    let fraction = fraction.trim_ascii_end();
    let kept = fraction.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
    let fraction = fraction.get(..kept)?;
    let exponent: i64 = match rest {
        [] => 0,
        [_, exponent @ ..] => std::str::from_utf8(exponent).ok()?.parse().ok()?,
    };
    let mut value = fold(fold(0, whole)?, fraction)?;
    let mut shift = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    while value != 0 && shift != 0 {
        if shift > 0 {
            value = value.checked_mul(10)?;
            shift -= 1;
        } else if value % 10 == 0 {
            value /= 10;
            shift += 1;
        } else {
            return None;
        }
    }
    Some(value)
}

fn fold(value: i128, digits: &[u8]) -> Option<i128> {
    digits.iter().try_fold(value, |value, &digit| value.checked_mul(10)?.checked_add(i128::from(digit - b'0')))
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at_checked(len).unwrap_or((text, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r25_integers_are_exact_however_they_are_written() {
        let table: [(&str, Option<i128>); 12] = [
            ("0", Some(0)),
            ("-7", Some(-7)),
            ("18446744073709551615", Some(i128::from(u64::MAX))),
            ("1.0", Some(1)),
            ("1e3", Some(1000)),
            ("1795257045123000001.000", Some(1_795_257_045_123_000_001)),
            ("1.5e1", Some(15)),
            ("100e-2", Some(1)),
            ("0e999999999", Some(0)),
            ("1e999999999", None),
            ("1.5", None),
            ("1e99999999999999999999", None),
        ];
        for (text, value) in table {
            assert!(is_number(text.as_bytes()), "{text}");
            assert_eq!(integer(text.as_bytes()), value, "{text}");
        }
        for text in ["0", "7", "12345678", "9999999999999999999", "1795257045123000001"] {
            assert_eq!(plain(text.as_bytes()), text.parse().ok(), "{text}");
        }
        for text in ["", "01", "-1", "1234567x", "12345678:", "/2345678", "18446744073709551615"] {
            assert_eq!(plain(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", "01", "1.", ".5", "+1", "1e", "1e+", "0x1", "1 ", "--1", "1.e1", "NaN"] {
            assert!(!is_number(text.as_bytes()), "{text}");
        }
        assert_eq!(double(b"1e999"), None);
    }
}
