//! One table of captures, sound and faulty, for every engine that judges them: this process,
//! kube's CEL and a real API server.
//!
//! Specs are YAML in flow style. Paths are those of the fields at fault, in the order of the fields.

/// A capture and the fields that break a rule.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) spec: String,
    pub(crate) faults: &'static [&'static str],
}

/// What one group of cases is about, and its cases.
pub(crate) type Subject = (&'static str, fn() -> Vec<Case>);

/// Captures whose form is sound, with what the rules say of them.
pub(crate) const SUBJECTS: &[Subject] = &[
    ("what is sound passes", sound),
    ("sizes are whole numbers of bytes within bounds", sizes),
    ("retention holds five chunks", five_chunks),
    ("ports differ, one transport is on, and ports of the pod itself are taken", ports),
    ("origins are what browsers send", origins),
    ("resources are quantities, and requests are within limits", resources),
    ("an image is a reference", images),
    ("tolerations and spread constraints are what a pod takes", tolerations),
    ("variables have names of their own", variables),
    ("node labels are labels", node_labels),
    ("an overlay keeps to what a pod may change", overlays),
    ("several replicas need a volume that many can write", replicas),
    ("a claim is either there or described", claims),
    ("the name is a DNS label", names),
    ("every fault comes at once", together),
];

/// Specs whose form is at fault, each with the path of its one fault.
pub(crate) const FORMS: &[(&str, &str)] = &[
    ("{state: running}", "spec.state"),
    ("{durability: 1}", "spec.durability"),
    ("{chunk: {compression: Lz4}}", "spec.chunk.compression"),
    ("{chunk: {maxAgeSeconds: 0}}", "spec.chunk.maxAgeSeconds"),
    ("{chunk: {maxAgeSeconds: '60'}}", "spec.chunk.maxAgeSeconds"),
    ("{chunk: {maxAgeSeconds: 1.5}}", "spec.chunk.maxAgeSeconds"),
    ("{chunk: {maxAgeSeconds: 9223372036854775808}}", "spec.chunk.maxAgeSeconds"),
    ("{chunk: {maxBytes: 1.5}}", "spec.chunk.maxBytes"),
    ("{chunk: {maxBytes: 1e3}}", "spec.chunk.maxBytes"),
    ("{chunk: {maxBytes: true}}", "spec.chunk.maxBytes"),
    ("{chunk: []}", "spec.chunk"),
    ("{receiver: {grpc: {port: 0}}}", "spec.receiver.grpc.port"),
    ("{receiver: {http: {port: 65536}}}", "spec.receiver.http.port"),
    ("{receiver: {http: {enabled: maybe}}}", "spec.receiver.http.enabled"),
    ("{retention: {maxAgeSeconds: -1}}", "spec.retention.maxAgeSeconds"),
    ("{retention: {clearBefore: yesterday}}", "spec.retention.clearBefore"),
    ("{retention: {clearBefore: '1795257045'}}", "spec.retention.clearBefore"),
    ("{recovery: {inactiveSeconds: 0}}", "spec.recovery.inactiveSeconds"),
    ("{collector: {replicas: 0}}", "spec.collector.replicas"),
    ("{signals: []}", "spec.signals"),
    ("{signals: [Metrics]}", "spec.signals[0]"),
    ("{storage: {accessModes: [ReadWriteMany, ReadWriteMany]}}", "spec.storage.accessModes[1]"),
    ("{storage: {claimName: ''}}", "spec.storage.claimName"),
    ("{stopAfterSeconds: 0}", "spec.stopAfterSeconds"),
    ("{stopAfterSeconds: 315360001}", "spec.stopAfterSeconds"),
    ("{endTime: tomorrow}", "spec.endTime"),
    ("{download: {enabled: 1}}", "spec.download.enabled"),
    ("{download: {statusLink: Open}}", "spec.download.statusLink"),
    ("{receiver: {cors: {allowedOrigins: [a://b, a://b]}}}", "spec.receiver.cors.allowedOrigins[1]"),
    ("{collector: {image: ''}}", "spec.collector.image"),
    ("{collector: {resources: {requests: {cpu: 0.5}}}}", "spec.collector.resources.requests.cpu"),
    ("{collector: {resources: {requests: {cpu: []}}}}", "spec.collector.resources.requests.cpu"),
    ("{collector: {nodeSelector: {a: 1}}}", "spec.collector.nodeSelector.a"),
    ("{collector: {tolerations: [x]}}", "spec.collector.tolerations[0]"),
    ("{collector: {tolerations: [{key: a, operator: Matches}]}}", "spec.collector.tolerations[0].operator"),
    ("{collector: {tolerations: [{key: a, effect: Never}]}}", "spec.collector.tolerations[0].effect"),
    (
        "{collector: {topologySpreadConstraints: [{maxSkew: 0, topologyKey: a, whenUnsatisfiable: DoNotSchedule}]}}",
        "spec.collector.topologySpreadConstraints[0].maxSkew",
    ),
    (
        "{collector: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: a}]}}",
        "spec.collector.topologySpreadConstraints[0].whenUnsatisfiable",
    ),
    (
        "{collector: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: Never}]}}",
        "spec.collector.topologySpreadConstraints[0].whenUnsatisfiable",
    ),
    ("{collector: {affinity: []}}", "spec.collector.affinity"),
    ("{collector: {env: [{name: A}, {name: B}, {name: A, value: x}]}}", "spec.collector.env[2]"),
    ("{collector: {env: [{value: x}]}}", "spec.collector.env[0].name"),
    ("{collector: {podOverlay: {metadata: {labels: {a: 1}}}}}", "spec.collector.podOverlay.metadata.labels.a"),
    ("{collector: {podOverlay: {spec: 1}}}", "spec.collector.podOverlay.spec"),
    ("5", "spec"),
];

/// Specs with a field that does not exist, each with its path.
pub(crate) const UNKNOWN_FIELDS: &[(&str, &str)] = &[
    ("{sampling: {}}", "spec.sampling"),
    ("{filter: {}}", "spec.filter"),
    ("{redaction: {}}", "spec.redaction"),
    ("{limits: {}}", "spec.limits"),
    ("{forward: {}}", "spec.forward"),
    ("{receiver: {tls: {}}}", "spec.receiver.tls"),
    ("{download: {link: Signed}}", "spec.download.link"),
    ("{collector: {resources: {claims: []}}}", "spec.collector.resources.claims"),
    ("{collector: {env: [{name: A, valueFrom: {}}]}}", "spec.collector.env[0].valueFrom"),
    ("{collector: {podOverlay: {kind: Pod}}}", "spec.collector.podOverlay.kind"),
    ("{chunk: {maxbytes: 1M}, retention: {maxBytes: 100M}}", "spec.chunk.maxbytes"),
];

/// Changes of `spec.storage`: before, after, and whether the volume stays the same one.
pub(crate) const CHANGES: &[(&str, &str, bool)] = &[
    ("{claimName: a}", "{claimName: a}", true),
    ("{claimName: a}", "{claimName: b}", false),
    ("{claimName: a}", "{}", false),
    ("{}", "{claimName: a}", false),
    ("{claimName: a, subPath: b}", "{claimName: a, subPath: c}", false),
    ("{storageClassName: a}", "{storageClassName: b}", false),
    ("{accessModes: [ReadWriteOnce]}", "{accessModes: [ReadWriteMany]}", false),
    ("{size: 1Gi}", "{size: 2Gi}", true),
    ("{size: 1Gi}", "{size: 1024Mi}", true),
    // What the claim has decides, and only the operator knows it: it never makes one smaller.
    ("{size: 2Gi}", "{size: 1Gi}", true),
    ("{size: 2Gi}", "{}", true),
    ("{}", "{size: 2Gi}", true),
    ("{deletionPolicy: Retain}", "{deletionPolicy: Delete}", true),
];

fn case(spec: impl Into<String>, faults: &'static [&'static str]) -> Case {
    Case { name: "a".to_owned(), spec: spec.into(), faults }
}

