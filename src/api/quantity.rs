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
