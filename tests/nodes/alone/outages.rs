//! Operator, gateway and API server away in mid-work.

use std::env;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bundle::{Bundle, SUPPORT, check_all, check_newest, download, support_token, url};
use crate::command::{attempt, get, run, until};
use crate::installation::{self, NAMESPACE, disturb, scale, system};
use crate::load::{Load, STEADY, Shape, all, send_one};
use crate::pods::{freeze, kill, lives, until_ready};
use crate::site::{CAPTURE, Site, alone};

/// One collector, on a volume that others can share.
const SHARED: &str = "{storage: {accessModes: [ReadWriteMany]}}";

#[test]
fn spans_are_taken_while_the_operator_is_away() {
    alone("operatorless", |site| {
        site.add_disk("500M");
        site.capture(SHARED);
        let before = lives(site);
        let load = Load::start(&site.endpoint(), STEADY);
        load.wait_for_more(100);
        disturb(|| scale("operator", 0));
        site.kubectl(&["scale", "tcap", CAPTURE, "--replicas=2"]);
        load.wait_for_more(1_000);
        assert_eq!(lives(site), before, "nobody was there to act");
        scale("operator", 1);
        until_two(site);
        assert!(before.iter().all(|life| lives(site).contains(life)), "no pod was restarted");
        check_all(site, &all(&load.finish()));
    });
}

#[test]
fn another_operator_takes_over_when_the_leader_dies() {
    alone("leaderless", |site| {
        site.add_disk("500M");
        disturb(|| installation::install(&["operator.replicas=2"]));
        let leader = until("one of two leads", || {
            let pods = pods("operator");
            holder().filter(|leader| pods.len() == 2 && pods.contains(leader))
        });
        // Gone at once, as with its node: it gives back no lease, and its container is not started anew.
        freeze(NAMESPACE, &leader);
        system(&["delete", "pod", &leader, "--force", "--grace-period=0"]);
        kill(NAMESPACE, &leader);
        let died = Instant::now();
        site.capture("{}");
        println!("leaderless: a capture was made and receives {} s after the leader died", died.elapsed().as_secs());
        let next = holder().unwrap();
        assert_ne!(next, leader);
        send_one(&site.endpoint(), 0).unwrap();
    });
}

#[test]
fn a_download_goes_on_when_the_gateway_is_replaced() {
    alone("gatewayless", |site| {
        site.add_disk("1G");
        site.capture("{}");
        let load = Load::start(&site.endpoint(), Shape { filler: 20_000, ..STEADY });
        // More than is on its way in the system when the gateway dies, which can be 40 MB.
        load.wait_for_more(8_000);
        let acknowledged = all(&load.finish());
        site.until_reason("DownloadReady", "Available");
        let (token, url) = (support_token(site), url(site));
        let bundle = Bundle::of(|file| {
            let file = file.to_str().unwrap();
            let header = format!("Authorization: Bearer {token}");
            let head = run("curl", &["-sSfI", "-H", &header, &url]);
            let tag = head.lines().find(|line| line.to_ascii_lowercase().starts_with("etag:"));
            let snapshot = tag.unwrap().split('"').nth(1).unwrap();
            let part = format!("{url}?snapshot={snapshot}");
            let slowly = ["-sSf", "--limit-rate", "2M", "-H", &header, "-o", file, "-C", "-", &part];
            let mut first = Command::new("curl").args(slowly).stderr(Stdio::null()).spawn().unwrap();
            until("it has begun", || std::fs::metadata(file).ok().filter(|meta| meta.len() > 1 << 20));
            let pod = until("there is one gateway", || <[String; 1]>::try_from(pods("gateway")).ok()).concat();
            assert!(kill(NAMESPACE, &pod), "{pod} has no process");
            assert!(!first.wait().unwrap().success(), "the download was over before the gateway died");
            println!("gatewayless: cut at {} bytes", std::fs::metadata(file).unwrap().len());
            let rest = ["-sSf", "-H", &header, "-o", file, "-C", "-", &part];
            until("the rest is there", || attempt("curl", &rest).ok());
        });
        let held = bundle.ids();
        assert!(acknowledged.is_subset(&held), "{} of {} are there", held.len(), acknowledged.len());

        // The command says that it goes on, and does once there is a gateway.
        disturb(|| scale("gateway", 0));
        let again = Bundle::of(|file| {
            let file = file.to_str().unwrap();
            let args = ["tracecapture", "download", CAPTURE, "-n", &site.namespace, "--service-account", SUPPORT];
            let args = [&args[..], &["--allow-http", "-o", file]].concat();
            assert!(attempt("kubectl", &args).unwrap_err().contains("goes on where it was cut"));
            scale("gateway", 1);
            until("the same command goes on", || attempt("kubectl", &args).ok());
        });
        assert_eq!(again.ids(), held);
    });
}

