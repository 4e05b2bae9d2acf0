//! Disks on the node: files with a file system of their own, and the volumes that pods get of them.
//!
//! They go with the node.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{apply, run};

/// Where the disks lie and are mounted; the folder goes with the cluster.
const DISKS: &str = "/run/cluster/disks";

/// Makes a file system of this size, and a volume that only this claim gets; returns where it is mounted.
pub(crate) fn make(namespace: &str, claim: &str, size: &str) -> PathBuf {
    make_as(namespace, namespace, claim, size)
}

/// As [`make`], where the namespace has a disk already: under this name.
pub(crate) fn make_as(disk: &str, namespace: &str, claim: &str, size: &str) -> PathBuf {
    let on_node = std::env::var_os("TRACECAPTURE_NODE").is_some();
    assert!(on_node, "a scenario makes disks on the node: run it with `tests/nodes/run`");
    let (image, mount) = (Path::new(DISKS).join(format!("{disk}.img")), Path::new(DISKS).join(disk));
    fs::create_dir_all(&mount).unwrap();
    run("truncate", &["-s".as_ref(), size.as_ref(), image.as_os_str()]);
    run("mkfs.ext4", &["-q".as_ref(), "-m".as_ref(), "0".as_ref(), image.as_os_str()]);
    run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_os_str(), mount.as_os_str()]);
    let volume = format!("{disk}-{claim}");
    // It promises more than there is, as many a volume does.
    apply(
        &[],
        &format!(
            "apiVersion: v1
kind: PersistentVolume
metadata: {{name: {volume}}}
spec:
  capacity: {{storage: 10Gi}}
  accessModes: [ReadWriteOnce, ReadWriteMany]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: local
  claimRef: {{namespace: {namespace}, name: {claim}}}
  local: {{path: {}}}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [node]}}]
",
            mount.display()
        ),
    );
    mount
}
