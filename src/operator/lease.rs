//! Leader election: one replica of the operator visits captures, the others stand by.
//!
//! The rule is that of client-go: a lease has expired once it has not changed for its duration
//! *as observed on our own monotonic clock*; clocks of other nodes are never compared. Every write
//! is a replacement under the version that was read, so of two candidates one loses the write.
//!
//! # Guarantees
//! A leader that cannot renew stops 40 s after its last renewal began, and nobody else takes over
//! before 60 s after observing that renewal. Losing the lease pauses visits, never the data path.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::error::{optional, told};
use crate::clock::Clock;
use crate::shutdown::Shutdown;

/// The name of the Lease, in the installation's namespace.
pub const LEASE_NAME: &str = "tracecapture-operator";

/// How long a lease holds without a change.
const DURATION: Duration = Duration::from_mins(1);

/// How long a leader that cannot renew goes on leading.
const RENEW_DEADLINE: Duration = Duration::from_secs(40);

/// How often a leader renews, and how soon one that lost the lease, or was never answered, looks again.
const RETRY: Duration = Duration::from_secs(15);

/// How often others look: a leader that ends gives the lease back, and captures are not to wait for its successor.
const LOOK: Duration = Duration::from_secs(2);

/// How soon a leader that failed to renew tries again.
const RETRY_AFTER_FAILURE: Duration = Duration::from_secs(3);

/// How long one call may take: several fit before the deadline.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// A lease, and since when it has not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observed {
    /// Its version.
    pub(super) version: String,
    /// Who holds it; empty where it was released.
    pub(super) holder: String,
    /// How long it holds without a change.
    pub(super) duration: Duration,
    /// When this version was first observed, on our monotonic clock.
    pub(super) since: Duration,
}

/// What a candidate does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// There is no lease: make one.
    Create,
    /// It is ours: renew it.
    Renew,
    /// It is nobody's any more: take it over.
    TakeOver,
    /// It is someone else's.
    StandBy,
}

/// Decides by what was observed; `now` is on the clock of [`Observed::since`].
pub(super) fn decide(me: &str, observed: Option<&Observed>, now: Duration) -> Decision {
    match observed {
        None => Decision::Create,
        Some(lease) if lease.holder == me => Decision::Renew,
        Some(lease) if lease.holder.is_empty() => Decision::TakeOver,
        Some(lease) if now.saturating_sub(lease.since) >= lease.duration => Decision::TakeOver,
        Some(_) => Decision::StandBy,
    }
}

/// A candidate of the election.
pub(super) struct Candidate {
    api: Api<Lease>,
    identity: String,
    clock: Arc<dyn Clock>,
    leading: watch::Sender<bool>,
    observed: Option<Observed>,
    /// When the renewal began that succeeded last; `None` while not leading.
    renewed: Option<Duration>,
    /// Whether the last attempt to renew failed: the first of a row is told.
    is_failing: bool,
}

impl Candidate {
    /// Makes a candidate, and what tells whether it leads.
    pub(super) fn new(
        client: Client,
        namespace: &str,
        identity: String,
        clock: Arc<dyn Clock>,
    ) -> (Self, watch::Receiver<bool>) {
        let (leading, receiver) = watch::channel(false);
        let api = Api::namespaced(client, namespace);
        (Self { api, identity, clock, leading, observed: None, renewed: None, is_failing: false }, receiver)
    }

