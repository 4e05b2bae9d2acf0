//! The certificate of the gateway is for the names that it is asked by.

use serde_json::json;

use crate::rendered;

#[test]
fn a_certificate_is_for_names_that_its_authority_can_vouch_for() {
    let check = |file: &str, names: &[&str]| {
        let objects = rendered::of(file);
        let certificate = objects.iter().find(|object| object["kind"] == "Certificate").unwrap();
        assert_eq!(certificate["spec"]["dnsNames"], json!(names), "{file}");
    };
    // A public authority refuses a request that has a name of the cluster in it.
    check("cert-manager.yaml", &["captures.example.com"]);
    check("cert-manager-names.yaml", &["tracecapture-gateway.tracecapture-system.svc", "inner.example.com"]);
    check("tls-inside.yaml", &["tracecapture-gateway.tracecapture-system.svc"]);
}
