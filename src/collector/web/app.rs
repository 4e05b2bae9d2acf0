//! What every request is answered with.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::WebContext;
use super::downloads::Downloads;
use crate::shutdown::Shutdown;

/// What a request is answered with.
pub(super) struct App {
    pub(super) context: WebContext,
    pub(super) downloads: Arc<Downloads>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) shutdown: Shutdown,
}

impl App {
    pub(super) fn new(context: WebContext, shutdown: Shutdown) -> Self {
        let permits = Arc::new(Semaphore::new(context.limits.downloads));
        let downloads = Arc::new(Downloads::default());
        Self { context, downloads, permits, shutdown }
    }
}
