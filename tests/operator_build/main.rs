//! What the operator makes of a capture: every object, what may change it, and what no overlay may do to it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod generate;
mod objects;
mod overlay;
#[path = "../support/pod_profile.rs"]
mod pod_profile;
mod restricted;
mod template;

use serde_json::Value;
use tracecapture::api::grant::GrantPublicKey;
use tracecapture::api::{ValidCapture, parse};
use tracecapture::operator::build::{BuildError, Built, Context, Resources, build};

/// The image that the operator was told to use.
const IMAGE: &str = "registry.example/tracecapture@sha256:4f53";

/// A public key; the private half was never kept.
const KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// Captures that no sample shows: (what is awkward, name, spec).
const AWKWARD: [(&str, &str, &str); 6] = [
    ("longest-name", "a23456789-123456789-123456789-123456789-123456789-123456789-123", "{}"),
    ("name-that-looks-like-a-number", "1e3", "{stopAfterSeconds: 7200, endTime: '2026-11-22T00:00:00Z'}"),
    ("brought-claim", "shop", "{storage: {claimName: shared, subPath: captures/shop}, collector: {replicas: 2}}"),
    ("http-only", "web", "{receiver: {grpc: {enabled: false}, http: {port: 14318}, maxRequestBytes: 256Mi}}"),
    (
        "every-pod-field",
        "payments",
        "{collector: {replicas: 3, image: 'example/own:7', resources: {requests: {cpu: 2}, limits: {memory: 2Gi}},
            nodeSelector: {disk: fast}, tolerations: [{key: spot, operator: Exists, effect: NoSchedule}],
            affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
                {matchExpressions: [{key: gpu, operator: DoesNotExist}]}]}}},
            topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}],
            env: [{name: RUST_LOG, value: debug}]},
          storage: {accessModes: [ReadWriteMany], storageClassName: nfs, deletionPolicy: Delete}}",
    ),
    (
        "overlay",
        "checkout",
        "{collector: {podOverlay: {
            metadata: {labels: {team: shop}, annotations: {sidecar.istio.io/inject: 'false'}},
            spec: {
              priorityClassName: high, imagePullSecrets: [{name: pull}], terminationGracePeriodSeconds: 120,
              securityContext: {runAsUser: null, runAsGroup: null, fsGroup: 1000},
              containers: [
                {name: collector, resources: {limits: {memory: null, cpu: 2}}, startupProbe: {failureThreshold: 360},
                  env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: t, key: k}}}],
                  volumeMounts: [{name: ca, mountPath: /etc/ssl/certs, readOnly: true}]},
                {name: log-shipper, image: 'example/shipper:1', ports: [{containerPort: 9000}],
                  volumeMounts: [{name: data, mountPath: /data, readOnly: true}],
                  securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}}],
              volumes: [{name: ca, configMap: {name: ca}}]}}}}",
    ),
];

/// Makes a capture as an API server would hold it.
fn capture(name: &str, spec: &str) -> ValidCapture {
    let text = format!(
        "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {{name: '{name}', namespace: team-a, \
         uid: 5a9c1f6e-0d5b-4f7e-9a57-2f1f6c1d9e11, generation: 7, creationTimestamp: '2026-11-21T10:00:00Z'}}\n\
         spec: {spec}\n"
    );
    parse(&text).unwrap_or_else(|faults| panic!("{spec}: {faults:?}"))
}

/// Returns every sample and every awkward capture, by a name for its snapshot.
#[expect(clippy::disallowed_methods, reason = "test fixture")]
fn captures() -> Vec<(String, ValidCapture)> {
    let samples = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config/samples")).unwrap();
    let sample = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        (format!("sample-{name}"), parse(&String::from_utf8(std::fs::read(&path).unwrap()).unwrap()).unwrap())
    };
    let samples = samples.map(|entry| sample(entry.unwrap().path()));
    let awkward = AWKWARD.map(|(label, name, spec)| (label.to_owned(), capture(name, spec)));
    samples.chain(awkward).collect()
}

fn try_build(capture: &ValidCapture) -> Result<Resources<Built>, BuildError> {
    let grant_keys = [GrantPublicKey::from_text(KEY).unwrap()];
    let context = Context {
        image: IMAGE,
        image_pull_policy: Some("IfNotPresent"),
        image_pull_secrets: &[],
        grant_keys: &grant_keys,
        installation_namespace: "tracecapture-system",
        claim_size: None,
    };
    build(capture, &context)
}

/// Returns the objects as they are applied.
fn bodies(capture: &ValidCapture) -> Vec<Value> {
    let objects = try_build(capture).unwrap().objects().unwrap();
    objects.into_iter().map(|object| object.body).collect()
}

/// Returns the one object of `kind` whose name ends in `suffix`.
fn body(capture: &ValidCapture, kind: &str, suffix: &str) -> Value {
    let is_wanted = |body: &Value| {
        body.get("kind").unwrap() == kind && body.pointer("/metadata/name").unwrap().as_str().unwrap().ends_with(suffix)
    };
    bodies(capture).into_iter().find(is_wanted).unwrap_or_else(|| panic!("no {kind} {suffix}"))
}
