//! Live reload of a file, mostly a `TraceCapture`.
//!
//! Not the file is watched but the directories it is in: editors replace files by
//! renaming, and Kubernetes exchanges the whole directory that the file's symbolic link
//! leads into. What counts is the text: an event that leaves it as it was says nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tracing::warn;

use super::capture_file::{CaptureFile, CaptureFileError, check, read_text};
use crate::api::ValidCapture;
use crate::shutdown::Shutdown;

/// How long nothing must happen before the file is read: an editor's save is several events.
const QUIET: Duration = Duration::from_millis(150);

/// How long a directory in which things keep happening can put off reading.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// How long a file is not read, at the most: not every volume tells of changes, and watches can be used up.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Calls `on_change` for each change of `file` until `shutdown` is requested.
///
/// A text that is valid is handed over as a capture, a faulty one as its faults, each
/// once; after a faulty one the caller goes on with the settings it has.
/// Changes since `file` was opened count. `on_change` runs on a task of `shutdown` and must not block.
/// Stdin cannot change. Where the operating system offers no watch, a change arrives within half a minute.
pub fn follow(
    file: CaptureFile,
    shutdown: &Shutdown,
    mut on_change: impl FnMut(Result<ValidCapture, CaptureFileError>) + Send + 'static,
) {
    if !file.is_stdin() {
        let CaptureFile { path, text } = file;
        let read = path.clone();
        follow_text(path, text, shutdown, move |text| on_change(text.and_then(|text| check(&read, &text))));
    }
}

/// As [`follow`], for a file of any kind of text, of which `text` is known.
pub(super) fn follow_text(
    path: PathBuf,
    text: String,
    shutdown: &Shutdown,
    on_change: impl FnMut(Result<String, CaptureFileError>) + Send + 'static,
) {
    // One event waiting says all that a hundred would: read the file.
    let (sender, events) = mpsc::channel(1);
    let kept = sender.clone();
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.map_or(true, |event| may_change_text(event.kind)) {
            let _ = sender.try_send(());
        }
    });
    let places = watcher.and_then(|watcher| {
        let mut places = Places { file: path.clone(), watcher, watched: BTreeSet::new() };
        places.watch().map(|()| places)
    });
    if let Err(error) = &places {
        warn!(path = %path.display(), %error, "cannot watch the file: it is read now and then");
    }
    let stop = shutdown.clone();
    let content = Watched { path, seen: Seen::Text(text) };
    shutdown.spawn("watch file", async move {
        watch(content, places.ok(), events, &stop, on_change).await;
        // Without a watcher nobody else has it, and the events would end.
        drop(kept);
    });
}

async fn watch(
    mut watched: Watched,
    mut places: Option<Places>,
    mut events: mpsc::Receiver<()>,
    stop: &Shutdown,
    mut on_change: impl FnMut(Result<String, CaptureFileError>),
) {
    loop {
        // First of all, for what happened between opening the file and watching it.
        if let Some(outcome) = watched.read_again() {
            on_change(outcome);
        }
        // The branches hold no state, so losing one to the other loses nothing.
        tokio::select! {
            () = stop.requested() => return,
            event = events.recv() => if event.is_none() { return },
            () = tokio::time::sleep(LONGEST_SLEEP) => {}
        }
        let settled = async { while matches!(tokio::time::timeout(QUIET, events.recv()).await, Ok(Some(()))) {} };
        tokio::select! {
            () = stop.requested() => return,
            _ = tokio::time::timeout(MAX_WAIT, settled) => {}
        }
        if let Some(Err(error)) = places.as_mut().map(Places::watch) {
            warn!(%error, "some changes of a file will be noticed late");
        }
    }
}

/// The directories that are watched for one file.
struct Places {
    file: PathBuf,
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
}

impl Places {
    /// Watches the directory that the file is named in, and the one that a symbolic link leads to at present.
    fn watch(&mut self) -> notify::Result<()> {
        // Canonical, because the operating system has one watch for a directory under all its names:
        // to leave `.` would be to leave the very directory that stays under its full name.
        let named_in = directory_of(&self.file);
        let mut current = BTreeSet::from([named_in.canonicalize().unwrap_or(named_in)]);
        // While the file is missing there is no target; the directory it is named in tells when it is back.
        current.extend(self.file.canonicalize().ok().as_deref().map(directory_of));
        for left in self.watched.difference(&current) {
            // It may be gone already, and the watch with it.
            let _ = self.watcher.unwatch(left);
        }
        self.watched.retain(|kept| current.contains(kept));
        for new in current {
            if !self.watched.contains(&new) {
                self.watcher.watch(&new, RecursiveMode::NonRecursive)?;
                self.watched.insert(new);
            }
        }
        Ok(())
    }
}

/// What was last read from a file.
struct Watched {
    path: PathBuf,
    seen: Seen,
}

#[derive(PartialEq, Eq)]
enum Seen {
    Text(String),
    /// The file could not be read, for the reason that was reported.
    Unreadable(String),
}

