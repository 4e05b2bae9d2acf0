//! The quickstart of README, and the test that comes with the chart.

use std::collections::HashSet;

use crate::bundle::{Bundle, support_token, url};
use crate::command::{get, kubectl, run, until};
use crate::disk;
use crate::installation::{NAMESPACE, helm_test};
use crate::site::{CAPTURE, Site, beside_others};

/// Spans that the application makes.
const N_SPANS: usize = 500;

/// An application with the OpenTelemetry SDK for Python that knows of us by `envFrom` alone.
const APPLICATION: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: application}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: application
          image: tracecapture.invalid/application:1
          imagePullPolicy: Never
          args: [\"500\"]
          envFrom: [{configMapRef: {name: checkout-otlp-env}}]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
";

#[test]
fn an_application_sends_and_three_ways_lead_to_the_same_bundle() {
    beside_others("shop", |site| {
        site.add_disk("500M");
        site.kubectl(&["apply", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/config/samples/minimal.yaml")]);
        site.until_reason("Ready", "Receiving");
        site.apply(APPLICATION);
        site.kubectl(&["wait", "--for=condition=complete", "job/application", "--timeout=120s"]);
        let sent = site.kubectl(&["logs", "job/application"]);
        let sent: HashSet<u64> = sent.lines().map(|line| u64::from_str_radix(line, 16).unwrap()).collect();
        assert_eq!(sent.len(), N_SPANS);
        until("the status counts them", || (site.status()["received"]["spans"] == N_SPANS).then_some(()));
        let listed = kubectl(&["get", "tcap", "-n", "shop"]);
        println!("{listed}");
        assert!(listed.contains(CAPTURE) && listed.contains("True"), "{listed}");

        site.until_reason("DownloadReady", "Available");
        for (way, bundle) in [("a token", by_token(site)), ("a link", by_link(site)), ("the plugin", by_plugin(site))] {
            let held = bundle.ids();
            println!(
                "shop: {} of {} spans by {way}, {} bytes",
                held.len(),
                sent.len(),
                std::fs::metadata(bundle.path()).unwrap().len()
            );
            assert_eq!(held, sent, "by {way}");
        }
    });
}

#[test]
fn the_test_of_the_release_sends_a_span_and_downloads_it() {
    beside_others("tested", |_| {
        disk::make(NAMESPACE, "tracecapture-test-chunks", "500M");
        let said = helm_test();
        assert!(said.contains("Succeeded"), "{said}");
        until("its capture is gone", || get(&["-n", NAMESPACE, "tcap", "tracecapture-test"]).is_null().then_some(()));
    });
}

fn by_token(site: &Site) -> Bundle {
    let (header, url) = (format!("Authorization: Bearer {}", support_token(site)), url(site));
    Bundle::of(|file| drop(run("curl", &["-sSf", "-H", &header, "-o", file.to_str().unwrap(), &url])))
}

/// By a link that somebody with the right to make one hands to somebody without any.
fn by_link(site: &Site) -> Bundle {
    site.kubectl(&["create", "serviceaccount", "owner"]);
    site.kubectl(&["create", "rolebinding", "owner", "--clusterrole=admin", "--serviceaccount=shop:owner"]);
    let token = site.kubectl(&["create", "token", "owner"]);
    let header = format!("Authorization: Bearer {}", token.trim());
    let links = url(site).replace("/bundle.tar", "/links");
    let made = run(
        "curl",
        &["-sSf", "-H", &header, "-H", "Content-Type: application/json", "-d", "{\"ttlSeconds\": 600}", &links],
    );
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let link = format!("{}/bundle.tar", made["url"].as_str().unwrap());
    Bundle::of(|file| drop(run("curl", &["-sSf", "-C", "-", "-o", file.to_str().unwrap(), &link])))
}

fn by_plugin(site: &Site) -> Bundle {
    Bundle::of(|file| {
        let file = file.to_str().unwrap();
        let args = [
            "tracecapture",
            "download",
            CAPTURE,
            "-n",
            &site.namespace,
            "--service-account",
            "support",
            "--allow-http",
            "-o",
            file,
        ];
        run("kubectl", &args);
    })
}
