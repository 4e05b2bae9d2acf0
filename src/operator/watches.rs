//! The streams of events that the operator lives on.
//!
//! Children are watched as metadata only and by our label, so that what others have in the
//! cluster costs nothing. A stream that fails begins again, with growing waits; one that goes
//! silent is given up by the watcher itself, a few seconds after its server-side timeout.

use futures::stream::{BoxStream, SelectAll, StreamExt as _};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Client, Resource as _};

use super::index::Source;
use super::kinds::Kind;
use super::options::Watched;
use crate::api::TraceCapture;
use crate::api::names::CAPTURE_LABEL;
use crate::ids::CaptureId;
use crate::installation::again::begin_again;
use crate::installation::answer;

/// What one of the streams brought.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time is alive, and moved once")]
pub(super) enum Change {
    /// A capture.
    Capture(Source, Event<DeserializeGuard<TraceCapture>>),
    /// The metadata of a child of a capture.
    Child(Source, Kind, Event<PartialObjectMeta<DynamicObject>>),
    /// The stream failed; it begins again by itself.
    Fault(Source, watcher::Error),
}

/// All streams as one.
pub(super) type Changes = SelectAll<BoxStream<'static, Change>>;

/// Returns every source of the namespaces that are watched.
pub(super) fn sources(watched: &Watched) -> Vec<Source> {
    let scopes = match watched {
        Watched::All => 1,
        Watched::Namespaces(names) => names.len(),
    };
    let kinds = || std::iter::once(None).chain(Kind::ALL.map(Some));
    (0..scopes).flat_map(|scope| kinds().map(move |children| Source { scope, children })).collect()
}

/// Returns the namespace that a source tells of; `None` stands for all of them.
pub(super) fn namespace(watched: &Watched, source: Source) -> Option<&str> {
    match watched {
        Watched::All => None,
        Watched::Namespaces(names) => names.get(source.scope).map(String::as_str),
    }
}

/// Tells whether a source tells of the namespace of a capture.
pub(super) fn covers(watched: &Watched, source: Source, id: &CaptureId) -> bool {
    match watched {
        Watched::All => true,
        Watched::Namespaces(names) => names.get(source.scope).is_some_and(|name| name == id.namespace()),
    }
}

/// Begins to watch; nothing is asked of the API server before the first poll.
pub(super) fn start(client: &Client, watched: &Watched) -> Changes {
    sources(watched)
        .into_iter()
        .map(|source| {
            let namespace = namespace(watched, source);
            match source.children {
                None => captures(client, namespace, source),
                Some(kind) => children(client, namespace, source, kind),
            }
        })
        .collect()
}

/// Says what a stream failed at, without repeating the answer of the API server.
pub(super) fn told(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(error) => format!("cannot list: {}", answer::told(error)),
        WatchStartFailed(error) => format!("cannot begin to watch: {}", answer::told(error)),
        WatchFailed(error) => format!("the watch broke: {}", answer::told(error)),
        WatchError(status) => format!("the watch was ended: {}", status.message),
        NoResourceVersion => error.to_string(),
    }
}

fn captures(client: &Client, namespace: Option<&str>, source: Source) -> BoxStream<'static, Change> {
    let api: Api<DeserializeGuard<TraceCapture>> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let events = watch(api, watcher::Config::default()).modify(|capture| capture.meta_mut().managed_fields = None);
    begin_again(events)
        .map(move |event| match event {
            Ok(event) => Change::Capture(source, event),
            Err(error) => Change::Fault(source, error),
        })
        .boxed()
}

fn children(client: &Client, namespace: Option<&str>, source: Source, kind: Kind) -> BoxStream<'static, Change> {
    let resource: ApiResource = kind.resource();
    let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let of_captures = watcher::Config::default().labels(CAPTURE_LABEL);
    let events = watch(api, of_captures).modify(|child| child.metadata.managed_fields = None);
    begin_again(events)
        .map(move |event| match event {
            Ok(event) => Change::Child(source, kind, event),
            Err(error) => Change::Fault(source, error),
        })
        .boxed()
}