    /// Takes part once `is_able` says that this process can do the work, until the stage stops; then releases the lease.
    pub(super) async fn run(mut self, mut is_able: watch::Receiver<bool>, shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.requested() => return,
            // Without a sender nobody is left who could do the work.
            able = is_able.wait_for(|able| *able) => if able.is_err() { return },
        }
        loop {
            let wait = tokio::select! {
                () = shutdown.requested() => break,
                wait = self.step() => wait,
            };
            tokio::select! {
                () = shutdown.requested() => break,
                () = sleep(wait) => {}
            }
        }
        self.release().await;
    }

    /// Looks and writes once; returns how long to wait.
    async fn step(&mut self) -> Duration {
        let began = self.clock.monotonic();
        let left = self.renewed.map_or(CALL_LIMIT, |renewed| (renewed + RENEW_DEADLINE).saturating_sub(began));
        let attempt = timeout(CALL_LIMIT.min(left), self.attempt(began)).await;
        let now = self.clock.monotonic();
        match attempt {
            Ok(Ok(true)) => {
                self.renewed = Some(began);
                self.is_failing = false;
                self.tell(true);
                return RETRY;
            }
            Ok(Ok(false)) => {
                self.renewed = None;
                self.is_failing = false;
                self.tell(false);
                return LOOK;
            }
            Ok(Err(error)) => self.stumble(&told(&error)),
            Err(_) => self.stumble("the API server does not answer"),
        }
        // What the server has is not known after a failure: it is read again before the next write.
        let Some(renewed) = self.renewed else { return RETRY };
        let left = (renewed + RENEW_DEADLINE).saturating_sub(now);
        if left.is_zero() {
            warn!(
                identity = self.identity,
                "the lease could not be renewed in time: captures are not visited until it can"
            );
            self.renewed = None;
            self.tell(false);
            return RETRY_AFTER_FAILURE;
        }
        RETRY_AFTER_FAILURE.min(left)
    }

    /// Tells the first of several failures in a row.
    fn stumble(&mut self, error: &str) {
        if std::mem::replace(&mut self.is_failing, true) {
            debug!(error, "cannot read or renew the lease");
        } else {
            warn!(error, leads = self.renewed.is_some(), "cannot read or renew the lease, trying again");
        }
    }

    /// Reads the lease and writes what has to be written; returns whether it is ours.
    async fn attempt(&mut self, now: Duration) -> kube::Result<bool> {
        let lease = optional(self.api.get(LEASE_NAME).await)?;
        self.observe(lease.as_ref(), now);
        let written = match (decide(&self.identity, self.observed.as_ref(), now), lease) {
            (Decision::StandBy, _) => return Ok(false),
            (Decision::Create, _) | (_, None) => {
                let mut lease = Lease { spec: Some(LeaseSpec::default()), ..Lease::default() };
                lease.metadata.name = Some(LEASE_NAME.to_owned());
                self.sign(&mut lease, Decision::Create);
                self.api.create(&PostParams::default(), &lease).await
            }
            (decision, Some(mut lease)) => {
                self.sign(&mut lease, decision);
                self.api.replace(LEASE_NAME, &PostParams::default(), &lease).await
            }
        };
        match written {
            Ok(lease) => {
                self.observe(Some(&lease), now);
                Ok(true)
            }
            // Another candidate was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn observe(&mut self, lease: Option<&Lease>, now: Duration) {
        let Some(lease) = lease else {
            self.observed = None;
            return;
        };
        let version = lease.resource_version().unwrap_or_default();
        if self.observed.as_ref().is_some_and(|observed| observed.version == version) {
            return;
        }
        let spec = lease.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|n| u64::try_from(n).ok());
        self.observed = Some(Observed {
            version,
            holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
            duration: seconds.map_or(DURATION, Duration::from_secs),
            since: now,
        });
    }

    /// Writes ourselves into a lease.
    fn sign(&self, lease: &mut Lease, decision: Decision) {
        let nanos = i128::from(self.clock.now().as_unix_nanos());
        let now = k8s_openapi::jiff::Timestamp::from_nanosecond(nanos).ok().map(MicroTime);
        let spec = lease.spec.get_or_insert_default();
        if decision != Decision::Renew {
            spec.acquire_time.clone_from(&now);
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |n| n.saturating_add(1)));
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
        spec.renew_time = now;
    }

    /// Gives the lease back, so that another candidate need not wait for its end.
    async fn release(mut self) {
        let was_leading = self.renewed.take().is_some();
        self.tell(false);
        if !was_leading {
            return;
        }
        let released = timeout(CALL_LIMIT, async {
            let mut lease = self.api.get(LEASE_NAME).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.identity) {
                // Absent, as client-go leaves it, rather than empty.
                spec.holder_identity = None;
                self.api.replace(LEASE_NAME, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        });
        match released.await {
            Ok(Ok(())) => info!("released the lease"),
            Ok(Err(error)) => {
                warn!(error = told(&error), "cannot release the lease; another replica waits for its end");
            }
            Err(_) => warn!("releasing the lease takes too long; another replica waits for its end"),
        }
    }

    fn tell(&self, leads: bool) {
        let changed = self.leading.send_if_modified(|leading| std::mem::replace(leading, leads) != leads);
        if changed {
            info!(identity = self.identity, leads, "leadership changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(holder: Option<&str>, age: u64, expected: Decision) {
        let observed = holder.map(|holder| Observed {
            version: "7".to_owned(),
            holder: holder.to_owned(),
            duration: DURATION,
            since: Duration::from_secs(100),
        });
        assert_eq!(decide("me", observed.as_ref(), Duration::from_secs(100 + age)), expected, "{holder:?} {age}");
    }

    #[test]
    fn only_a_lease_that_stood_still_is_taken_over() {
        check(None, 0, Decision::Create);
        check(Some("me"), 3600, Decision::Renew);
        check(Some("other"), 0, Decision::StandBy);
        check(Some("other"), 59, Decision::StandBy);
        check(Some("other"), 60, Decision::TakeOver);
        check(Some(""), 0, Decision::TakeOver);
    }
}
