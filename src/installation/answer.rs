//! What the API server answered, where an error came of it.

use kube::core::Status;

/// Returns the answer of the API server in an error, where it gave one.
pub fn status(error: &kube::Error) -> Option<&Status> {
    match error {
        kube::Error::Api(status) => Some(status),
        _ => None,
    }
}

/// Takes "not found" for an answer.
///
/// # Errors
/// Every other error, as it came.
pub fn optional<T>(answer: kube::Result<T>) -> kube::Result<Option<T>> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) if status(&error).is_some_and(Status::is_not_found) => Ok(None),
        Err(error) => Err(error),
    }
}
