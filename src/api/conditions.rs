//! The conditions of a `TraceCapture` and their reasons: a frozen, documented list.
//!
//! Scripts and alerts match on these names: one may be added, none is ever changed or
//! given another meaning. `docs/conditions.md` is generated from this table.

use std::fmt::Write as _;

/// What a condition says something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// A span sent now would land on the disk.
    Ready,
    /// The volume is there and can be written.
    StorageReady,
    /// Every collector pod takes spans by the settings of the current generation.
    ReceiversReady,
    /// The chunks are within the limits of retention.
    RetentionHealthy,
    /// Nothing that a crash left waits for recovery.
    RecoveryComplete,
    /// The capture can be downloaded from the address in `status.bundle.url`.
    DownloadReady,
    /// The capture has stopped by itself, at its `endTime` or after `stopAfterSeconds`.
    Completed,
}

impl ConditionType {
    /// Every condition, in the order in which they stand in the status.
    pub const ALL: [Self; 7] = [
        Self::Ready,
        Self::StorageReady,
        Self::ReceiversReady,
        Self::RetentionHealthy,
        Self::RecoveryComplete,
        Self::DownloadReady,
        Self::Completed,
    ];

    /// Returns the name in the status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::StorageReady => "StorageReady",
            Self::ReceiversReady => "ReceiversReady",
            Self::RetentionHealthy => "RetentionHealthy",
            Self::RecoveryComplete => "RecoveryComplete",
            Self::DownloadReady => "DownloadReady",
            Self::Completed => "Completed",
        }
    }

    /// Returns the condition of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|condition| condition.name() == name)
    }

    /// Returns what `True` means.
    const fn meaning(self) -> &'static str {
        match self {
            Self::Ready => "A span sent now would land on the disk.",
            Self::StorageReady => "The volume is there and can be written.",
            Self::ReceiversReady => "Every collector pod takes spans, by the settings of the current generation.",
            Self::RetentionHealthy => "The chunks are within the limits of `spec.retention`.",
            Self::RecoveryComplete => "Nothing that a crash left waits for recovery.",
            Self::DownloadReady => "The capture can be downloaded from `status.bundle.url`.",
            Self::Completed => "The capture has stopped by itself, at `spec.endTime` or after `spec.stopAfterSeconds`.",
        }
    }
}

/// Makes the enumeration of reasons together with its table, so that none goes undocumented.
macro_rules! reasons {
    ($($name:ident: $meaning:literal, $next:literal;)*) => {
        /// Why a condition has its status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $meaning] $name,)*
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the name in the status.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Returns what it says.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// Returns what to do next; empty where nothing is.
            pub const fn next_step(self) -> &'static str {
                match self { $(Self::$name => $next,)* }
            }
        }
    };
}

impl Reason {
    /// Returns the reason of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.name() == name)
    }

    /// Returns whether somebody has to do something: neither good news, nor on the way, nor what was asked for.
    pub const fn is_trouble(self) -> bool {
        !matches!(
            self,
            Self::Receiving
                | Self::Mounted
                | Self::AllReady
                | Self::WithinLimits
                | Self::NothingLeft
                | Self::Available
                | Self::SignedLink
                | Self::Unlimited
                | Self::Running
                | Self::TimeReached
                | Self::Pending
                | Self::Progressing
                | Self::SettingsPending
                | Self::ClaimPending
                | Self::Resizing
                | Self::Recovering
                | Self::Paused
                | Self::Stopped
                | Self::Completed
                | Self::NoPodReady
                | Self::DownloadsOff
                | Self::NoPublicAddress
        )
    }
}

impl Reason {
    /// Returns whether taking it up is worth an event: what merely stands in the object, or passes by itself, is not.
    pub const fn is_news(self) -> bool {
        !matches!(
            self,
            Self::Unlimited
                | Self::Running
                | Self::Pending
                | Self::Progressing
                | Self::NoPodReady
                | Self::DownloadsOff
                | Self::NoPublicAddress
        )
    }
}

