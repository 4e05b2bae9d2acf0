//! What README says about a cluster and about a link for the vendor, followed word for word.

use std::collections::HashSet;

use super::reader::Reader;
use crate::bundle::SUPPORT;
use crate::command::{TIMEOUT, run};
use crate::disk;
use crate::installation::{self, NAMESPACE, disturb};
use crate::load::send_one;
use crate::rights::{account, until_can};
use crate::site::{Site, alone};

/// Spans that are sent, one in a request.
const N_SPANS: usize = 50;

/// The image that the page names, and the one that the node has.
const PUSHED: &str = concat!("registry.example.com/tracecapture:", env!("CARGO_PKG_VERSION"));
const BUILT: &str = concat!("docker.io/tracecapture/tracecapture:", env!("CARGO_PKG_VERSION"));

/// The address of the gateway within the cluster.
const HOST: &str = "tracecapture-gateway.tracecapture-system.svc";

#[test]
fn readme_works_as_it_is_written() {
    let mut reader = Reader::open("README.md", "## In a cluster");
    let home = reader.path("home");
    std::fs::create_dir_all(home.join("bin")).unwrap();
    reader.set("HOME", home.to_str().unwrap());
    alone("shop", |site| {
        disturb(installation::uninstall);
        run("ctr", &["-n", "k8s.io", "images", "tag", "--force", BUILT, PUSHED]);
        disk::make_as("readme-test", NAMESPACE, "tracecapture-test-chunks", "500M");
        reader.types_until("helm test");
        disk::make_as("readme", "shop", "checkout-chunks", "500M");
        // One that an earlier scenario left may be on its way out already.
        site.kubectl(&["delete", "namespace", "shop", "--ignore-not-found", TIMEOUT]);
        reader.types_until("kubectl describe");
        site.until_receiving();
        reader.types_until("tracecapture resume");
        // The pod may still be stopped, or have been made to take spans again: either is told.
        site.until_receiving();
        let endpoint = site.endpoint();
        let sent: HashSet<u64> = (0..N_SPANS).map(|_| send_one(&endpoint, 0).unwrap()).collect();

        reader.types_until("create rolebinding");
        until_can(&account("shop", SUPPORT), "get", "tracecaptures/bundle", "shop");
        reader.types_until("tracecapture download");
        assert_eq!(reader.file("checkout.tar").ids(), sent);
        reader.types_until("chmod");
        assert!(home.join("bin/kubectl_complete-tracecapture").exists());

        let authority = give_certificate(&reader);
        let public = format!("gateway.publicUrl=https://{HOST}");
        // With the image that the page installs: another one would replace the collector that is asked next.
        let image = ["image.registry=registry.example.com", "image.repository=tracecapture"];
        installation::install(&[&image[..], &[&public, "gateway.tls.enabled=true"]].concat());
        site.until_reason("DownloadReady", "Available");
        // As an authority that the system knows.
        reader.set("SSL_CERT_FILE", &authority);
        reader.set("CURL_CA_BUNDLE", &authority);
        let kubeconfig = owners_kubeconfig(site, &reader);
        reader.set("KUBECONFIG", &kubeconfig);
        println!("{}", reader.types_until("tracecapture verify vendor.tar"));
        assert_eq!(reader.file("vendor.tar").ids(), sent);
        reader.types_until("tracecapture link revoke");
        let link = std::fs::read_to_string(reader.path("link")).unwrap();
        let opened = format!("{}/bundle.tar", link.trim());
        let told = ["-s", "--cacert", &authority, "-o", "/dev/null", "-w", "%{http_code}", &opened];
        let status = run("curl", &told);
        assert_eq!(status, "410");
        println!("shop: {N_SPANS} of {N_SPANS} spans by the plugin and by the link");
        reader.has_read_all();
    });
}

/// Gives the gateway a certificate, in the Secret that the chart looks for; returns the file of its authority.
fn give_certificate(reader: &Reader) -> String {
    let path = |name: &str| reader.path(name).display().to_string();
    let (ca, ca_key, cert, key) = (path("ca.crt"), path("ca.key"), path("tls.crt"), path("tls.key"));
    let new = ["req", "-x509", "-days", "2", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    run("openssl", &[&new[..], &["-subj", "/CN=test authority", "-keyout", &ca_key, "-out", &ca]].concat());
    let name = format!("subjectAltName=DNS:{HOST}");
    let leaf = ["-CA", &ca, "-CAkey", &ca_key, "-subj", "/CN=gateway", "-keyout", &key, "-out", &cert];
    let extensions = ["-addext", &name, "-addext", "basicConstraints=critical,CA:FALSE"];
    run("openssl", &[&new[..], &leaf, &extensions].concat());
    let (cert, key) = (format!("--cert={cert}"), format!("--key={key}"));
    installation::system(&["create", "secret", "tls", "tracecapture-gateway-tls", &cert, &key]);
    ca
}

/// Returns how somebody reaches the cluster who has the role that the page asks for.
fn owners_kubeconfig(site: &Site, reader: &Reader) -> String {
    site.kubectl(&["create", "serviceaccount", "owner"]);
    site.kubectl(&["create", "rolebinding", "owner", "--clusterrole=admin", "--serviceaccount=shop:owner"]);
    until_can(&account("shop", "owner"), "create", "tracecaptures/link", "shop");
    let token = site.kubectl(&["create", "token", "owner"]);
    let path = reader.path("kubeconfig").display().to_string();
    std::fs::copy(std::env::var_os("KUBECONFIG").unwrap(), &path).unwrap();
    let config = ["--kubeconfig", &path, "config"];
    run("kubectl", &[&config[..], &["set-credentials", "owner", "--token", token.trim()]].concat());
    run("kubectl", &[&config[..], &["set-context", "--current", "--user", "owner"]].concat());
    path
}
