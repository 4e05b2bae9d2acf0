//! What `image/build` makes can be run by a user that is not root, whoever built it, and loaded by Docker.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// Any program does: its libraries are found in the same way.
const PROGRAM: &str = "/bin/cat";

const NAME: &str = "registry.example.com:5000/mirror/tracecapture:0.1.0";

#[test]
fn the_image_does_not_depend_on_who_builds_it() {
    let dir = tempfile::tempdir().unwrap();
    let images = ["022", "077"].map(|umask| built(dir.path(), umask));
    let [index, other] = images.each_ref().map(|image| read(image, "index.json"));
    assert_eq!(index, other);
}

#[test]
fn every_folder_is_open_to_the_user_of_the_image() {
    let dir = tempfile::tempdir().unwrap();
    let image = built(dir.path(), "077");
    let listed = listing(&image, text(&read(&image, "manifest.json")[0]["Layers"][0]));
    assert!(listed.lines().any(|line| line.ends_with(" ./")), "{listed}");
    for line in listed.lines().filter(|line| line.starts_with('d')) {
        let is_home = line.contains(" 65532/65532 ");
        assert!(is_home || matches!(line.get(7..10), Some("r-x" | "rwt")), "{line}");
    }
}

#[test]
fn docker_finds_the_image_without_knowing_oci_layouts() {
    let dir = tempfile::tempdir().unwrap();
    let image = built(dir.path(), "022");
    let manifest = read(&image, "manifest.json");
    let config = read(&image, text(&manifest[0]["Config"]));
    // What is not compressed is known by its own digest, and Docker compares the two.
    let layer = format!("blobs/{}", text(&config["rootfs"]["diff_ids"][0]).replace(':', "/"));
    assert_eq!(manifest[0]["Layers"], json!([layer]));
    assert_eq!(manifest[0]["RepoTags"], json!([NAME]));
    assert!(!listing(&image, &layer).is_empty());
}

/// Makes an image under a umask.
fn built(dir: &Path, umask: &str) -> PathBuf {
    let image = dir.join(format!("{umask}.tar"));
    shell(&format!("umask {umask}; exec image/build {PROGRAM} {} {NAME}", image.display()));
    image
}

/// Returns a member of an image that is JSON.
fn read(image: &Path, member: &str) -> Value {
    serde_json::from_str(&shell(&format!("tar -xOf {} {member}", image.display()))).unwrap()
}

/// Lists a member of an image that is a tar itself, with rights and owners.
fn listing(image: &Path, member: &str) -> String {
    shell(&format!("tar -xOf {} {member} | tar --numeric-owner -tvf -", image.display()))
}

/// Returns what a command says; it must succeed.
fn shell(command: &str) -> String {
    let script = format!("set -o pipefail; {command}");
    let ran = Command::new("bash").arg("-c").arg(script).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
