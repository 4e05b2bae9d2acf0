//! `list`, `status`, `create`, `stop`, `resume` and `clear`.

use serde_json::{Value, json};

use crate::fake::Fault;
use crate::site::Site;

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({ "type": kind, "status": status, "reason": reason, "message": "m", "lastTransitionTime": "2026-11-21T10:00:00Z" })
}

/// A site with a capture that holds chunks.
fn busy() -> Site {
    let site = Site::new();
    site.capture(
        "shop",
        "checkout",
        json!({ "retention": { "maxBytes": "1G", "maxAgeSeconds": 604_800 } }),
        json!({
            "observedGeneration": 1, "replicas": 2, "readyReplicas": 1,
            "conditions": [condition("Ready", "True", "Receiving"), condition("DownloadReady", "True", "Available"),
                           condition("StorageReady", "False", "VolumeFull")],
            "endpoints": { "grpc": "http://checkout-otlp.shop.svc:4317", "configMap": "checkout-otlp-env" },
            "storage": { "usedBytes": 812_345_678, "limitBytes": 1_000_000_000, "chunks": 17, "inProgressChunks": 1,
                         "oldestTime": "2026-11-20T10:00:00Z", "newestTime": "2026-11-21T10:00:00Z" },
            "received": { "spans": 1234, "bytes": 5678, "rejected": 0 },
            "lastSpanTime": "2026-11-21T10:00:00Z",
        }),
    );
    site
}

#[test]
fn list_shows_a_namespace_or_all() {
    let site = busy();
    site.capture("bank", "ledger\u{1b}[2J", json!({ "state": "Stopped" }), json!({}));
    let shop = site.check(&["list"], 0, &["NAME", "checkout", "Receiving", "812.3 MB", "17"], &[]);
    assert!(!shop.stdout.contains("NAMESPACE") && !shop.stdout.contains("ledger"), "{}", shop.stdout);
    let all = site.check(&["list", "-A"], 0, &["NAMESPACE", "bank", "ledger\\u{1b}[2J", "Stopped"], &[]);
    assert_eq!(all.stdout.lines().count(), 3);
    site.check(&["list", "-n", "empty"], 0, &[], &["no captures in empty"]);
    site.check(&["list", "-n", "a", "-A"], 2, &[], &[]);
    let json = site.check(&["list", "-A", "-o", "json"], 0, &[], &[]).stdout;
    let list: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("List"), 2));
    assert_eq!(
        (&list["items"][1]["kind"], &list["items"][1]["metadata"]["name"]),
        (&json!("TraceCapture"), &json!("checkout"))
    );
}

#[test]
fn a_capture_that_is_nested_too_deeply_hides_no_other() {
    let site = busy();
    let nested = (0..200).fold(json!(1), |inner, _| json!({ "a": inner }));
    site.capture("shop", "deep", json!({ "collector": { "podOverlay": nested } }), json!({}));
    site.check(&["list"], 0, &["checkout", "deep"], &[]);
    site.check(&["status", "deep"], 0, &["shop/deep"], &[]);
    site.check(&["status", "deep", "-o", "json"], 0, &["left out: nested too deeply"], &[]);
}

#[test]
fn status_tells_what_leaves_and_what_to_type() {
    let site = busy();
    let said = [
        "shop/checkout",
        "Running, 1 of 2 collectors ready",
        "812.3 MB of 1.0 GB (81 %)",
        "the chunk begun at 2026-11-20T10:00:00",
        "2026-11-27T10:00:00",
        "when 187.6 MB more have come",
        "VolumeFull: ",
        "next: tracecapture download checkout -n shop",
    ];
    site.check(&["status", "checkout"], 0, &said, &[]);
    let json = site.check(&["status", "checkout", "-o", "json"], 0, &[], &[]).stdout;
    let object: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(object["status"]["received"]["spans"], 1234);
    assert_eq!(object["metadata"].get("managedFields"), None);
}

