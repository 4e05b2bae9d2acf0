//! The web address: accepts connections and bounds how many there are and how long they are silent.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::WebContext;
use super::app::App;
use crate::http1::{self, Bounds};
use crate::patience::Impatient;
use crate::shutdown::Shutdown;

/// Time for a request's head, at the most.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// Bytes of a request's head: a token of 4 KiB may stand in its path and in two headers.
const HEAD_BYTES: usize = 64 << 10;

/// Serves the HTTP API on a listener until the stage stops.
///
/// HTTP/1.1 without TLS. Responses that run then may go on for [`super::WebLimits::drain`];
/// downloads that are cut can be resumed.
///
/// # Cancel safety
/// Dropped, it accepts no more; connections go on until the stage stops.
pub async fn serve(listener: TcpListener, context: WebContext, shutdown: Shutdown) {
    let places = context.limits.connections;
    let app = Arc::new(App::new(context, shutdown.clone()));
    http1::accept(listener, places, (&shutdown, "web connection"), |stream, _| connection(stream, Arc::clone(&app)))
        .await;
}

/// Serves one connection to its end.
async fn connection(stream: TcpStream, app: Arc<App>) {
    let limits = app.context.limits;
    // Without it the last piece of a download would wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let bounds = Bounds { head: HEAD_LIMIT.min(limits.idle), buffer: HEAD_BYTES, drain: limits.drain };
    http1::serve(Impatient::new(stream, limits.idle), bounds, &app.shutdown, |request| {
        let app = Arc::clone(&app);
        async move { app.respond(request).await }
    })
    .await;
}
