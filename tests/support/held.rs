//! What an archive holds, as a user sees it: with `verify` and `cat`.

use std::collections::HashMap;
use std::path::Path;

use crate::support;

/// Asserts that `verify` is content with a path.
#[track_caller]
pub(crate) fn assert_verified(path: &Path) {
    let verified = support::output(&["verify", path.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

/// Reads an archive with `cat` and counts how often each span id occurs.
pub(crate) fn span_ids(path: &Path) -> HashMap<u64, usize> {
    let cat = support::output(&["cat", path.to_str().unwrap()]);
    assert!(cat.status.success(), "{}", String::from_utf8_lossy(&cat.stderr));
    let mut counts = HashMap::new();
    for part in String::from_utf8(cat.stdout).unwrap().split("\"spanId\":\"").skip(1) {
        *counts.entry(u64::from_str_radix(&part[..16], 16).unwrap()).or_default() += 1;
    }
    counts
}
