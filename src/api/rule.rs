//! One rule about a capture, and what the tables of rules are written with.

use super::capture::TraceCaptureSpec;
use super::quantity::Quantity;

/// One rule about a capture.
pub(super) struct Rule {
    /// The object in whose schema the CEL stands.
    pub(super) at: &'static str,
    /// The field of that object which is to be changed, with a leading dot.
    pub(super) field: &'static str,
    /// The rule for the API server; `None` where CEL cannot say it within the server's budget: then the operator says it.
    pub(super) cel: Option<&'static str>,
    /// What is wrong and what to do.
    pub(super) message: &'static str,
    /// What the rule looks at: it says nothing while one of these has a fault of its own.
    pub(super) reads: &'static [&'static str],
    /// The rule for this process.
    pub(super) holds: fn(&TraceCaptureSpec) -> bool,
}

impl Rule {
    /// Returns the path of the field that is to be changed.
    pub(super) fn path(&self) -> String {
        format!("{}{}", self.at, self.field)
    }
}

/// Writes the rule that a field, if present, is a whole number of bytes within bounds.
///
/// The pattern comes first: it holds off what quantities may be but sizes may not
/// (`100m`, `1e3`, `0.5Gi`, `-1`), so that the comparison never fails.
macro_rules! size_cel {
    ($field:literal, $min:literal, $max:literal) => {
        concat!(
            "!has(self.",
            $field,
            ") || (string(self.",
            $field,
            ").matches('^[0-9]{1,19}(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$') && quantity(string(self.",
            $field,
            ")).compareTo(quantity('",
            $min,
            "')) >= 0 && quantity(string(self.",
            $field,
            ")).compareTo(quantity('",
            $max,
            "')) <= 0)"
        )
    };
}

/// Writes what is said of a field that breaks the rule of [`size_cel`].
macro_rules! size_message {
    ($min:literal, $max:literal, $example:literal) => {
        concat!("write a whole number of bytes from ", $min, " to ", $max, ", such as `", $example, "`")
    };
}

pub(super) use {size_cel, size_message};

/// Tells whether a quantity is a whole number of bytes within bounds.
pub(super) fn is_between(quantity: &Quantity, min: u64, max: u64) -> bool {
    quantity.bytes().is_some_and(|size| (min..=max).contains(&size.0))
}

/// Tells whether `text` is an RFC 1123 subdomain; the schema bounds its length.
pub(super) fn is_subdomain(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.split('.').all(is_part)
}
