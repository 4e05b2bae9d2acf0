//! What a replay tells at its end: the totals, the exit code, and how to go on.

use serde::Serialize;

use super::again;
use super::args::ReplayArgs;
use super::checkpoint::{Checkpoint, Tally};
use super::deliver::Ended;
use super::source::Read;
use crate::tools::args::TextOrJson;
use crate::tools::exit::{ExitCode, Failure};
use crate::tools::output::{write_json, write_stdout};
use crate::tools::reading::{failure, warn};

#[derive(Serialize)]
struct Totals {
    #[serde(flatten)]
    tally: Tally,
    /// Damaged stretches and lines that were left out.
    faults: u64,
    complete: bool,
}

/// Writes the totals and returns how the command ends.
///
/// # Errors
/// A [`Failure`] where not everything has an outcome, or a path could not be read.
pub(super) fn finish(
    (args, program): (&ReplayArgs, &str),
    checkpoint: &Checkpoint,
    ended: &Ended,
    read: Read,
) -> Result<ExitCode, Failure> {
    let tally = checkpoint.tally;
    let Tally { read: n_read, sent, rejected, failed } = tally;
    let Read { errors, n_faults } = read;
    let complete = matches!(ended, Ended::Drained);
    match args.output {
        TextOrJson::Text => {
            write_stdout(&format!("read {n_read} spans: sent {sent}, rejected {rejected}, failed {failed}\n"))?;
        }
        TextOrJson::Json => write_json(&Totals { tally, faults: n_faults, complete })?,
    }
    let (code, what) = match ended {
        Ended::Drained => return drained(tally, n_faults, failure(errors)),
        Ended::Interrupted => {
            warn(&format!("interrupted; {}", how_to_go_on(args, program)));
            return Ok(ExitCode::Interrupted);
        }
        Ended::GaveUp(what) => (ExitCode::Timeout, what.clone()),
        Ended::Refused { code, what } => (*code, what.clone()),
        Ended::Unwritten(error) => (ExitCode::Failed, error.clone()),
    };
    Err(Failure::new(code, what).with_hint(how_to_go_on(args, program)))
}

/// Everything that could be read has an outcome; the worst one decides.
fn drained(tally: Tally, n_faults: u64, unread: Option<Failure>) -> Result<ExitCode, Failure> {
    let Tally { read, sent, rejected, failed } = tally;
    let code = if read > 0 && sent == 0 {
        ExitCode::Failed
    } else if rejected + failed > 0 || (unread.is_some() && read > 0) {
        ExitCode::Partial
    } else if n_faults > 0 {
        ExitCode::Integrity
    } else if read == 0 {
        return Err(unread.unwrap_or_else(|| Failure::new(ExitCode::NotFound, "there are no spans")));
    } else {
        ExitCode::Done
    };
    match unread {
        Some(failure) => Err(failure.with_code(code)),
        None => Ok(code),
    }
}

fn how_to_go_on(args: &ReplayArgs, program: &str) -> String {
    if args.checkpoint.is_some() {
        format!("go on with `{}`", again::command(args, program))
    } else {
        "without --checkpoint the next replay begins anew and sends again what was sent".to_owned()
    }
}
