//! What somebody reads after the installation is true of it.

use serde_json::Value;

use crate::rendered::{self, is_hook};

#[test]
fn notes_name_what_there_is() {
    let mut n_named = 0;
    for (file, objects) in rendered::all().into_iter().filter(|(file, _)| file != "numbers") {
        let notes = rendered::notes(&file);
        for (before, kind) in [("deployment/", "Deployment"), ("ClusterRole ", "ClusterRole"), ("Role ", "Role")] {
            // `Role` ends the other one's name.
            for name in named(&notes, before).filter(|(rest, _)| !rest.ends_with("Cluster")).map(|(_, name)| name) {
                let is_there = objects.iter().any(|it| it["kind"] == kind && it["metadata"]["name"] == name);
                assert!(is_there, "{file}: {kind} {name}");
                n_named += 1;
            }
        }
    }
    assert!(n_named > 30, "{n_named}");
}

#[test]
fn notes_name_commands_that_can_work() {
    for (file, objects) in rendered::all().into_iter().filter(|(file, _)| file != "numbers") {
        let notes = rendered::notes(&file);
        assert_eq!(notes.contains(" test tracecapture "), objects.iter().any(is_hook), "{file}: {notes}");
        let args = args_of_gateway(&objects);
        let has = |flag: &str| args.iter().any(|arg| arg.starts_with(flag));
        // With TLS the API server's proxy does not reach the gateway.
        let is_reached = !args.is_empty() && (has("--public-url=") || !has("--tls-dir="));
        assert_eq!(notes.contains("kubectl tracecapture download"), is_reached, "{file}: {notes}");
        // Without TLS on the way, the program sends no token unless it is told to.
        assert_eq!(notes.contains("--allow-http"), has("--public-url=http://"), "{file}: {notes}");
    }
}

/// Returns the names that stand behind `before`, each with all that stands before that.
fn named<'a>(notes: &'a str, before: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    notes.match_indices(before).map(move |(start, _)| {
        let name = &notes[start + before.len()..];
        (&notes[..start], name.split(|c: char| c.is_whitespace() || c == ',' || c == ':').next().unwrap())
    })
}

fn args_of_gateway(objects: &[Value]) -> Vec<&str> {
    let gateway =
        objects.iter().find(|it| it["kind"] == "Deployment" && it["metadata"]["name"] == "tracecapture-gateway");
    let args = gateway.and_then(|it| it["spec"]["template"]["spec"]["containers"][0]["args"].as_array());
    args.into_iter().flatten().filter_map(Value::as_str).collect()
}
