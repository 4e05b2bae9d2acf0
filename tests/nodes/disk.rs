//! Disks on the node: files with a file system of their own, and the volumes that pods get of them.
//!
//! They go with the node.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::command::{apply, kubectl, run};

/// Where the disks lie and are mounted; the folder goes with the cluster.
const DISKS: &str = "/run/cluster/disks";

/// Where folders lie that volumes are made of; the driver deletes only what has `/tmp/` in its path.
const FOLDERS: &str = "/run/cluster/tmp";

/// What a volume promises: more than there is, as many a volume does.
const PROMISED: &str = "10Gi";

/// How a file system is made that leaves nothing to root alone.
const EXT4: [&str; 4] = ["mkfs.ext4", "-q", "-m", "0"];

/// How one is made that grows while it is mounted, without rights over the resources of the whole machine.
const XFS: [&str; 2] = ["mkfs.xfs", "-q"];

/// Makes a file system of this size, and a volume that only this claim gets; returns where it is mounted.
pub(crate) fn make(namespace: &str, claim: &str, size: &str) -> PathBuf {
    make_as(namespace, namespace, claim, size)
}

/// As [`make`], where the namespace has a disk already: under this name.
pub(crate) fn make_as(disk: &str, namespace: &str, claim: &str, size: &str) -> PathBuf {
    make_by(&EXT4, PROMISED, disk, (namespace, claim), size)
}

/// As [`make_as`], with a volume that says that it has so much, and can be grown.
pub(crate) fn make_growable(promised: &str, disk: &str, owner: (&str, &str), size: &str) -> PathBuf {
    make_by(&XFS, promised, disk, owner, size)
}

/// Makes a volume of a folder, which is deleted with all that is in it when its claim is; returns where it is.
pub(crate) fn make_deletable(namespace: &str, claim: &str) -> PathBuf {
    assert_on_node();
    let folder = Path::new(FOLDERS).join(namespace);
    fs::create_dir_all(&folder).unwrap();
    // Nobody gives it to the group of a pod.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    offer(
        &volume(namespace, claim),
        PROMISED,
        (namespace, claim),
        "Delete",
        &format!("hostPath: {{path: {}}}", folder.display()),
    );
    folder
}

fn assert_on_node() {
    let on_node = std::env::var_os("TRACECAPTURE_NODE").is_some();
    assert!(on_node, "a scenario makes disks on the node: run it with `tests/nodes/run`");
}

fn make_by(mkfs: &[&str], promised: &str, disk: &str, owner: (&str, &str), size: &str) -> PathBuf {
    assert_on_node();
    let (image, mount) = (Path::new(DISKS).join(format!("{disk}.img")), Path::new(DISKS).join(disk));
    fs::create_dir_all(&mount).unwrap();
    run("truncate", &["-s".as_ref(), size.as_ref(), image.as_os_str()]);
    run(mkfs[0], &[&mkfs[1..], &[image.to_str().unwrap()]].concat());
    run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_os_str(), mount.as_os_str()]);
    offer(&volume(disk, owner.1), promised, owner, "Retain", &format!("local: {{path: {}}}", mount.display()));
    mount
}

/// Makes a volume that only this claim gets, and says what becomes of it after the claim.
fn offer(volume: &str, promised: &str, (namespace, claim): (&str, &str), afterwards: &str, source: &str) {
    apply(
        &[],
        &format!(
            "apiVersion: v1
kind: PersistentVolume
metadata: {{name: {volume}}}
spec:
  capacity: {{storage: {promised}}}
  accessModes: [ReadWriteOnce, ReadWriteMany]
  persistentVolumeReclaimPolicy: {afterwards}
  storageClassName: local
  claimRef: {{namespace: {namespace}, name: {claim}}}
  {source}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [node]}}]
"
        ),
    );
}

/// Does what the driver of a volume does for a claim that asks for more, while it is mounted: the device and its file
/// system grow to `size`, the volume says that it has `promised`, and then so does the claim.
pub(crate) fn grow(disk: &str, (namespace, claim): (&str, &str), size: &str, promised: &str) {
    let (image, mount) = (Path::new(DISKS).join(format!("{disk}.img")), Path::new(DISKS).join(disk));
    run("truncate", &["-s".as_ref(), size.as_ref(), image.as_os_str()]);
    let device = run("findmnt", &["-no".as_ref(), "SOURCE".as_ref(), mount.as_os_str()]);
    run("losetup", &["--set-capacity", device.trim()]);
    run("xfs_growfs", &[&mount]);
    let has = format!("{{\"capacity\": {{\"storage\": \"{promised}\"}}}}");
    kubectl(&["patch", "pv", &volume(disk, claim), "--type", "merge", "-p", &format!("{{\"spec\": {has}}}")]);
    let (pvc, status) = (["patch", "pvc", claim, "-n", namespace], format!("{{\"status\": {has}}}"));
    kubectl(&[&pvc[..], &["--subresource", "status", "--type", "merge", "-p", &status]].concat());
}

fn volume(disk: &str, claim: &str) -> String {
    format!("{disk}-{claim}")
}
