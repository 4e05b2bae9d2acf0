//! Several operators, of which one leads.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::on_cluster;
use crate::operator::Operator;
use crate::samples::until_told;

/// How often others look at a lease.
const LOOK: Duration = Duration::from_secs(2);

/// For how long a lease holds, and how long others may take to see that.
const LEASE: Duration = Duration::from_mins(1).saturating_add(LOOK);

/// What a busy machine may add; with it, a lease that was handed over is still seen before it would have ended.
const SLACK: Duration = Duration::from_secs(30);

#[test]
fn the_lease_of_a_leader_that_is_lost_is_taken_over_when_it_ends() {
    on_cluster(async |cluster| {
        let first = Operator::start(&cluster, "operator-0").await;
        first.until_leading().await;
        let second = Operator::start(&cluster, "operator-1").await;
        cluster.create("before", "{}").await;
        until_told(&cluster, "before").await;
        assert_eq!(second.metric("tracecapture_operator_reconciles_total").await, 0, "only the leader visits");
        assert_eq!(second.ask("/readyz").await.0, 200, "followers are ready, too");
        let began = Instant::now();
        first.kill().await;
        cluster.create("after", "{}").await;
        until_told(&cluster, "after").await;
        let took = began.elapsed();
        eprintln!("taken over {took:.1?} after a kill");
        assert!(took < LEASE + SLACK, "{took:?}");
        // A lease that is still held is nobody else's: its end is counted from its last renewal.
        assert!(took > LEASE / 3, "{took:?}");
        second.end().await;
    });
}

#[test]
fn a_leader_that_is_ended_hands_over_before_the_lease_ends() {
    on_cluster(async |cluster| {
        let first = Operator::start(&cluster, "operator-0").await;
        first.until_leading().await;
        let second = Operator::start(&cluster, "operator-1").await;
        let began = Instant::now();
        first.end().await;
        second.until_leading().await;
        // The other one looks every two seconds.
        let took = began.elapsed();
        eprintln!("handed over {took:.1?} after SIGTERM");
        assert!(took < LOOK + SLACK, "{took:?}");
        second.end().await;
    });
}