fn cases<S: Into<String>>(specs: impl IntoIterator<Item = S>, faults: &'static [&'static str]) -> Vec<Case> {
    specs.into_iter().map(|spec| case(spec, faults)).collect()
}

fn sound() -> Vec<Case> {
    cases(
        [
            "{}",
            "{state: Stopped, durability: Write, signals: [Traces]}",
            "{chunk: {maxBytes: 50M}, retention: {maxBytes: 250M}}",
            "{chunk: {maxBytes: 65536, compression: None}, retention: {maxBytes: 1Mi, maxAgeSeconds: 60}}",
            "{receiver: {grpc: {enabled: false, port: 4318}}}",
            "{receiver: {grpc: {port: 1}, http: {port: 65535}, maxRequestBytes: 1Gi}}",
            "{collector: {replicas: 3}, storage: {accessModes: [ReadWriteMany], storageClassName: nfs.fast, size: 20Gi}}",
            "{collector: {replicas: 3}, storage: {claimName: shared, subPath: captures/a..b}}",
            "{storage: {storageClassName: '', deletionPolicy: Delete}}",
            "{retention: {clearBefore: 2026-11-21T10:30:00Z}}",
            "{stopAfterSeconds: 7200, endTime: 2026-11-21T10:30:00Z, download: {enabled: false}}",
            "{receiver: {http: {enabled: false, port: 8080}}}",
            "{collector: {image: 'images.example.com:5000/tracecapture@sha256:0f'}}",
            "{collector: {nodeSelector: {kubernetes.io/arch: amd64, pool: ''}, tolerations: [{key: a, operator: Exists}]}}",
            "{collector: {env: [{name: RUST_LOG, value: debug}, {name: _x1}]}}",
            "{collector: {affinity: {nodeAffinity: {}}, topologySpreadConstraints: [
              {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, minDomains: 2, nodeTaintsPolicy: Honor}]}}",
            "{collector: {resources: {limits: {memory: 64Mi}}}}",
            "{storage: {accessModes: [ReadWriteOncePod]}}",
            "{collector: {podOverlay: {metadata: {labels: {team: shop}}, spec: {priorityClassName: high, volumes: []}}}}",
        ],
        &[],
    )
}

