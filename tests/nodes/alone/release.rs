//! What an upgrade leaves alone, what is left when the product goes, and what it does where it is given little.

use crate::bundle::{check_all, download_by};
use crate::command::{TIMEOUT, get, kubectl, run, until};
use crate::installation::{NAMESPACE, disturb, install, uninstall};
use crate::load::{Load, STEADY, all, send_one};
use crate::pods::{lives, template, until_ready};
use crate::rights::{account, can, until_can};
use crate::site::{CAPTURE, alone};

#[test]
fn uninstalled_and_installed_anew_everything_is_still_there() {
    alone("uninstalled", |site| {
        site.add_disk("500M");
        site.capture("{}");
        let before = (lives(site), template(site));
        let load = Load::start(&site.endpoint(), STEADY);
        load.wait_for_more(100);
        disturb(uninstall);
        load.wait_for_more(1_000);
        assert!(get(&["-n", NAMESPACE, "deployments"]).is_null());
        assert_eq!(site.get(&["tcap", CAPTURE])["metadata"]["name"], CAPTURE);
        assert_eq!(site.get(&["persistentvolumeclaim", "checkout-chunks"])["status"]["phase"], "Bound");
        install(&[]);
        site.until_operated();
        assert_eq!((lives(site), template(site)), before, "no pod was restarted");
        check_all(site, &all(&load.finish()));
    });
}

#[test]
fn an_upgrade_leaves_collectors_alone_whose_template_is_the_same() {
    alone("upgraded", |site| {
        site.add_disk("500M");
        site.capture("{}");
        let before = (lives(site), template(site));
        let load = Load::start(&site.endpoint(), STEADY);
        load.wait_for_more(100);
        let next = tag_image("next");
        let pinned = format!("collectors.image.tag={}", env!("CARGO_PKG_VERSION"));
        let pinned = ["collectors.image.repository=tracecapture/tracecapture", &pinned];
        disturb(|| install(&[&[&*next], &pinned[..]].concat()));
        site.until_operated();
        load.wait_for_more(1_000);
        assert_eq!((lives(site), template(site)), before, "no pod was restarted");

        // With the image of the release the pods are replaced, and read what the earlier ones wrote.
        install(&[&*next]);
        until("the template is another one", || (template(site) != before.1).then_some(()));
        until("the pod is replaced", || {
            let pods = lives(site);
            (pods.len() == 1 && pods.iter().all(|life| !before.0.contains(life))).then_some(())
        });
        until_ready(site, 1);
        site.until_operated();
        load.wait_for_more(1_000);
        check_all(site, &all(&load.finish()));
    });
}

/// Gives the image of the installation a further tag, and returns the value of the chart that chooses it.
fn tag_image(tag: &str) -> String {
    let image = "docker.io/tracecapture/tracecapture";
    let (old, new) = (format!("{image}:{}", env!("CARGO_PKG_VERSION")), format!("{image}:{tag}"));
    run("ctr", &["-n", "k8s.io", "images", "tag", "--force", &old, &new]);
    format!("image.tag={tag}")
}

#[test]
fn an_installation_for_one_namespace_does_nothing_elsewhere() {
    alone("named", |site| {
        site.add_disk("500M");
        disturb(uninstall);
        install(&["watchNamespaces={named}"]);
        let roles = get(&["clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/component=operator"]);
        assert!(roles.is_null(), "{roles:#}");
        let operator = account(NAMESPACE, "tracecapture-operator");
        until_can(&operator, "create", "configmaps", "named");
        for (verb, what) in [("list", "pods"), ("create", "configmaps"), ("get", "tracecaptures"), ("list", "secrets")]
        {
            assert!(!can(&operator, verb, what, "default"), "{verb} {what} in another namespace");
        }
        assert!(!can(&operator, "list", "secrets", "named"), "nobody lists secrets");

        let elsewhere =
            "{apiVersion: tracecapture.dev/v1alpha1, kind: TraceCapture, metadata: {name: ignored}, spec: {}}";
        crate::command::apply(&["-n", "default"], elsewhere);
        site.capture("{}");
        send_one(&site.endpoint(), 0).unwrap();
        site.until_reason("DownloadReady", "Available");
        assert_eq!(download_by(site, "Role").ids().len(), 1);
        assert!(get(&["-n", "default", "tcap", "ignored"])["status"].is_null(), "it was looked after");
        kubectl(&["delete", "tcap", "ignored", "-n", "default", TIMEOUT]);
        uninstall();
    });
}
