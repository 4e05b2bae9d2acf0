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

/// Says what failed and why, for conditions: of an answer of the API server its message alone, since the client
/// repeats it and adds what only programs read.
pub fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        if let Some(status) = cause.downcast_ref::<kube::Error>().and_then(status) {
            text.push_str(&status.message);
            break;
        }
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