#[test]
fn spans_are_taken_and_deleted_while_the_api_server_is_away() {
    alone("apiless", |site| {
        let chunks = site.add_disk("500M").join("chunks");
        site.capture("{chunk: {maxBytes: 200k}, retention: {maxBytes: 1M}, storage: {accessModes: [ReadWriteMany]}}");
        let before = lives(site);
        // Nobody is to give up because the machine is busy: every request is to be answered.
        let load = Load::start(&site.endpoint(), Shape { timeout: Duration::from_mins(2), ..STEADY });
        load.wait_for_more(100);
        let oldest = || std::fs::read_dir(&chunks).unwrap().map(|entry| entry.unwrap().file_name()).min();
        let away = Away::begin();
        assert!(attempt("kubectl", &["get", "--raw", "/readyz"]).is_err(), "the API server is still there");
        let first = oldest();
        until("retention deletes", || (oldest() != first).then_some(()));
        load.wait_for_more(2_000);
        drop(away);
        until("the API server is back", || attempt("kubectl", &["get", "--raw", "/readyz"]).ok());
        load.wait_for_more(2_000);
        assert_eq!(lives(site), before, "no pod was restarted");
        assert_eq!(load.unanswered(), 0, "every request was answered");
        // By one collector: the chunks of two overlap, and the oldest spans are not those of the oldest chunk.
        let acknowledged = load.finish();
        check_newest(&download(site).ids(), &acknowledged);
        // The operator works again.
        site.kubectl(&["scale", "tcap", CAPTURE, "--replicas=2"]);
        until_two(site);
        assert!(before.iter().all(|life| lives(site).contains(life)), "no pod was restarted");
        send_one(&site.endpoint(), 0).unwrap();
    });
}

/// Waits until a second collector takes spans, which only the operator can have brought about.
fn until_two(site: &Site) {
    until_ready(site, 2);
    until("two collectors are told", || (site.status()["readyReplicas"] == 2).then_some(()));
    site.until_receiving();
}

/// The API server of the node, stopped until this is dropped.
struct Away;

impl Away {
    fn begin() -> Self {
        run(&env::var("TRACECAPTURE_NODE").unwrap(), &["stop", "kube-apiserver"]);
        Self
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        // A scenario that fails meanwhile must not take the others with it.
        let started = attempt(&env::var("TRACECAPTURE_NODE").unwrap(), &["start", "kube-apiserver"]);
        println!("apiless: the API server is started again: {started:?}");
    }
}

/// The pod that leads.
fn holder() -> Option<String> {
    let lease = get(&["-n", NAMESPACE, "lease", "tracecapture-operator"]);
    lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty()).map(ToOwned::to_owned)
}

/// The pods of a part of the installation that run and are to stay: one that is replaced runs for a while yet.
fn pods(part: &str) -> Vec<String> {
    let label = format!("app.kubernetes.io/component={part}");
    let pods = get(&["-n", NAMESPACE, "pods", "-l", &label, "--field-selector=status.phase=Running"]);
    let staying = pods["items"].as_array().into_iter().flatten();
    let staying = staying.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    staying.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}
