//! Completion of what is typed, in the form of kubectl's plugins, and the shell that asks for it.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::fake::Fault;
use crate::site::Site;

fn site() -> Site {
    let site = Site::new();
    for (namespace, name) in [("shop", "checkout"), ("shop", "cart"), ("bank", "ledger")] {
        site.capture(namespace, name, json!({}), json!({}));
        site.api
            .put("namespaces", json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }));
    }
    site
}

/// Checks what the last of some words may become: whole words, without what they are.
#[track_caller]
fn check(site: &Site, line: &str, expected: &[&str]) {
    let words: Vec<&str> = std::iter::once("complete").chain(std::iter::once("--")).chain(line.split(' ')).collect();
    let ended = site.check(&words, 0, &[], &[]);
    let words: Vec<&str> = ended.stdout.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!((words, &*ended.stderr), (expected.to_vec(), ""), "{line}");
}

#[test]
fn names_of_captures_are_those_of_the_namespace() {
    let site = site();
    for command in ["status", "stop", "resume", "clear", "download", "link list"] {
        check(&site, &format!("{command} "), &["cart", "checkout", ":4"]);
        check(&site, &format!("{command} ch"), &["checkout", ":4"]);
    }
    check(&site, "status -n bank ", &["ledger", ":4"]);
    check(&site, "status --namespace=bank ", &["ledger", ":4"]);
    check(&site, "link ", &["cart", "checkout", "list", "revoke", ":4"]);
    check(&site, "status checkout ", &[":4"]);
    check(&site, "create ", &[":4"]);
}

#[test]
fn namespaces_contexts_and_choices_are_known() {
    let site = site();
    check(&site, "status -n ", &["bank", "shop", ":4"]);
    check(&site, "status --namespace=s", &["--namespace=shop", ":4"]);
    check(&site, "status --context ", &["c", ":4"]);
    check(&site, "download x --via ", &["auto", "url", "apiserver", ":4"]);
    check(&site, "download x -o ", &[":0"]);
    check(&site, "verify ", &[":0"]);
    check(&site, "downl", &["download", ":4"]);
    check(&site, "compl", &["completion", ":4"]);
    check(&site, "download --se", &["--service", "--service-account", ":4"]);
    check(&site, "no such command ", &[":4"]);
}

#[test]
fn who_may_not_list_namespaces_gets_those_with_captures() {
    let site = site();
    site.api.fail(9, Fault::Status(403, "Forbidden", "no"), |verb| verb.target.resource == "namespaces");
    check(&site, "status -n ", &["bank", "shop", ":4"]);
}

#[test]
fn what_goes_wrong_is_not_said() {
    let site = site();
    site.api.fail(9, Fault::Status(403, "Forbidden", "no"), |_| true);
    check(&site, "status ", &[":4"]);
    site.api.heal();
    check(&site, "status --kubeconfig nothing ", &[":4"]);
    check(&site, "status --context nothing ", &[":4"]);
}

#[test]
fn nobody_waits_longer_than_two_seconds() {
    let site = site();
    site.log_in(json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "sleep", "args": ["30"], "interactiveMode": "Never",
    }}));
    #[expect(clippy::disallowed_methods, reason = "the time that passes for the one who waits is the subject")]
    let began = Instant::now();
    check(&site, "status ", &[":4"]);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn bash_completes_names_by_the_script() {
    let site = site();
    let script = site.check(&["completion", "bash"], 0, &[], &[]).stdout;
    std::fs::write(site.path("script"), script).unwrap();
    let ask = |words: &[&str]| {
        let line = "source ./script; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _tracecapture \"$1\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
        let program = env!("CARGO_BIN_EXE_tracecapture");
        let mut command = Command::new("bash");
        command.args(["-c", line, "bash", program]).args(words).current_dir(site.path(""));
        let output = command.env("KUBECONFIG", site.path("kubeconfig")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ask(&["status", "-n", "shop", ""]), ["cart", "checkout"]);
    assert_eq!(ask(&["status", "--namespace", "=", "b"]), ["bank"]);
    assert_eq!(ask(&["valid"]), ["validate"]);
}

#[test]
fn kubectl_gets_its_script() {
    let site = site();
    let script = site.check(&["completion", "kubectl"], 0, &[], &[]).stdout;
    let path = site.path("kubectl_complete-tracecapture");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tracecapture"), site.path("kubectl-tracecapture")).unwrap();
    let place = std::env::join_paths([site.path(""), "/usr/bin".into(), "/bin".into()]).unwrap();
    let mut command = Command::new(&path);
    command.args(["download", "che"]).env("PATH", place).env("KUBECONFIG", site.path("kubeconfig"));
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "checkout\n:4\n");
}
