//! What the API server answered, where an error came of it.

use std::error::Error;

use kube::core::Status;
use kube::runtime::watcher;

/// Returns the answer of the API server in an error, where it gave one.
pub fn status(error: &kube::Error) -> Option<&Status> {
    match error {
        kube::Error::Api(status) => Some(status),
        _ => None,
    }
}

/// Tells whether a watch failed because what it is for may not be listed or watched.
pub fn is_forbidden(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => {
            status(error).is_some_and(Status::is_forbidden)
        }
        WatchError(status) => status.is_forbidden(),
        NoResourceVersion => false,
    }
}

/// Joins an error and its sources with `: `, as people read them, each text once.
///
/// Of an answer of the API server only its message is kept: an error of the client holds the whole of it three times.
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let answer = client_error(error).and_then(status).filter(|status| !status.message.is_empty());
        let part = answer.map_or_else(|| error.to_string(), |status| status.message.clone());
        if !text.ends_with(&part) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&part);
        }
        next = error.source().filter(|_| answer.is_none());
    }
    text
}

fn client_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e kube::Error> {
    error.downcast_ref().or_else(|| error.downcast_ref::<Box<kube::Error>>().map(|error| &**error))
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

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    enum Attempt {
        #[error("cannot read the definition")]
        Read(#[source] kube::Error),
        #[error("cannot apply x")]
        Apply(#[source] Box<kube::Error>),
    }

    #[test]
    fn an_answer_is_told_by_its_message_alone() {
        let answer = || {
            let status = Status::failure("services is forbidden", "Forbidden").with_code(403);
            kube::Error::Api(Box::new(status))
        };
        assert_eq!(told(&Attempt::Read(answer())), "cannot read the definition: services is forbidden");
        assert_eq!(told(&Attempt::Apply(Box::new(answer()))), "cannot apply x: services is forbidden");
    }

    #[test]
    fn a_cause_that_is_told_already_is_not_told_again() {
        let service = kube::Error::Service("connection refused".into());
        assert_eq!(told(&Attempt::Read(service)), "cannot read the definition: ServiceError: connection refused");
    }
}