fn sizes() -> Vec<Case> {
    let sizes =
        ["banana", "100m", "0.5Gi", "'1e3'", "-1", "+1", "'0'", "0", "-5", "''", "9999E", "5 M", "1KB", "4095", "2T"];
    let chunk = |size| format!("{{chunk: {{maxBytes: {size}}}, retention: {{maxBytes: 20T}}}}");
    let mut all = cases(sizes.map(chunk), &["spec.chunk.maxBytes"]);
    all.extend([
        case("{receiver: {maxRequestBytes: 2Gi}}", &["spec.receiver.maxRequestBytes"]),
        case("{retention: {maxBytes: 2P}}", &["spec.retention.maxBytes"]),
        case("{storage: {size: 10k}}", &["spec.storage.size"]),
    ]);
    all
}

fn five_chunks() -> Vec<Case> {
    let spec = |(kept, chunk)| format!("{{retention: {{maxBytes: {kept}}}, chunk: {{maxBytes: {chunk}}}}}");
    let small = [("249999999", "50M"), ("100M", "50M"), ("320Ki", "65537")];
    let mut all = cases(small.map(spec), &["spec.retention.maxBytes"]);
    all.push(case(spec(("320Ki", "64Ki")), &[]));
    all
}

fn ports() -> Vec<Case> {
    let grpc = |port| format!("{{receiver: {{grpc: {{port: {port}}}}}}}");
    let http = |port| format!("{{receiver: {{http: {{port: {port}}}}}}}");
    let mut all = vec![
        case(grpc(4318), &["spec.receiver.http.port"]),
        case("{receiver: {grpc: {enabled: false}, http: {enabled: false}}}", &["spec.receiver"]),
    ];
    all.extend(cases([4319, 8080].map(grpc), &["spec.receiver.grpc.port"]));
    all.extend(cases([4319, 8080].map(http), &["spec.receiver.http.port"]));
    all
}

