//! `tracecapture status`: how one capture is, what it holds, what leaves next, what to type next.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::args::TextOrJson;
use super::cluster::args::NameArgs;
use super::cluster::captures::Seen;
use super::cluster::connect::Cluster;
use super::cluster::text::{ago, bytes, duration, table};
use super::exit::{ExitCode, Failure};
use super::output::{write_json, write_stdout};
use super::process;
use crate::api::{ConditionType, EndpointsStatus, LinkStatus, Reason, StorageStatus, TraceCaptureStatus};
use crate::clock::{Clock as _, SystemClock, Timestamp};

/// The flags of `status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Form of the result; JSON is the object itself.
    #[arg(short, long, value_enum, default_value_t = TextOrJson::Text, value_name = "FORMAT")]
    pub output: TextOrJson,
    /// Which capture.
    #[command(flatten)]
    pub capture: NameArgs,
}

/// Writes how a capture is to stdout.
///
/// # Errors
/// A [`Failure`] where there is no such capture, or the API server does not say.
pub fn run(args: &StatusArgs, program: &str) -> Result<ExitCode, Failure> {
    process::block_on(async {
        let NameArgs { name, cluster: flags } = &args.capture;
        let cluster = Cluster::connect(flags).await?;
        let capture = cluster.get(name).await?;
        match args.output {
            TextOrJson::Json => write_json(&capture.to_json())?,
            TextOrJson::Text => {
                let typed = flags.typed(&cluster.namespace);
                let next = next(&capture, program, &typed);
                write_stdout(&text(&capture, SystemClock::new().now(), &next))?;
            }
        }
        Ok(ExitCode::Done)
    })
}

fn text(capture: &Seen, now: Timestamp, next: &str) -> String {
    let status = capture.status();
    let mut facts = vec![("capture", capture.id()), ("state", state(capture, &status))];
    if let Some(created) = capture.created() {
        facts.push(("created", format!("{created} ({})", ago(created, now))));
    }
    endpoints(status.endpoints.clone().unwrap_or_default(), &mut facts);
    if let Some(received) = &status.received {
        let size = bytes(u64::try_from(received.bytes).unwrap_or(0));
        facts.push(("received", format!("{} spans, {size}, {} rejected", received.spans, received.rejected)));
    }
    if let Some(last) = instant(status.last_span_time.as_deref()) {
        facts.push(("last span", format!("{last} ({})", ago(last, now))));
    }
    if let Some(storage) = &status.storage {
        facts.push(("stored", stored(storage)));
        facts.push(("leaves next", leaves_next(capture, storage, now)));
    }
    if let Some(url) = status.bundle.as_ref().and_then(|bundle| bundle.url.clone()) {
        facts.push(("bundle", url));
    }
    if let Some(link) = status.bundle.as_ref().and_then(|bundle| bundle.link.as_ref()) {
        let LinkStatus { id, expiration_time, .. } = link;
        facts.push(("link", format!("{id}, in the status for everybody who can read it, until {expiration_time}")));
    }
    let facts: Vec<_> = facts.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    format!("{}\n{}{}\nnext: {next}\n", table(&facts), conditions(&status.conditions, now), steps(&status.conditions))
}

/// Says what was asked for, and how much of it there is.
fn state(capture: &Seen, status: &TraceCaptureStatus) -> String {
    let mut text = if capture.has_completed() { "Completed".to_owned() } else { capture.state().to_owned() };
    // Writing to a string cannot fail.
    if let (Some(ready), Some(all)) = (status.ready_replicas, status.replicas) {
        let _ = write!(text, ", {ready} of {all} collectors ready");
    }
    if let (Some(time), false) = (&status.stop_time, capture.has_completed()) {
        let _ = write!(text, ", stops by itself at {time}");
    }
    if status.observed_generation != capture.generation() {
        text += "; the operator has not taken up the last change yet";
    }
    text
}

