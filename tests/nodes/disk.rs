//! Disks on the node: files with a file system of their own, and the volumes that pods get of them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{apply, attempt, kubectl, run, until};

/// Where the disks lie and are mounted; the folder goes with the cluster.
const DISKS: &str = "/run/cluster/disks";

/// A file system of a given size, and the volume made of it.
pub(crate) struct Disk {
    image: PathBuf,
    mount: PathBuf,
    volume: String,
}

impl Disk {
    /// Makes a file system and a volume that only this claim gets.
    pub(crate) fn make(namespace: &str, claim: &str, size: &str) -> Self {
        let on_node = std::env::var_os("TRACECAPTURE_NODE").is_some();
        assert!(on_node, "this scenario makes disks on the node: run it with `tests/nodes/run` and without KUBECONFIG");
        let (image, mount) = (Path::new(DISKS).join(format!("{namespace}.img")), Path::new(DISKS).join(namespace));
        fs::create_dir_all(&mount).unwrap();
        run("truncate", &["-s".as_ref(), size.as_ref(), image.as_os_str()]);
        run("mkfs.ext4", &["-q".as_ref(), "-m".as_ref(), "0".as_ref(), image.as_os_str()]);
        run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_os_str(), mount.as_os_str()]);
        let volume = format!("{namespace}-{claim}");
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
        Self { image, mount, volume }
    }

    /// Where the file system can be seen.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    /// Unmounts it, and deletes it with its volume.
    pub(crate) fn remove(self) {
        kubectl(&["delete", "persistentvolume", &self.volume, "--timeout=60s"]);
        // The kubelet may still hold it for a pod that has just ended.
        until("the disk is no longer used", || attempt("umount", &[&self.mount]).ok());
        fs::remove_file(self.image).unwrap();
    }
}
