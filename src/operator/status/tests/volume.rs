//! What is said of claims and volumes.

use super::*;

#[test]
fn a_claim_that_cannot_be_used_tells_why() {
    let brought = |change: Value| {
        World::well(2).but(|world| {
            world.spec = "{collector: {replicas: 2}, storage: {claimName: shared}}".to_owned();
            world.observed.claim = Some(claim(&change));
            world.observed.reports.clear();
        })
    };
    let missing = brought(json!({})).but(|world| world.observed.claim = None);
    check(&missing, "StorageReady=False ClaimMissing", &["`shared`", "`shop`"]);
    check(&missing, "Ready=False ClaimMissing", &[]);
    let once = json!({ "status": { "accessModes": ["ReadWriteOnce"] } });
    check(&brought(once), "StorageReady=False AccessModeMismatch", &["ReadWriteOnce", "2 pods"]);
    let read_only = json!({ "status": { "accessModes": ["ReadOnlyMany"] } });
    check(&brought(read_only), "StorageReady=False AccessModeMismatch", &["ReadOnlyMany"]);
    let block = json!({ "spec": { "volumeMode": "Block" } });
    check(&brought(block), "StorageReady=False AccessModeMismatch", &["block device"]);
    let lost = json!({ "status": { "phase": "Lost" } });
    check(&brought(lost), "StorageReady=False ClaimLost", &["lost its volume"]);
    let ending = json!({ "metadata": { "deletionTimestamp": "2026-11-21T10:00:00Z" } });
    check(&brought(ending), "StorageReady=False ClaimTerminating", &[]);

    let pending = json!({ "status": { "phase": "Pending", "capacity": {} } });
    check(&brought(pending.clone()), "StorageReady=False ClaimPending", &[]);
    let no_class = json!({ "spec": { "storageClassName": null }, "status": { "phase": "Pending" } });
    check(&brought(no_class), "StorageReady=False ClaimPending", &["default"]);
    let made = |change: Option<Value>| {
        World::well(1).but(|world| {
            world.spec = "{storage: {storageClassName: fast}}".to_owned();
            world.observed.storage_class = StorageClassSeen::Missing;
            world.observed.claim = change.as_ref().map(claim);
            world.observed.reports.clear();
        })
    };
    check(&made(None), "StorageReady=False StorageClassMissing", &["`fast`"]);
    check(&made(Some(pending)), "StorageReady=False StorageClassMissing", &["`nfs`"]);
}

#[test]
fn what_keeps_the_first_pod_away_comes_before_the_claim_that_waits_for_it() {
    let world = World::well(1).but(|world| {
        world.observed.claim = Some(claim(&json!({ "status": { "phase": "Pending", "capacity": {} } })));
        world.observed.reports.clear();
        world.observed.pods = vec![waiting("ImagePullBackOff", "no such image")];
    });
    check(&world, "StorageReady=False ClaimPending", &[]);
    check(&world, "Ready=False ImagePullFailed", &["no such image"]);
}

#[test]
fn a_claim_that_grows_tells_its_sizes() {
    let growing = |status: Value| {
        let spec = json!({ "resources": { "requests": { "storage": "4Gi" } } });
        World::well(1).but(|world| world.observed.claim = Some(claim(&json!({ "spec": spec, "status": status }))))
    };
    check(&growing(json!({})), "StorageReady=True Resizing", &["2Gi", "4Gi"]);
    let infeasible = json!({ "allocatedResourceStatuses": { "storage": "ControllerResizeInfeasible" } });
    check(&growing(infeasible), "StorageReady=True ResizeFailed", &["2Gi", "4Gi", "ControllerResizeInfeasible"]);
    let error = json!({ "type": "ControllerResizeError", "status": "True", "message": "no room in the pool" });
    check(&growing(json!({ "conditions": [error] })), "StorageReady=True ResizeFailed", &["no room in the pool"]);
    let same = World::well(1).but(|world| {
        let spec = json!({ "resources": { "requests": { "storage": "2048Mi" } } });
        world.observed.claim = Some(claim(&json!({ "spec": spec })));
    });
    check(&same, "StorageReady=True Mounted", &[]);
}

