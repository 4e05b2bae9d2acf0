//! Sizes with their unit in the type, and the text forms a user writes them in.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A number of bytes.
///
/// Its text form is that of an integral Kubernetes quantity (`50M`, `64Mi`, `1000`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

/// Why a text is not a size in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a size in bytes: write a whole number, alone or with k, M, G, T, P, E or Ki, Mi, Gi, Ti, Pi, Ei, such as `50M` or `64Mi`, below 2^63"
)]
pub struct InvalidByteSize(pub String);

/// The suffixes of integral quantities, largest first within a family.
///
/// Source: Kubernetes API reference, `Quantity`; `m`, `u` and `n` make no whole bytes.
const SUFFIXES: [(&str, u64); 12] = [
    ("Ei", 1 << 60),
    ("Pi", 1 << 50),
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("E", 1_000_000_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
];

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, InvalidByteSize> {
        let invalid = || InvalidByteSize(text.chars().take(64).collect());
        let (digits, unit) = SUFFIXES
            .iter()
            .find_map(|&(suffix, unit)| text.strip_suffix(suffix).map(|digits| (digits, unit)))
            .unwrap_or((text, 1));
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        let number: u64 = digits.parse().map_err(|_| invalid())?;
        number.checked_mul(unit).filter(|&bytes| i64::try_from(bytes).is_ok()).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for ByteSize {
    /// Writes the shortest exact quantity.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let best = SUFFIXES
            .iter()
            .filter(|&&(_, unit)| self.0 != 0 && self.0.is_multiple_of(unit))
            .map(|&(suffix, unit)| (self.0 / unit, suffix))
            .min_by_key(|&(number, _)| number);
        match best {
            Some((number, suffix)) => write!(f, "{number}{suffix}"),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_kubernetes_reads_as_whole_bytes() {
        let table = [("50M", 50_000_000), ("64Mi", 64 << 20), ("1G", 1_000_000_000), ("0", 0), ("7k", 7_000)];
        for (text, bytes) in table {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_whole_number_of_bytes() {
        for text in ["", "M", "banana", "100m", "0.5Gi", "-1", "+1", "1e3", "9999E", "1 M", "1KB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_size_survives_its_text(bytes in 0..i64::MAX as u64) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }
    }
}