reasons! {
    // Good news.
    Receiving: "Spans are taken and stored.", "";
    Mounted: "The claim is bound and the volume can be written.", "";
    AllReady: "Every collector pod is ready.", "";
    WithinLimits: "The chunks are within size and age.", "";
    NothingLeft: "No chunk waits for recovery.", "";
    Quarantined: "Recovery is done; bytes that it could not vouch for lie in quarantine.", "Look at the files in `quarantine/` before they are evicted.";
    Available: "The keeper serves downloads.", "";
    SignedLink: "The keeper serves downloads, and a signed link in the status opens them to everybody who can read the object.", "To end that, set `spec.download.statusLink: None`.";
    Unlimited: "The capture has no time to stop at.", "";
    Running: "The time to stop has not come.", "";
    TimeReached: "The capture has stopped by itself.", "To go on, set a later `spec.endTime` or remove `spec.stopAfterSeconds`.";
    // On the way.
    Pending: "Nothing has been observed yet.", "Wait a minute.";
    Progressing: "Pods are being started, stopped or replaced.", "Wait; `kubectl describe statefulset` tells more.";
    SettingsPending: "Pods have not taken up the current settings yet.", "Wait: mostly seconds, two minutes where the operator may not annotate pods.";
    ClaimPending: "The claim is not bound yet.", "Look at the events of the claim; a class that waits for its first consumer binds with the first pod.";
    Resizing: "The volume is growing.", "Wait; some classes finish only when the pod is restarted.";
    Recovering: "Chunks of writers that are gone are being recovered.", "Wait; chunks are left alone until nobody wrote to them for `spec.recovery.inactiveSeconds`.";
    Paused: "Reconciling is paused by the annotation `tracecapture.dev/paused`.", "Remove the annotation, or set it to `false`, to go on.";
    Stopped: "`spec.state` is `Stopped`: new spans are refused.", "Set `spec.state: Running`.";
    Completed: "The time to stop has come: new spans are refused.", "To go on, set a later `spec.endTime` or remove `spec.stopAfterSeconds`.";
    // In the object.
    Unreadable: "The object cannot be read by this version.", "Correct the field that the message names.";
    Invalid: "The object breaks a rule.", "Correct the fields that the message names.";
    OverlayRefused: "`spec.collector.podOverlay` would break the pod or weaken its security.", "Remove the keys that the message names.";
    ClaimShared: "Another capture uses the same directory of the claim, or one that holds it or lies within it.", "Create another capture with a `spec.storage.subPath` or claim of its own: neither can be changed.";
    // In the cluster.
    ClaimMissing: "The claim named in `spec.storage.claimName` does not exist.", "Create it, or create another capture that names one that exists: the name cannot be changed.";
    ClaimTerminating: "The claim is being deleted.", "Pods that run keep it until they end: download what is needed, then create the claim anew.";
    ClaimLost: "The volume of the claim is gone.", "Restore the volume, or create another capture.";
    AccessModeMismatch: "The pods cannot use the claim: it cannot be written, not by several nodes, or is no file system.", "Create another capture on a claim with `ReadWriteMany`, or, where it is `ReadWriteOnce`, set `spec.collector.replicas: 1`.";
    StorageClassMissing: "The storage class does not exist.", "Create the class, or create another capture with one that exists.";
    ResizeFailed: "The volume did not grow.", "Let the class of the claim allow expansion, or set `spec.storage.size` back to what the claim has.";
    ShrinkRefused: "`spec.storage.size` is below what the claim has, and a volume never shrinks: it stays as it is.", "Set `spec.storage.size` to what the claim has.";
    Contested: "Another installation of the operator writes the objects of this capture, too.", "Let one of the two watch this namespace: see `--watch-namespace`.";
    QuotaExceeded: "A quota or limit of the namespace refuses the pods.", "Raise the quota, or lower `spec.collector.resources` or `replicas`.";
    PodRefused: "The API server refuses the pods.", "Correct what the message names; often a pod security level or an admission policy.";
    Unschedulable: "No node takes the pod.", "Free resources, or loosen `nodeSelector`, `affinity` or `tolerations`.";
    ImagePullFailed: "The image of the collector cannot be pulled.", "Correct `spec.collector.image`, or `image` of the chart where the capture names none, or name a pull secret in `spec.collector.podOverlay.spec.imagePullSecrets`.";
    Crashing: "A collector pod ends again and again.", "Read `kubectl logs --previous` of the pod.";
    NoPodReady: "No collector pod is ready.", "Look at the condition `ReceiversReady`.";
    Unreachable: "The collector pods do not answer the operator.", "Look at the pods and at network policies on port 4319.";
    KeeperUnreachable: "The pod with ordinal 0 does not answer: retention, recovery and downloads wait for it.", "If its node is lost, taint it `node.kubernetes.io/out-of-service`.";
    VolumeFull: "The volume is full: clients are told to come back.", "Grow `spec.storage.size`, or lower `spec.retention.maxBytes`.";
    VolumeFailed: "Writing to the volume fails: clients are told to come back.", "Mend the volume; the message says what the system reported.";
    OverLimit: "The chunks are over the limit of retention.", "Look at the keeper's log; chunks held by a running download are spared for a bounded time.";
    ApplyFailed: "The API server refused one of the objects of this capture.", "Correct what the message names.";
    Forbidden: "The operator lacks a permission.", "Grant it; the message names verb and resource.";
    StatusLinkFailed: "The signed link in the status cannot be made, renewed or ended.", "Correct what the message names; it is tried again at every visit.";
    DownloadsOff: "`spec.download.enabled` is `false`.", "Set it to `true`.";
    NoPublicAddress: "The operator was not given a public address for downloads.", "Set `gateway.publicUrl` of the chart, which is `--public-url` of operator and gateway.";
}

/// Returns the documentation of conditions and reasons, the same text at every call.
pub fn markdown() -> String {
    let mut text = "# Conditions of a TraceCapture\n\n\
        Every condition is set on the first visit and carries the `observedGeneration` that it speaks of.\n\
        Names of conditions and reasons are for ever: scripts may match on them.\n\
        [operations.md](operations.md#conditions) tells what each condition means for spans, and where to begin.\n\n\
        | condition | `True` means |\n| --- | --- |\n"
        .to_owned();
    for condition in ConditionType::ALL {
        let _ = writeln!(text, "| `{}` | {} |", condition.name(), condition.meaning());
    }
    text.push_str("\n## Reasons\n\n| reason | says | what to do |\n| --- | --- | --- |\n");
    for reason in Reason::ALL {
        let _ = writeln!(text, "| `{}` | {} | {} |", reason.name(), reason.meaning(), reason.next_step());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_fits_kubernetes_and_says_something() {
        for reason in Reason::ALL {
            assert!(reason.name().len() <= 63 && reason.meaning().ends_with('.'), "{reason:?}");
            assert!(reason.next_step().is_empty() || reason.next_step().ends_with('.'), "{reason:?}");
        }
    }
}
