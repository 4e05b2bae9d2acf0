//! The quickstart of the documentation, followed word for word on a cluster where nothing is installed.

use std::collections::HashSet;

use super::reader::Reader;
use crate::bundle::{Bundle, SUPPORT, url};
use crate::command::{TIMEOUT, run, until};
use crate::disk;
use crate::installation::{self, NAMESPACE, disturb};
use crate::pods::lives;
use crate::rights::{account, until_can};
use crate::site::{Site, alone};

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
      containers:
        - name: application
          image: tracecapture.invalid/application:1
          imagePullPolicy: Never
          args: [\"500\"]
          envFrom:
            - configMapRef:
                name: checkout-otlp-env
";

#[test]
fn the_quickstart_works_as_it_is_written() {
    let mut reader = Reader::open("docs/quickstart.md", "# Quickstart");
    alone("shop", |site| {
        disturb(installation::uninstall);
        disk::make(NAMESPACE, "tracecapture-test-chunks", "500M");
        reader.types_until("helm test");
        site.add_disk("500M");
        // One that an earlier scenario left may be on its way out already.
        site.kubectl(&["delete", "namespace", "shop", "--ignore-not-found", TIMEOUT]);
        reader.types_until("kubectl wait");
        site.until_receiving();

        assert!(reader.text.contains("  - configMapRef:\n      name: checkout-otlp-env\n"));
        site.apply(APPLICATION);
        site.kubectl(&["wait", "--for=condition=complete", "job/application", TIMEOUT]);
        let sent = sent_by_application(site);
        // It needs something captured before; `tests/interop` does it.
        reader.passes_over("kubectl -n shop port-forward");
        reader.passes_over("tracecapture replay bundle.tar");

        let listed = reader.types_until("kubectl get tracecaptures");
        assert!(listed.contains("checkout") && listed.contains("True"), "{listed}");
        println!("{listed}{}", reader.types_until("kubectl tracecapture status"));
        site.until_reason("DownloadReady", "NoPublicAddress");
        reader.types_until("create rolebinding");
        until_can(&account("shop", SUPPORT), "get", "tracecaptures/bundle", "shop");
        reader.types_until("kubectl tracecapture download");
        let by_plugin = std::fs::copy(reader.path("checkout.tar"), reader.path("plugin.tar"));
        println!("shop: a bundle of {} bytes", by_plugin.unwrap());
        installation::install(&[]);
        site.until_reason("DownloadReady", "Available");
        reader.types_until("curl");
        reader.types_until("tracecapture stats");
        // It needs a Jaeger, which `tests/interop` has.
        reader.passes_over("tracecapture replay checkout.tar");

        let ways = [
            ("the plugin", reader.file("plugin.tar")),
            ("a token", reader.file("bundle.tar")),
            ("a link", by_link(site)),
        ];
        for (way, bundle) in ways {
            let held = bundle.ids();
            println!("shop: {} of {} spans by {way}", held.len(), sent.len());
            assert_eq!(held, sent, "by {way}");
        }
        for typed_elsewhere in ["stop", "clear", "resume"] {
            reader.passes_over(&format!("kubectl tracecapture {typed_elsewhere} checkout"));
        }
        reader.types_until("delete tracecapture checkout");
        until("its pods are gone", || lives(site).is_empty().then_some(()));
        assert_eq!(site.get(&["persistentvolumeclaim", "checkout-chunks"])["status"]["phase"], "Bound");
        reader.has_read_all();
    });
}

/// The spans that the application says it made; the SDK may say something else beside them.
fn sent_by_application(site: &Site) -> HashSet<u64> {
    let said = site.kubectl(&["logs", "job/application"]);
    let (ids, others): (Vec<_>, Vec<_>) = said.lines().partition(|line| u64::from_str_radix(line, 16).is_ok());
    assert_eq!(ids.len(), N_SPANS, "{others:?}");
    ids.iter().map(|id| u64::from_str_radix(id, 16).unwrap()).collect()
}

/// By a link that somebody with the right to make one hands to somebody without any.
fn by_link(site: &Site) -> Bundle {
    site.kubectl(&["create", "serviceaccount", "owner"]);
    site.kubectl(&["create", "rolebinding", "owner", "--clusterrole=admin", "--serviceaccount=shop:owner"]);
    until_can(&account("shop", "owner"), "create", "tracecaptures/link", "shop");
    let token = site.kubectl(&["create", "token", "owner"]);
    let header = format!("Authorization: Bearer {}", token.trim());
    let links = url(site).replace("/bundle.tar", "/links");
    let wish = ["-H", "Content-Type: application/json", "-d", "{\"ttlSeconds\": 600}"];
    let made = run("curl", &[&["-sSf", "-H", &header], &wish[..], &[&links]].concat());
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let link = format!("{}/bundle.tar", made["url"].as_str().unwrap());
    Bundle::of(|file| drop(run("curl", &["-sSf", "-C", "-", "-o", file.to_str().unwrap(), &link])))
}