fn origins() -> Vec<Case> {
    let spec = |origin| format!("{{receiver: {{cors: {{allowedOrigins: ['{origin}']}}}}}}");
    let sound = ["*", "https://shop.example.com", "http://localhost:3000", "http://[::1]:80", "chrome-extension://ab"];
    let faulty = [
        "shop.example.com",
        "https://",
        "https://shop.example.com/",
        "https://shop.example.com/x",
        "https://Shop.example.com",
        "https://shop.example.com:",
        "https://shop.example.com:123456",
        "https://a:b:1",
        "https://*.example.com",
        "https://a b",
        "http://[]",
        "http://[::1",
        "http://[::1]x",
        "://a",
        "1x://a",
        "null",
        "**",
    ];
    let mut all = cases(sound.map(spec), &[]);
    all.extend(cases(faulty.map(spec), &["spec.receiver.cors.allowedOrigins"]));
    all.push(case("{receiver: {cors: {allowedOrigins: []}}}", &[]));
    all
}

fn resources() -> Vec<Case> {
    let spec = |(requests, limits): (&str, &str)| {
        format!("{{collector: {{resources: {{requests: {{{requests}}}, limits: {{{limits}}}}}}}}}")
    };
    let sound = [
        ("cpu: 500m, memory: 256Mi", "cpu: 1, memory: 268435456"),
        ("cpu: '0.5'", "cpu: 500m"),
        ("cpu: 2", "memory: 1Gi"),
        ("memory: 1Gi", "memory: 1024Mi"),
        ("ephemeral-storage: 1G", ""),
        ("", "example.com/gpu: 0"),
    ];
    let above = [("cpu: 501m", "cpu: '0.5'"), ("memory: 1Gi", "memory: 1G"), ("cpu: 2", "cpu: 1, memory: 1Gi")];
    let mut all = cases(sound.map(spec), &[]);
    all.extend(cases(above.map(spec), &["spec.collector.resources.requests"]));
    let tiny = ["memory: 1", "memory: 63Mi", "memory: 67108863", "memory: 100m"];
    all.extend(cases(tiny.map(|limits| spec(("", limits))), &["spec.collector.resources.limits"]));
    for quantity in ["banana", "-1", "''", "1 Gi", "1kb", "'1.'", "'.5'", "1.2.3", "'+1'"] {
        let cpu = format!("cpu: {quantity}");
        all.push(case(spec((&cpu, "cpu: 1")), &["spec.collector.resources.requests"]));
        all.push(case(spec(("cpu: 1", &cpu)), &["spec.collector.resources.limits"]));
    }
    all
}

fn images() -> Vec<Case> {
    let spec = |image| format!("{{collector: {{image: {image}}}}}");
    let sound = [
        "a",
        "a/b.c/d__e:V1.0-x_",
        "localhost/a",
        "Images.Example.com/a",
        "'images.example.com:5000/a/b:1@sha256:0F'",
        "'[::1]:5000/a'",
        "'a:5000'",
    ];
    let faulty = [
        "a b",
        "' a'",
        "a\u{00e4}",
        "\"a\\n\"",
        "../x",
        "'x:::'",
        "'../x:::'",
        "X",
        "'a:'",
        "a/",
        "/a",
        "a//b",
        "'a:b:c'",
        "'a:b/c'",
        "a/B",
        "'a:-b'",
        "'a@sha256'",
        "'a@sha256:'",
        "'a@sha256:xyz'",
        "'a@:0'",
        "'[]/a'",
        "'[::1/a'",
        "https://a/b",
        ".a/b",
    ];
    let mut all = cases(sound.map(spec), &[]);
    all.extend(cases(faulty.map(spec), &["spec.collector.image"]));
    all
}

fn tolerations() -> Vec<Case> {
    let spec = |toleration| format!("{{collector: {{tolerations: [{{key: first}}, {{{toleration}}}]}}}}");
    let sound = [
        "operator: Exists",
        "key: a, value: b",
        "key: a, operator: Equal, value: b, effect: NoExecute, tolerationSeconds: 3",
        "key: a, operator: '', effect: ''",
    ];
    let faulty = [
        "key: a, operator: Exists, value: b",
        "effect: NoSchedule",
        "key: '', operator: Equal",
        "key: a, tolerationSeconds: 3",
        "key: a, effect: NoSchedule, tolerationSeconds: 3",
    ];
    let mut all = cases(sound.map(spec), &[]);
    all.extend(cases(faulty.map(spec), &["spec.collector.tolerations"]));
    let spread = "{maxSkew: 1, topologyKey: a, whenUnsatisfiable: ScheduleAnyway, minDomains: 1}";
    all.push(case(
        format!("{{collector: {{topologySpreadConstraints: [{spread}]}}}}"),
        &["spec.collector.topologySpreadConstraints"],
    ));
    all
}