#[test]
fn a_volume_that_cannot_be_written_says_what_to_run() {
    let unready = json!({ "metadata": { "name": "checkout-collector-0" }, "status": { "phase": "Running" } });
    let world = |health: StorageHealth| {
        World::well(1).but(|world| {
            world.report(0).health.storage = health;
            world.observed.pods[0] = of(unready.clone());
        })
    };
    let full = world(StorageHealth::Full { message: "no space left on device".to_owned() });
    let words = ["2Gi", "1G", "kubectl -n shop patch tcap checkout", r#""size":"4Gi""#];
    check(&full, "StorageReady=False VolumeFull", &words);
    check_all(&full, &["Ready=False VolumeFull", "ReceiversReady=False VolumeFull"]);
    let brought = full.but(|world| world.spec = "{storage: {claimName: shared}}".to_owned());
    check(&brought, "StorageReady=False VolumeFull", &["patch pvc checkout-chunks", r#""storage":"4Gi""#]);
    let failed = world(StorageHealth::Failed { message: "input/output error".to_owned() });
    check(&failed, "StorageReady=False VolumeFailed", &["input/output error"]);
    check_all(&failed, &["Ready=False VolumeFailed", "ReceiversReady=False VolumeFailed"]);
}

#[test]
fn a_claim_that_may_not_grow_says_how_to_go_back() {
    let said = "cannot grow PersistentVolumeClaim `shop/checkout-chunks` from 2Gi to 4Gi: it must support resize";
    let world = World::well(1).but(|world| world.unresized = Some(said.to_owned()));
    check(&world, "StorageReady=True ResizeFailed", &[said, "back to `2Gi`"]);
    check(&world, "Ready=True ResizeFailed", &["taken and stored", said]);
    check(&world, "ReceiversReady=True AllReady", &[]);
    let unproven = World::well(1).but(|world| {
        world.unresized = Some(said.to_owned());
        world.observed.reports.clear();
    });
    check(&unproven, "StorageReady=Unknown ResizeFailed", &[said]);
    let pending = unproven.but(|world| {
        world.observed.claim = Some(claim(&json!({ "status": { "phase": "Pending", "capacity": {} } })));
    });
    check(&pending, "StorageReady=False ResizeFailed", &["2Gi"]);
}

#[test]
fn a_size_below_that_of_the_claim_is_told_and_changes_nothing() {
    let smaller = |size: &str| World::well(1).but(|world| world.spec = format!("{{storage: {{size: {size}}}}}"));
    check(&smaller("1Gi"), "StorageReady=True ShrinkRefused", &["checkout-chunks", "2Gi", "1Gi", "never shrinks"]);
    check(&smaller("1Gi"), "Ready=True Receiving", &[]);
    check(&smaller("2048Mi"), "StorageReady=True Mounted", &[]);
    let unsaid = World::well(1).but(|world| world.spec = "{retention: {maxBytes: 250M}}".to_owned());
    check(&unsaid, "StorageReady=True Mounted", &[]);
}

#[test]
fn a_claim_of_somebody_else_is_not_said_to_be_ours() {
    let foreign = World::well(1).but(|world| {
        world.observed.claim = Some(claim(&json!({ "metadata": { "labels": null } })));
        world.failure = Some(ApplyFailure::new(Reason::ApplyFailed, "cannot make the claim".to_owned()));
    });
    check(&foreign, "StorageReady=False ApplyFailed", &["cannot make the claim"]);
    let brought = foreign.but(|world| {
        world.spec = "{storage: {claimName: checkout-chunks}}".to_owned();
        world.failure = None;
    });
    check(&brought, "StorageReady=True Mounted", &[]);
}
