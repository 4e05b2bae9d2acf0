//! The only place that spawns tasks: nothing runs detached, and shutdown has named stages.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// A group of tasks that are told to stop together and waited for together.
///
/// Each stage of a role's shutdown owns one; stopping the stages one after the other
/// is how work drains downstream.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Makes a group without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task of this group; `name` stands in the log.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns tasks")]
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let future = async move {
            task.await;
            debug!(task = name, "task ended");
        };
        tokio::spawn(self.tasks.track_future(future));
    }

    /// Runs blocking work of this group on a thread made for that, and waits for its result.
    ///
    /// # Panics
    /// Where the work does.
    ///
    /// # Cancel safety
    /// Dropped, it waits no longer; the work itself goes on to its end, and [`Shutdown::stop`] waits for it.
    pub async fn blocking<F, T>(&self, work: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match self.tasks.spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only a runtime that ends cancels blocking work, and then nobody polls this any more.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Waits until the group is told to stop.
    ///
    /// # Cancel safety
    /// Safe: it holds no state.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Tells whether the group has been told to stop.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Tells the group's tasks to stop and waits for them, at most `within`.
    ///
    /// Returns whether all of them ended in time.
    pub async fn stop(&self, stage: &'static str, within: Duration) -> bool {
        self.token.cancel();
        self.tasks.close();
        let ended = tokio::time::timeout(within, self.tasks.wait()).await.is_ok();
        if !ended {
            warn!(stage, tasks = self.tasks.len(), "tasks did not end in time");
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stop_waits_for_tasks_that_listen() {
        let group = Shutdown::new();
        let listener = group.clone();
        group.spawn("listener", async move { listener.requested().await });
        assert!(group.stop("test", Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn stop_gives_up_on_tasks_that_do_not() {
        let group = Shutdown::new();
        group.spawn("deaf", std::future::pending());
        assert!(!group.stop("test", Duration::from_secs(1)).await);
    }
}