fn variables() -> Vec<Case> {
    let spec = |name| format!("{{collector: {{env: [{{name: {name}, value: x}}]}}}}");
    let taken = ["1A", "'A B'", "A-B", "A.B", "'A=B'", "POD_NAME", "POD_", "TRACECAPTURE_TOKEN"];
    let mut all = cases(taken.map(spec), &["spec.collector.env"]);
    all.extend(cases(["PODS", "A_POD_NAME", "tracecapture_x", "_"].map(spec), &[]));
    all
}

fn node_labels() -> Vec<Case> {
    let spec = |value| format!("{{collector: {{nodeSelector: {{pool: {value}}}}}}}");
    cases(["-a", "a-", "a b", "a/b"].map(spec), &["spec.collector.nodeSelector"])
}

fn overlays() -> Vec<Case> {
    let spec = |setting| format!("{{collector: {{podOverlay: {{spec: {{{setting}}}}}}}}}");
    let forbidden = [
        "hostNetwork: true",
        "hostPID: false",
        "hostIPC: true",
        "serviceAccountName: admin",
        "automountServiceAccountToken: true",
    ];
    cases(forbidden.map(spec), &["spec.collector.podOverlay"])
}

fn replicas() -> Vec<Case> {
    cases(
        ["{collector: {replicas: 2}}", "{collector: {replicas: 2}, storage: {accessModes: [ReadWriteOnce]}}"],
        &["spec.storage.accessModes"],
    )
}

fn claims() -> Vec<Case> {
    let described = |field| format!("{{storage: {{claimName: c, {field}}}}}");
    let below = |path| format!("{{storage: {{claimName: c, subPath: {path}}}}}");
    let fields = ["size: 1Gi", "storageClassName: nfs", "accessModes: [ReadWriteMany]"];
    let mut all = cases(fields.map(described), &["spec.storage.claimName"]);
    all.extend(cases(["/x", "../x", "x/..", "x/../y", "'..'", "/x/"].map(below), &["spec.storage.subPath"]));
    let roundabout = ["'.'", "./x", "x/", "x//y", "x/./y", "x/.", "./"];
    all.extend(cases(roundabout.map(below), &["spec.storage.subPath"]));
    all.extend(cases(["x", "x/y", ".x", "x./y", "...", "x/..y"].map(below), &[]));
    let modes = |modes| format!("{{storage: {{accessModes: [{modes}]}}}}");
    let mixed = ["ReadWriteOncePod, ReadWriteOnce", "ReadWriteMany, ReadWriteOncePod"];
    all.extend(cases(mixed.map(modes), &["spec.storage.accessModes"]));
    all.extend([
        case("{storage: {claimName: Bad_Name}}", &["spec.storage.claimName"]),
        case("{storage: {storageClassName: a..b}}", &["spec.storage.storageClassName"]),
        case("{storage: {subPath: x}}", &["spec.storage.subPath"]),
        case("{storage: {claimName: c, deletionPolicy: Delete}}", &["spec.storage.deletionPolicy"]),
    ]);
    all
}

fn names() -> Vec<Case> {
    let named = |name: String, faults| Case { name, spec: "{}".to_owned(), faults };
    let faulty = ["Checkout".to_owned(), "a.b".to_owned(), "-a".to_owned(), "a-".to_owned(), "x".repeat(64)];
    let mut all: Vec<Case> = faulty.into_iter().map(|name| named(name, &["metadata.name"])).collect();
    all.push(named("x".repeat(63), &[]));
    all
}

fn together() -> Vec<Case> {
    let spec =
        "{chunk: {maxBytes: 1M}, retention: {maxBytes: 4M}, collector: {replicas: 2}, receiver: {maxRequestBytes: 1}}";
    vec![case(spec, &["spec.receiver.maxRequestBytes", "spec.retention.maxBytes", "spec.storage.accessModes"])]
}
