//! Sizes as Kubernetes writes them: a whole number, or a text such as `50M`.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::units::ByteSize;

/// A resource quantity as it stands in an object, not yet checked.
///
/// Kept as it was written, so that an object that is read and written back does not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Quantity {
    /// A number of bytes.
    Number(i64),
    /// A text such as `50M` or `64Mi`.
    Text(String),
}

impl Quantity {
    /// Returns the size, or `None` where this is no whole number of bytes.
    pub fn bytes(&self) -> Option<ByteSize> {
        match self {
            Self::Number(bytes) => u64::try_from(*bytes).ok().map(ByteSize),
            Self::Text(text) => text.parse().ok(),
        }
    }

    /// Returns the amount in billionths, rounded up, or `None` where this is no quantity of a compute resource.
    ///
    /// Fractions (`500m`, `0.5`) are taken; signs and exponents, which nobody writes for resources, are not.
    /// Amounts above the largest that Kubernetes knows are all the same.
    pub fn nanos(&self) -> Option<i128> {
        let text = match self {
            Self::Number(number) => &number.to_string(),
            Self::Text(text) => text,
        };
        let suffix_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(suffix_at);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if !(1..=15).contains(&whole.len()) || !(1..=9).contains(&fraction.len()) {
            return None;
        }
        // In billionths of the suffix's unit; a second point is no digit, so it ends here.
        let scaled: i128 = format!("{whole}{fraction:0<9}").parse().ok()?;
        let (factor, divisor) = factor_of(suffix)?;
        Some(scaled.saturating_mul(factor).saturating_add(divisor - 1) / divisor)
    }
}

/// Returns what a suffix multiplies and divides by.
///
/// Source: Kubernetes API reference, `Quantity`.
fn factor_of(suffix: &str) -> Option<(i128, i128)> {
    let (factor, divisor) = match suffix {
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "" => (1, 1),
        // The other suffixes are those of whole bytes.
        _ => (format!("1{suffix}").parse::<ByteSize>().ok()?.0, 1),
    };
    Some((factor.into(), divisor))
}

impl From<ByteSize> for Quantity {
    fn from(size: ByteSize) -> Self {
        Self::Text(size.to_string())
    }
}

/// Returns the schema of a quantity.
///
/// Written by hand for two reasons: `x-kubernetes-int-or-string` must stand without
/// `anyOf`, and kube marks every optional quantity nullable unless it says otherwise;
/// a null that the API server lets through would break every watch.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    // The bound on the text keeps the estimated cost of the rules within the API server's budget.
    json_schema!({ "x-kubernetes-int-or-string": true, "nullable": false, "maxLength": 32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_compare_across_suffixes() {
        let nanos = |text: &str| Quantity::Text(text.to_owned()).nanos();
        assert_eq!(nanos("500m"), nanos("0.5"));
        assert_eq!(nanos("1Gi"), nanos("1024Mi"));
        assert_eq!(nanos("2"), Quantity::Number(2).nanos());
        assert_eq!(nanos("1n"), Some(1));
        assert_eq!(nanos("0.1n"), Some(1), "rounded up, as Kubernetes does");
        assert!(nanos("999999999999999Ei") > nanos("1Ei"));
    }

    #[test]
    fn what_is_no_amount_has_none() {
        for text in ["", "banana", "-1", "+1", "1e3", "1.", ".5", "1.2.3", "1 Gi", "m", "1kb", "1Em", "0x1"] {
            assert_eq!(Quantity::Text(text.to_owned()).nanos(), None, "{text}");
        }
        assert_eq!(Quantity::Number(-1).nanos(), None);
    }
}
