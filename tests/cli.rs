//! The command line from the outside: exit codes, and what goes to stdout and to stderr.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use assert_cmd::Command;

const VALID: &str = "apiVersion: tracecapture.dev/v1alpha1
kind: TraceCapture
metadata: {name: checkout, namespace: shop}
spec: {}
";

const FAULTY: &str = "apiVersion: tracecapture.dev/v1alpha1
kind: TraceCapture
metadata:
  name: Checkout
  lables: {team: shop}
spec:
  state: running
  chunk:
    maxbytes: 10M
    maxAgeSeconds: \"60\"
  retention:
    maxBytes: banana
  sampling: {ratePerMillion: 1}
  collector:
    replicas: 3
";

struct Expected<'a> {
    code: i32,
    stdout: &'a str,
    stderr: &'a str,
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracecapture"));
    command.env_remove("RUST_LOG");
    command
}

fn check(args: &[&str], stdin: &str, expected: &Expected<'_>) {
    let output = program().args(args).write_stdin(stdin).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected.stderr, "{args:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected.stdout, "{args:?}");
    assert_eq!(output.status.code(), Some(expected.code), "{args:?}");
}

fn check_invalid(text: &str, stderr: &str) {
    let hint = "hint: correct these lines; `kubectl explain tracecapture.spec` describes every field\n";
    let stderr = format!("tracecapture: stdin is not a valid TraceCapture: {stderr}{hint}");
    check(&["validate", "-f", "-"], text, &Expected { code: 1, stdout: "", stderr: &stderr });
}

#[test]
fn a_valid_capture_is_one_line_on_stdout() {
    let stdout = "stdin holds the valid TraceCapture `shop/checkout`\n";
    check(&["validate", "-f", "-"], VALID, &Expected { code: 0, stdout, stderr: "" });
}

#[test]
fn a_faulty_capture_gets_every_fault_at_once_by_line() {
    check_invalid(
        FAULTY,
        "8 faults
  line 4: metadata.name: the name must be a DNS label: 1 to 63 of a-z, 0-9 and `-`, with a letter or digit at both ends
  line 5: metadata.lables: is not a field: did you mean `labels`?
  line 6: spec.storage.accessModes: more than one replica shares the volume: set `[ReadWriteMany]` and a storage class that offers it, name such a claim in `spec.storage.claimName`, or set `spec.collector.replicas: 1`
  line 7: spec.state: `running` is not known here: write `Running`
  line 9: spec.chunk.maxbytes: is not a field: did you mean `maxBytes`?
  line 10: spec.chunk.maxAgeSeconds: expected a whole number, found the text `60`
  line 12: spec.retention.maxBytes: write a whole number of bytes from 20Ki to 1P, such as `1G`
  line 13: spec.sampling: is not a field: write `chunk`, `collector`, `download`, `durability`, `endTime`, `receiver`, `recovery`, `retention`, `signals`, `state`, `stopAfterSeconds` or `storage`
",
    );
}

#[test]
fn what_is_no_capture_is_said_in_one_fault() {
    check_invalid("", "1 fault\n  is empty: write a `TraceCapture` object\n");
    check_invalid(
        &format!("{VALID}---\n{VALID}"),
        "1 fault\n  holds 2 YAML documents: put each into a file of its own\n",
    );
    check_invalid("- 1\n", "1 fault\n  is not an object: write a `TraceCapture` with `apiVersion` and `kind`\n");
    check_invalid(
        &format!("{VALID}spec: {{}}\n"),
        "1 fault\n  line 5: `spec` stands here a second time: keep one of the two\n",
    );
    check_invalid(
        "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 1}\n",
        "4 faults
  metadata: is required and missing
  line 1: apiVersion: write `tracecapture.dev/v1alpha1`, the only one that is read here
  line 2: kind: write `TraceCapture`, the only one that is read here
  line 3: spec.replicas: is not a field: write `chunk`, `collector`, `download`, `durability`, `endTime`, `receiver`, `recovery`, `retention`, `signals`, `state`, `stopAfterSeconds` or `storage`
",
    );
    check_invalid(
        "apiVersion: 1\nkind: TraceCapture\nmetadata: {name: A}\nspec: {state: Idle}\n",
        "3 faults
  line 1: apiVersion: write `tracecapture.dev/v1alpha1`, the only one that is read here
  line 3: metadata.name: the name must be a DNS label: 1 to 63 of a-z, 0-9 and `-`, with a letter or digit at both ends
  line 4: spec.state: `Idle` is not known here: write `Running` or `Stopped`
",
    );
    check_invalid(
        "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\n",
        "2 faults\n  metadata: is required and missing\n  spec: is required and missing\n",
    );
}

