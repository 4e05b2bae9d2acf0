//! The log: text on a terminal, JSON otherwise, always on stderr.

mod json;

use std::io::IsTerminal;

use thiserror::Error;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, LevelFilter};

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One line of text for each event.
    Text,
    /// One JSON object on a line for each event.
    Json,
}

/// How much is logged where `RUST_LOG` does not say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verbosity {
    /// State changes, and what went wrong.
    #[default]
    Normal,
    /// Also the steps in between.
    Debug,
}

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LogError {
    /// `RUST_LOG` is no filter.
    #[error("cannot read the log filter in `RUST_LOG`")]
    Filter(#[from] tracing_subscriber::filter::FromEnvError),
    /// Something in this process logs already.
    #[error("cannot install the log of this process")]
    Install(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends the events of this process to stderr from now on.
///
/// `RUST_LOG` decides over `verbosity`, but over lines of the audit only where it names their target, `audit`; colours
/// go only to a terminal and never with `NO_COLOR`.
///
/// # Errors
/// [`LogError`]; no retry helps.
pub fn init(format: Format, verbosity: Verbosity) -> Result<(), LogError> {
    let level = match verbosity {
        Verbosity::Normal => Level::INFO,
        Verbosity::Debug => Level::DEBUG,
    };
    let filter = EnvFilter::builder().with_default_directive(Directive::from(level)).from_env()?;
    let filter = with_audit(without_clients(filter));
    // A line that cannot be written is told on stderr by default, which panics where stderr itself is gone.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    let is_terminal = std::io::stderr().is_terminal();
    let installed = match resolve(format, is_terminal) {
        Form::Json => builder.json().event_format(json::Flat).try_init(),
        // Colours on a terminal are left to the subscriber's default, which honours `NO_COLOR`.
        Form::Text if is_terminal => builder.try_init(),
        Form::Text => builder.with_ansi(false).try_init(),
    };
    installed.map_err(LogError::Install)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

fn resolve(format: Format, is_terminal: bool) -> Form {
    match (format, is_terminal) {
        (Format::Text, _) | (Format::Auto, true) => Form::Text,
        (Format::Json, _) | (Format::Auto, false) => Form::Json,
    }
}

/// Silences the Kubernetes client unless more is asked for: each of its errors is returned to somebody who tells it.
fn without_clients(filter: EnvFilter) -> EnvFilter {
    let is_default = filter.max_level_hint() == Some(LevelFilter::INFO) && !filter.to_string().contains("kube_client");
    match "kube_client=off".parse::<Directive>() {
        Ok(directive) if is_default => filter.add_directive(directive),
        _ => filter,
    }
}

/// Lets lines of the audit through unless somebody decides about them by name: a filter for everything else is no wish
/// to lose them.
fn with_audit(filter: EnvFilter) -> EnvFilter {
    let is_named = targets(&filter.to_string()).any(|target| target == "audit");
    match "audit=info".parse::<Directive>() {
        Ok(directive) if !is_named => filter.add_directive(directive),
        _ => filter,
    }
}

/// Returns the targets of a filter's directives; empty for those of everything.
fn targets(filter: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    // Fields of spans stand in brackets, and may have commas and names of their own.
    let directives = filter.split(move |c| {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    directives.map(|directive| directive.split(['=', '[']).next().unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing::{debug, info, warn};

    use super::*;

    #[test]
    fn the_terminal_decides_unless_the_user_does() {
        let table = [
            (Format::Auto, true, Form::Text),
            (Format::Auto, false, Form::Json),
            (Format::Text, false, Form::Text),
            (Format::Json, true, Form::Json),
        ];
        for (format, is_terminal, form) in table {
            assert_eq!(resolve(format, is_terminal), form, "{format:?} {is_terminal}");
        }
    }

    /// Keeps what is logged.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Checks which of the lines `audit`, `news` and `steps` a filter lets through.
    #[track_caller]
    fn check(filter: &str, expected: &[&str]) {
        let kept = Kept::default();
        let writer = kept.clone();
        let builder = tracing_subscriber::fmt().with_env_filter(with_audit(EnvFilter::new(filter))).without_time();
        let subscriber = builder.with_level(false).with_target(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            info!(target: "audit", "audit");
            debug!(target: "audit", "audit in detail");
            info!(target: "tracecapture", "news");
            debug!(target: "tracecapture", "steps");
            warn!(target: "tracecapture", "fault");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().map(str::trim).collect::<Vec<_>>(), expected, "{filter}");
    }

    #[test]
    fn a_filter_leaves_the_audit_alone_unless_it_names_it() {
        check("info", &["audit", "news", "fault"]);
        check("warn", &["audit", "fault"]);
        check("off", &["audit"]);
        check("tracecapture=debug", &["audit", "news", "steps", "fault"]);
        // That is the module, whose lines have the target `audit`.
        check("tracecapture::gateway::audit=warn", &["audit"]);
        check("warn,[visit{a=1,audit=2}]=error", &["audit", "fault"]);
        check("info,audit=off", &["news", "fault"]);
        check("warn,audit=debug", &["audit", "audit in detail", "fault"]);
        check("audit=warn,tracecapture=info", &["news", "fault"]);
    }
}
