//! Who may do what, and where.

use crate::bundle::{SUPPORT, support_token, url};
use crate::command::{attempt, kubectl, run};
use crate::load::send_one;
use crate::rights::{account, can, until_can};
use crate::site::{CAPTURE, Site, beside_others};

#[test]
fn who_may_not_gets_nothing() {
    beside_others("guarded", |site| {
        site.add_disk("500M");
        site.capture("{}");
        send_one(&site.endpoint(), 0).unwrap();
        site.until_reason("DownloadReady", "Available");
        let url = url(site);
        assert_eq!(answer(&url, None), 401);
        assert_eq!(answer(&url, Some("not a token")), 401);
        site.kubectl(&["create", "serviceaccount", "stranger"]);
        let stranger = token(site, "stranger");
        let elsewhere = url.replace("/guarded/", "/nowhere/");
        assert_eq!(answer(&url, Some(&stranger)), answer(&elsewhere, Some(&stranger)), "what is there cannot be told");
        assert!(matches!(answer(&url, Some(&stranger)), 403 | 404));

        // Who may look at everything may not download it for that reason.
        site.kubectl(&["create", "serviceaccount", "viewer"]);
        site.kubectl(&["create", "rolebinding", "viewer", "--clusterrole=view", "--serviceaccount=guarded:viewer"]);
        let viewer = account("guarded", "viewer");
        until_can(&viewer, "get", "tracecaptures", "guarded");
        assert!(!can(&viewer, "get", "tracecaptures/bundle", "guarded"));
        assert!(matches!(answer(&url, Some(&token(site, "viewer"))), 403 | 404));
        assert_eq!(answer(&url, Some(&support_token(site))), 200);
        assert!(!can(&account("guarded", SUPPORT), "delete", "tracecaptures/bundle", "guarded"));
        let refused = attempt("kubectl", &["tracecapture", "status", CAPTURE, "-n", "guarded", "--as", "nobody"]);
        assert!(refused.unwrap_err().contains("\"checkout\" is forbidden"));
    });
}

#[test]
fn the_network_policy_selects_the_collectors_alone() {
    beside_others("walled", |site| {
        site.add_disk("500M");
        site.capture("{}");
        let policy = site.get(&["networkpolicy", "checkout-collector"]);
        let labels = policy["spec"]["podSelector"]["matchLabels"].as_object().unwrap();
        let selector: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap())).collect();
        let pods = kubectl(&["get", "pods", "-A", "-l", &selector.join(","), "-n", "walled", "-o", "name"]);
        let own = site.kubectl(&["get", "pods", "-l", &selector.join(","), "-o", "name"]);
        assert_eq!(own.trim(), "pod/checkout-collector-0");
        assert!(pods.lines().all(|name| name.starts_with("pod/checkout-collector-")), "{pods}");
        let kinds = &policy["spec"]["policyTypes"];
        assert_eq!(kinds, &serde_json::json!(["Ingress", "Egress"]));
        assert!(policy["spec"]["egress"].is_null(), "a collector calls nobody");
        // Those who may use the API are there, as the policy names them.
        let visitors = &policy["spec"]["ingress"][1]["from"][0];
        let namespace = visitors["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"].as_str().unwrap();
        let parts = &visitors["podSelector"]["matchExpressions"][0];
        for part in parts["values"].as_array().unwrap() {
            let label = format!("{}={}", parts["key"].as_str().unwrap(), part.as_str().unwrap());
            let label = format!("app.kubernetes.io/name=tracecapture,{label}");
            assert!(!kubectl(&["get", "pods", "-n", namespace, "-l", &label, "-o", "name"]).is_empty(), "{label}");
        }
    });
}

/// The status of a download.
fn answer(url: &str, token: Option<&str>) -> u16 {
    let header = token.map(|token| format!("Authorization: Bearer {token}"));
    let header: Vec<&str> = header.iter().flat_map(|header| ["-H", header]).collect();
    let args = [&["-sS", "-o", "/dev/null", "-w", "%{http_code}"], &*header, &[url]].concat();
    run("curl", &args).parse().unwrap()
}

fn token(site: &Site, account: &str) -> String {
    site.kubectl(&["create", "token", account]).trim().to_owned()
}