#[test]
fn untrusted_text_does_not_reach_the_terminal_raw() {
    let text =
        "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {name: a}\nspec: {state: \"\\e[2J\"}\n";
    check_invalid(
        text,
        "1 fault\n  line 4: spec.state: `\\u{1b}[2J` is not known here: write `Running` or `Stopped`\n",
    );
}

#[test]
fn a_missing_file_says_what_to_give() {
    let stderr = "tracecapture: cannot read `no.yaml`: No such file or directory (os error 2)
hint: give the path of a TraceCapture YAML file, or `-` for stdin
";
    check(&["validate", "-f", "no.yaml"], "", &Expected { code: 1, stdout: "", stderr });
}

#[test]
fn a_wrong_command_line_is_exit_code_2_on_stderr() {
    for args in [
        &["validate"][..],
        &["frobnicate"],
        &["cat"],
        &["run", "--grpc-listen", "here"],
        &["version", "-o", "xml"],
        &[],
    ] {
        let output = program().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn help_is_no_error() {
    let output = program().args(["run", "--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in
        ["--file", "--data-dir", "--grpc-listen", "--http-listen", "--web-listen", "--allow-remote", "--log-format"]
    {
        assert!(help.contains(flag), "{flag} in {help}");
    }
    assert!(!help.contains("TRACECAPTURE_TOKEN"), "the token is no flag to type");
}

#[test]
fn the_version_is_for_people_and_for_programs() {
    let version = env!("CARGO_PKG_VERSION");
    let text = format!("tracecapture {version}\n");
    check(&["version"], "", &Expected { code: 0, stdout: &text, stderr: "" });
    let json = format!("{{\n  \"version\": \"{version}\",\n  \"apiVersion\": \"tracecapture.dev/v1alpha1\"\n}}\n");
    check(&["version", "-o", "json"], "", &Expected { code: 0, stdout: &json, stderr: "" });
}

#[test]
fn the_definition_is_the_file_in_the_repository() {
    check(&["crd"], "", &Expected { code: 0, stdout: include_str!("../crds/tracecaptures.yaml"), stderr: "" });
}

#[test]
fn every_shell_gets_a_completion_script() {
    // Some know every command, the others ask each time.
    for (shell, word) in [
        ("powershell", "validate"),
        ("elvish", "validate"),
        ("bash", "complete -F _tracecapture tracecapture\n"),
        ("zsh", "#compdef tracecapture\n"),
        ("fish", "complete -c tracecapture -f"),
        ("kubectl", "exec kubectl-tracecapture complete -- \"$@\""),
    ] {
        let output = program().args(["completion", shell]).output().unwrap();
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains(word), "{shell}");
    }
}

#[test]
fn as_a_kubectl_plugin_it_goes_by_that_name() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = dir.path().join("kubectl-tracecapture");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tracecapture"), &plugin).unwrap();
    let output = Command::new(plugin).args(["validate", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("Usage: kubectl tracecapture validate"), "{help}");
}

#[test]
fn every_sample_is_valid() {
    let mut n_samples = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config/samples")).unwrap() {
        let output = program().arg("validate").arg("-f").arg(entry.unwrap().path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        n_samples += 1;
    }
    assert!(n_samples >= 3);
}

#[test]
fn an_empty_token_is_refused() {
    let output = program().arg("run").env("TRACECAPTURE_TOKEN", "").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("TRACECAPTURE_TOKEN is empty"), "{stderr}");
}

#[test]
fn a_lock_file_that_cannot_be_opened_has_no_owner_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(".lock-local")).unwrap();
    let output = program().args(["run", "--data-dir"]).arg(dir.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("choose another --data-dir, or mend the volume"), "{stderr}");
}

#[test]
fn a_log_filter_that_is_none_is_a_usage_error() {
    let output = program().arg("crd").env("RUST_LOG", "a=b=c").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("RUST_LOG"));
}