impl Watched {
    /// Reads the file; `None` where it is as it was.
    fn read_again(&mut self) -> Option<Result<String, CaptureFileError>> {
        let (seen, outcome) = match read_text(&self.path) {
            Ok(text) => (Seen::Text(text.clone()), Ok(text)),
            Err(error) => (Seen::Unreadable(error.to_string()), Err(error)),
        };
        if seen == self.seen {
            return None;
        }
        self.seen = seen;
        Some(outcome)
    }
}

/// Tells whether an event can mean another text; reading the file makes events too, which must not count.
fn may_change_text(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests are the editor")]
mod tests {
    use super::*;
    use crate::units::ByteSize;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// Far more than a change takes to arrive, also on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn capture(chunk: &str) -> String {
        format!(
            "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {{name: a}}\nspec: {{chunk: {{maxBytes: {chunk}}}}}\n"
        )
    }

    /// Something done to the file, and what is to arrive of it.
    type Change<'a> = (&'a dyn Fn(), Result<u64, usize>);

    /// Follows `file`, makes each change and compares what arrives: the chunk size, or the number of faults.
    async fn check(file: &Path, changes: &[Change<'_>]) {
        let shutdown = Shutdown::new();
        let (sender, mut arrived) = mpsc::unbounded_channel();
        let (opened, _) = CaptureFile::open(file).unwrap();
        follow(opened, &shutdown, move |outcome| {
            let outcome = outcome.map(|capture| capture.chunk().max_bytes).map_err(|error| error.faults().len());
            sender.send(outcome).unwrap();
        });
        for (change, expected) in changes {
            change();
            let outcome = tokio::time::timeout(PATIENCE, arrived.recv()).await.unwrap().unwrap();
            assert_eq!(outcome, expected.map(ByteSize));
        }
        assert!(shutdown.stop("test", PATIENCE).await);
        assert!(arrived.recv().await.is_none(), "each change arrives once");
    }

    #[tokio::test]
    async fn a_file_written_in_place_arrives_and_a_faulty_one_as_its_faults() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("capture.yaml");
        fs::write(&file, capture("10M")).unwrap();
        let write = |chunk: &str| fs::write(&file, capture(chunk)).unwrap();
        check(
            &file,
            &[(&|| write("20M"), Ok(20_000_000)), (&|| write("banana"), Err(1)), (&|| write("30M"), Ok(30_000_000))],
        )
        .await;
    }

    #[tokio::test]
    async fn a_file_renamed_into_place_and_one_that_was_away_arrive() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("capture.yaml");
        fs::write(&file, capture("10M")).unwrap();
        let rename = || {
            fs::write(dir.path().join(".capture.yaml.swp"), capture("20M")).unwrap();
            fs::rename(dir.path().join(".capture.yaml.swp"), &file).unwrap();
        };
        check(
            &file,
            &[
                (&rename, Ok(20_000_000)),
                (&|| fs::remove_file(&file).unwrap(), Err(0)),
                (&|| fs::write(&file, capture("30M")).unwrap(), Ok(30_000_000)),
            ],
        )
        .await;
    }

    #[test]
    fn a_file_named_by_a_relative_path_is_watched_while_it_is_away() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("capture.yaml");
        fs::write(&file, capture("10M")).unwrap();
        let to_root: PathBuf = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect();
        let relative = to_root.join(file.canonicalize().unwrap().strip_prefix("/").unwrap());
        let (sender, events) = std::sync::mpsc::channel();
        let watcher = notify::recommended_watcher(sender).unwrap();
        let mut places = Places { file: relative, watcher, watched: BTreeSet::new() };
        places.watch().unwrap();
        fs::remove_file(&file).unwrap();
        places.watch().unwrap();
        fs::write(&file, capture("20M")).unwrap();
        while !events.recv_timeout(PATIENCE).unwrap().unwrap().kind.is_create() {}
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_watch_the_file_is_read_now_and_then() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        let stop = Shutdown::new();
        let ((_kept, events), (sender, mut arrived)) = (mpsc::channel(1), mpsc::unbounded_channel());
        let watched = Watched { path: file.clone(), seen: Seen::Text("a".to_owned()) };
        fs::write(&file, "a").unwrap();
        let stage = stop.clone();
        stop.spawn("watch", async move {
            watch(watched, None, events, &stage, move |text| sender.send(text.ok()).unwrap()).await;
        });
        tokio::time::sleep(LONGEST_SLEEP * 3).await;
        assert!(arrived.try_recv().is_err(), "nothing has changed");
        fs::write(&file, "b").unwrap();
        assert_eq!(arrived.recv().await, Some(Some("b".to_owned())));
        assert!(stop.stop("test", PATIENCE).await);
    }

    #[tokio::test]
    async fn a_config_map_that_is_exchanged_arrives() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        // As the kubelet does: the file leads through `..data`, and `..data` is renamed over.
        let publish = |version: &str, chunk: &str| {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("capture.yaml"), capture(chunk)).unwrap();
            symlink(version, at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
        };
        publish("..1", "10M");
        symlink("..data/capture.yaml", at("capture.yaml")).unwrap();
        check(
            &at("capture.yaml"),
            &[(&|| publish("..2", "20M"), Ok(20_000_000)), (&|| publish("..3", "30M"), Ok(30_000_000))],
        )
        .await;
    }
}
