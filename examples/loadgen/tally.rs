//! What was counted and measured, and the report of it.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::Options;

/// Bits of a latency that are told apart: buckets are at most 3 % wide.
const SUB_BITS: u32 = 5;
/// Buckets enough for every number of microseconds.
const N_BUCKETS: usize = 64 << SUB_BITS;
/// Clock ticks per second of `/proc/PID/stat`: a constant of Linux's interface to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// Counts of one sender, or of all.
pub(crate) struct Tally {
    /// Requests that had to be sent again.
    pub(crate) n_retries: u64,
    /// Requests that were refused for good.
    pub(crate) n_errors: u64,
    n_requests: u64,
    n_spans: u64,
    n_spans_with_warmup: u64,
    latencies: Vec<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let latencies = vec![0; N_BUCKETS];
        Self { n_retries: 0, n_errors: 0, n_requests: 0, n_spans: 0, n_spans_with_warmup: 0, latencies }
    }
}

impl Tally {
    /// Counts an acknowledged request; `latency` is `None` outside the measured time.
    pub(crate) fn acknowledge(&mut self, n_spans: u32, latency: Option<Duration>) {
        self.n_spans_with_warmup += u64::from(n_spans);
        let Some(latency) = latency else { return };
        self.n_requests += 1;
        self.n_spans += u64::from(n_spans);
        if let Some(count) = self.latencies.get_mut(bucket(latency)) {
            *count += 1;
        }
    }

    /// Adds another sender's counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.n_retries += other.n_retries;
        self.n_errors += other.n_errors;
        self.n_requests += other.n_requests;
        self.n_spans += other.n_spans;
        self.n_spans_with_warmup += other.n_spans_with_warmup;
        for (count, more) in self.latencies.iter_mut().zip(&other.latencies) {
            *count += more;
        }
    }

    /// Builds the report; `body_len` is the size of a request in bytes, `usage` the server's before and after.
    pub(crate) fn report(&self, options: &Options, body_len: usize, usage: Option<(Usage, Usage)>) -> Value {
        let seconds = to_f64(options.seconds);
        let cpu = usage.map(|(before, after)| after.cpu_seconds - before.cpu_seconds);
        json!({
            "workload": format!("{:?}", options.workload).to_uppercase(),
            "seconds": options.seconds,
            "body_bytes": body_len,
            "requests": self.n_requests,
            "spans": self.n_spans,
            "spans_with_warmup": self.n_spans_with_warmup,
            "requests_per_second": (to_f64(self.n_requests) / seconds).round(),
            "spans_per_second": (to_f64(self.n_spans) / seconds).round(),
            "errors": self.n_errors,
            "retries": self.n_retries,
            "p50_ms": self.quantile_ms(0.5),
            "p99_ms": self.quantile_ms(0.99),
            "cpu_seconds": cpu,
            "cpu_seconds_per_million_spans": cpu.map(|cpu| cpu * 1e6 / to_f64(self.n_spans)),
            "spans_per_cpu_second": cpu.map(|cpu| (to_f64(self.n_spans) / cpu).round()),
            "rss_peak_mib": usage.map(|(_, after)| after.rss_peak_kib / 1024.0),
        })
    }

    /// Returns the upper bound of the bucket that the quantile falls into, in milliseconds.
    fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let rank = quantile * to_f64(self.n_requests);
        let mut seen = 0;
        for (index, count) in self.latencies.iter().enumerate() {
            seen += count;
            if seen > 0 && to_f64(seen) >= rank {
                return Some(upper_bound_us(index) / 1000.0);
            }
        }
        None
    }
}

/// Returns the bucket of a latency: exact below 32 µs, then 32 buckets for each doubling.
fn bucket(latency: Duration) -> usize {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    let doublings = micros.checked_ilog2().unwrap_or(0).saturating_sub(SUB_BITS);
    let index = (u64::from(doublings) << SUB_BITS) + (micros >> doublings);
    usize::try_from(index).unwrap_or(N_BUCKETS).min(N_BUCKETS - 1)
}

/// Returns the largest latency of a bucket, in microseconds.
fn upper_bound_us(index: usize) -> f64 {
    let sub = 1 << SUB_BITS;
    let doublings = (index / sub).saturating_sub(1);
    let leading = index - doublings * sub + 1;
    f64::from(u32::try_from(leading).unwrap_or(u32::MAX)) * 2_f64.powi(i32::try_from(doublings).unwrap_or(i32::MAX))
        - 1.0
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    cpu_seconds: f64,
    rss_peak_kib: f64,
}

impl Usage {
    /// Reads the CPU time, user and system, and the peak of resident memory of a process.
    ///
    /// Source: proc(5), `/proc/pid/stat` fields 14 and 15, `/proc/pid/status` `VmHWM`.
    pub(crate) fn read(pid: u32) -> anyhow::Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let stat = read("stat")?;
        // The second field is the program's name in parentheses and may hold anything; the third follows the last one.
        let (_, fields) = stat.rsplit_once(')').context("not a stat line")?;
        let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).map_while(|text| text.parse().ok()).collect();
        let status = read("status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let rss_peak_kib = peak.trim().trim_end_matches(" kB").parse()?;
        Ok(Self { cpu_seconds: ticks.iter().sum::<f64>() / TICKS_PER_SECOND, rss_peak_kib })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a measurement stay far below 2^52")]
fn to_f64(count: u64) -> f64 {
    count as f64
}