#[test]
fn what_the_api_server_refuses_has_its_exit_code() {
    let site = busy();
    site.check(&["status", "nothing"], 3, &[], &["cannot get the capture shop/nothing", "hint: "]);
    for (code, exit) in [(401, 4), (403, 4), (500, 1)] {
        site.api.fail(9, Fault::Status(code, "Reason", "said so"), |_| true);
        let told = site.check(&["status", "checkout"], exit, &[], &["said so"]).stderr;
        assert!(!told.contains("kube_client"), "{told}");
        site.check(&["stop", "checkout"], exit, &[], &["said so"]);
        site.api.heal();
    }
    site.check(&["status", "checkout", "--context", "other"], 1, &[], &["cannot tell where", "--kubeconfig"]);
    site.check(&["status"], 2, &[], &[]);
}

#[test]
fn create_checks_the_flags_here() {
    let site = Site::new();
    let flags = ["--retention", "2G", "--max-age", "7d", "--size", "3Gi", "--replicas", "1", "--stop-after", "1h30m"];
    let yaml =
        site.check(&[&["create", "a", "--dry-run"][..], &flags].concat(), 0, &["kind: TraceCapture"], &[]).stdout;
    for line in ["maxBytes: 2G", "maxAgeSeconds: 604800", "size: 3Gi", "stopAfterSeconds: 5400"] {
        assert!(yaml.contains(line), "{yaml}");
    }
    assert_eq!(site.api.list("tracecaptures").len(), 0);
    let faults = ["create", "Bad_Name", "--retention", "banana", "--replicas", "2"];
    site.check(&faults, 2, &[], &["--retention: ", "metadata.name: "]);
    assert_eq!(site.api.verbs().len(), 0);
    site.check(&[&["create", "a"][..], &flags].concat(), 0, &["created shop/a"], &["status a -n shop"]);
    assert_eq!(site.api.get("tracecaptures", "shop", "a").unwrap()["spec"]["retention"]["maxBytes"], "2G");
    site.check(&["create", "a"], 1, &[], &["cannot create the capture shop/a"]);
}

#[test]
fn stop_and_resume_change_the_state_alone() {
    let site = busy();
    let state = || site.api.get("tracecaptures", "shop", "checkout").unwrap()["spec"].clone();
    site.check(&["stop", "checkout"], 0, &["stopped shop/checkout"], &["download checkout -n shop"]);
    assert_eq!((&state()["state"], &state()["retention"]["maxBytes"]), (&json!("Stopped"), &json!("1G")));
    site.check(&["resume", "checkout"], 0, &["resumed shop/checkout"], &[]);
    assert_eq!(state()["state"], "Running");
    site.check(&["stop", "nothing"], 3, &[], &["cannot stop the capture shop/nothing"]);
    site.api.edit("tracecaptures", "shop", "checkout", |object| {
        object["status"]["conditions"] = json!([condition("Completed", "True", "TimeReached")]);
    });
    site.check(&["resume", "checkout"], 1, &[], &["its time to stop has come", "spec.endTime"]);
}

#[test]
fn clear_wants_a_stopped_capture() {
    let site = busy();
    let before =
        || site.api.get("tracecaptures", "shop", "checkout").unwrap()["spec"]["retention"].get("clearBefore").cloned();
    let refused = ["its state is `Running`", "type `tracecapture stop checkout -n shop` first"];
    site.check(&["clear", "checkout"], 1, &[], &refused);
    assert_eq!(before(), None);
    site.check(&["stop", "checkout"], 0, &[], &[]);
    site.check(&["clear", "checkout", "--before", "2500-01-01T00:00:00Z"], 2, &[], &["in the future"]);
    site.check(&["clear", "checkout", "--before", "2026-11-21T00:00:00Z"], 0, &["clearing shop/checkout"], &["resume"]);
    assert!(before().unwrap().as_str().unwrap().starts_with("2026-11-21T00:00:00"));
    let conflict = Fault::Status(409, "Conflict", "changed meanwhile");
    site.api.fail(2, conflict.clone(), |verb| verb.verb == "patch");
    site.check(&["clear", "checkout"], 0, &["clearing"], &[]);
    site.api.fail(9, conflict, |verb| verb.verb == "patch");
    site.check(&["clear", "checkout"], 1, &[], &["again and again"]);
}
