//! `tracecapture generate`: what it prints is what the operator applies.

use assert_cmd::Command;
use serde_json::Value;
use tracecapture::api::parse;

use super::{IMAGE, KEY, bodies};

/// A capture that a person wrote: without what an API server adds.
const CAPTURE: &str = "apiVersion: tracecapture.dev/v1alpha1
kind: TraceCapture
metadata: {name: \"1e3\", namespace: shop}
spec: {collector: {image: \"registry.example/own:7\", env: [{name: A, value: \"on\"}]}}
";

fn generate(capture: &str) -> (i32, String, String) {
    let args = ["generate", "-f", "-", "--image", IMAGE, "--grant-key", KEY, "--namespace", "tracecapture-system"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracecapture"));
    let output = command.args(args).env_remove("RUST_LOG").write_stdin(capture).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn it_prints_the_objects_in_the_order_in_which_they_are_applied() {
    let (code, stdout, stderr) = generate(CAPTURE);
    assert_eq!((code, &*stderr), (0, ""));
    let printed: Vec<Value> = serde_saphyr::from_multiple(&stdout).unwrap();
    assert_eq!(printed, bodies(&parse(CAPTURE).unwrap()));
    assert!(printed.iter().all(|body| body.pointer("/metadata/ownerReferences").is_none()));
}

#[test]
fn it_says_every_key_of_an_overlay_that_is_refused() {
    let overlay = "{podOverlay: {spec: {restartPolicy: Never, volumes: [{name: v, hostPath: {path: /}}]}}}";
    let text = CAPTURE.lines().take(3).collect::<Vec<_>>().join("\n");
    let (code, stdout, stderr) = generate(&format!("{text}\nspec: {{collector: {overlay}}}\n"));
    let expected = "tracecapture: stdin makes no pods: 2 faults
  spec.collector.podOverlay.spec.restartPolicy: pods of a set are always restarted: remove it
  spec.collector.podOverlay.spec.volumes[v].hostPath: weakens the security of the pod: use one of `configMap`, `csi`, \
                    `downwardAPI`, `emptyDir`, `ephemeral`, `persistentVolumeClaim`, `projected`, `secret`
hint: correct these fields; the operator would say the same in the condition `Ready`
";
    assert_eq!((code, &*stdout, &*stderr), (1, "", expected));
}