fn endpoints(endpoints: EndpointsStatus, facts: &mut Vec<(&'static str, String)>) {
    let EndpointsStatus { grpc, http, config_map } = endpoints;
    for (name, value) in [("otlp/grpc", grpc), ("otlp/http", http), ("configmap", config_map)] {
        if let Some(value) = value {
            facts.push((name, value));
        }
    }
}

fn stored(storage: &StorageStatus) -> String {
    let size = |n: i64| u64::try_from(n).unwrap_or(0);
    let (used, limit) = (size(storage.used_bytes), size(storage.limit_bytes));
    let percent = used.saturating_mul(100).checked_div(limit).unwrap_or(0);
    let mut text = format!("{} of {} ({percent} %)", bytes(used), bytes(limit));
    let _ = write!(text, ", {} sealed chunks, {} in progress", storage.chunks, storage.in_progress_chunks);
    for (what, n) in [("in quarantine", storage.quarantined_chunks), ("recovered", storage.recovered_chunks)] {
        if n > 0 {
            let _ = write!(text, ", {n} {what}");
        }
    }
    text
}

/// Says which chunk retention deletes next, and when: by age at a time, by size when so much more has come.
fn leaves_next(capture: &Seen, storage: &StorageStatus, now: Timestamp) -> String {
    let Some(oldest) = instant(storage.oldest_time.as_deref()) else { return "nothing is there".to_owned() };
    let left = u64::try_from(storage.limit_bytes.saturating_sub(storage.used_bytes)).unwrap_or(0);
    let by_size = format!("when {} more have come", bytes(left));
    let max_age = capture.spec().and_then(|spec| spec.retention.max_age_seconds);
    let by_age = max_age.and_then(|seconds| u64::try_from(seconds).ok()).map(|seconds| {
        let at = oldest.saturating_add(Duration::from_secs(seconds));
        if at <= now {
            return "now, by age".to_owned();
        }
        format!("in {}, by age ({at})", duration(at.saturating_since(now)))
    });
    let when = by_age.map_or_else(|| by_size.clone(), |by_age| format!("{by_age}, or {by_size}"));
    format!("the chunk begun at {oldest} ({}): {when}", ago(oldest, now))
}

fn conditions(conditions: &[Condition], now: Timestamp) -> String {
    if conditions.is_empty() {
        return "no operator has looked at this capture yet\n".to_owned();
    }
    let mut rows = vec![["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"].map(str::to_owned).to_vec()];
    rows.extend(conditions.iter().map(|condition| {
        let since = instant(Some(&condition.last_transition_time.0.to_string()));
        vec![
            condition.type_.clone(),
            condition.status.clone(),
            condition.reason.clone(),
            since.map_or_else(|| "-".to_owned(), |since| ago(since, now)),
            condition.message.clone(),
        ]
    }));
    table(&rows)
}

/// Says what to do about each reason that is trouble, each once.
fn steps(conditions: &[Condition]) -> String {
    let mut reasons: Vec<Reason> = conditions.iter().filter_map(|condition| Reason::named(&condition.reason)).collect();
    reasons.retain(|reason| reason.is_trouble() && !reason.next_step().is_empty());
    let mut seen = Vec::new();
    reasons.retain(|reason| {
        let is_new = !seen.contains(reason);
        seen.push(*reason);
        is_new
    });
    let lines: Vec<String> =
        reasons.iter().map(|reason| format!("{}: {}", reason.name(), reason.next_step())).collect();
    if lines.is_empty() { String::new() } else { lines.join("\n") + "\n" }
}

/// Returns the command that is typed next, as a rule.
fn next(capture: &Seen, program: &str, typed: &str) -> String {
    let status = capture.status();
    let name = capture.name();
    let is = |condition: ConditionType, wanted: &str| {
        status.conditions.iter().any(|c| c.type_ == condition.name() && c.status == wanted)
    };
    let holds_chunks = status.storage.is_some_and(|storage| storage.chunks + storage.in_progress_chunks > 0);
    let receives = status.received.is_some_and(|received| received.spans > 0);
    let config_map = status.endpoints.and_then(|endpoints| endpoints.config_map);
    match config_map {
        _ if capture.state() == "Stopped" && !holds_chunks => format!("{program} resume {name}{typed}"),
        _ if holds_chunks && is(ConditionType::DownloadReady, "True") => format!("{program} download {name}{typed}"),
        Some(config_map) if !receives && is(ConditionType::Ready, "True") => {
            format!("kubectl -n {} set env deployment/YOUR-APP --from=configmap/{config_map}", capture.namespace())
        }
        _ if is(ConditionType::Ready, "True") => format!("{program} status {name}{typed}"),
        _ => format!("kubectl -n {} describe tracecapture {name}", capture.namespace()),
    }
}

fn instant(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok())
}
