//! A load generator for an OTLP endpoint: prepared bodies, varied ids, one thread.
//!
//! Prints one JSON object: acknowledged spans per second, latency of the acknowledgement, and the CPU
//! time that the server (`--pid`) spent on a million acknowledged spans, the primary figure, since wall
//! clock on a shared machine is noisy. `benches/run-load` pins it apart from the server and repeats it.

mod body;
mod client;
mod tally;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use tokio::task::JoinSet;
use tokio::time::Instant;

use body::Bodies;
use client::{Answer, Connection};
use tally::{Tally, Usage};

/// How long a client waits before it sends a refused request again.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// Sends OTLP spans as fast as they are acknowledged, and reports what that cost.
#[derive(Debug, Parser)]
struct Options {
    /// Where to send, as `http://host:port`: the gRPC or the HTTP port, as the workload needs.
    #[arg(long)]
    endpoint: String,
    /// What to send.
    #[arg(long)]
    workload: Workload,
    /// How long to measure.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How long to send before measuring begins.
    #[arg(long, default_value_t = 2)]
    warmup: u64,
    /// The server's process, whose CPU time and peak memory are reported.
    #[arg(long)]
    pid: Option<u32>,
}

/// The workloads, by their names in the performance figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// gRPC, 512 spans a request, 4 connections with 4 requests in flight each.
    B1,
    /// As `b1`, compressed with gzip.
    B2,
    /// HTTP/1.1 with OTLP JSON, 512 spans a request, 16 connections.
    B3,
    /// gRPC, 1 span a request, 4 connections with 64 requests in flight each.
    B4,
    /// gRPC, 1 span a request, 256 connections with one request in flight each.
    B4c,
}

impl Workload {
    /// Spans of a request.
    fn n_spans(self) -> u32 {
        match self {
            Self::B1 | Self::B2 | Self::B3 => 512,
            Self::B4 | Self::B4c => 1,
        }
    }

    /// Connections, and requests in flight on each; HTTP/1.1 carries one at a time.
    fn shape(self) -> (usize, usize) {
        match self {
            Self::B1 | Self::B2 => (4, 4),
            Self::B3 => (16, 1),
            Self::B4 => (4, 64),
            Self::B4c => (256, 1),
        }
    }

    fn bodies(self) -> anyhow::Result<Bodies> {
        match self {
            Self::B1 | Self::B4 | Self::B4c => Ok(Bodies::grpc(self.n_spans())),
            Self::B2 => Bodies::grpc_gzip(self.n_spans()),
            Self::B3 => Bodies::json(self.n_spans()),
        }
    }

    async fn connect(self, authority: &str) -> anyhow::Result<Connection> {
        match self {
            Self::B1 | Self::B4 | Self::B4c => Connection::grpc(authority, None).await,
            Self::B2 => Connection::grpc(authority, Some("gzip")).await,
            Self::B3 => Connection::http(authority).await,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let Some(authority) = options.endpoint.strip_prefix("http://") else {
        bail!("the endpoint `{}` does not begin with `http://`", options.endpoint);
    };
    let bodies = Arc::new(options.workload.bodies()?);
    let (n_connections, in_flight) = options.workload.shape();
    let measure_from = Instant::now() + Duration::from_secs(options.warmup);
    let until = measure_from + Duration::from_secs(options.seconds);

    let mut senders = JoinSet::new();
    for number in 0..n_connections {
        let connection = options.workload.connect(authority.trim_end_matches('/')).await?;
        for slot in 0..in_flight {
            let seed = u64::try_from(number * in_flight + slot)?;
            senders.spawn(send(connection.clone(), Arc::clone(&bodies), seed, measure_from, until));
        }
    }
    tokio::time::sleep_until(measure_from).await;
    let before = options.pid.map(Usage::read).transpose()?;
    tokio::time::sleep_until(until).await;
    let after = options.pid.map(Usage::read).transpose()?;

    let mut tally = Tally::default();
    while let Some(ended) = senders.join_next().await {
        tally.merge(&ended.context("a sender panicked")??);
    }
    let report = tally.report(&options, bodies.len(), before.zip(after));
    writeln!(std::io::stdout(), "{report}").context("cannot print the report")
}

/// Sends one request after the other until `until`; counts what was acknowledged from `measure_from` on.
async fn send(
    mut connection: Connection,
    bodies: Arc<Bodies>,
    seed: u64,
    measure_from: Instant,
    until: Instant,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut ids = body::Ids::new(seed);
    loop {
        let begin = Instant::now();
        if begin >= until {
            return Ok(tally);
        }
        let request = bodies.next(&mut ids);
        loop {
            match connection.send(request.clone()).await? {
                Answer::Acknowledged => {
                    let end = Instant::now();
                    let is_measured = (measure_from..until).contains(&end);
                    tally.acknowledge(bodies.n_spans(), is_measured.then(|| end - begin));
                    break;
                }
                Answer::Retry => tally.n_retries += 1,
                Answer::Refused => {
                    tally.n_errors += 1;
                    break;
                }
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}
