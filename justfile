# The daily commands; `just` lists them.

# Lists the recipes.
default:
    @just --list --unsorted

# Formats the sources.
fmt:
    cargo fmt

# What clippy and the documentation build find.
lint:
    cargo clippy --all-targets -- -D warnings
    cargo clippy --test cluster --test chart --test nodes -- -D warnings
    RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --lib

# Every test that needs neither a cluster nor other software.
test:
    cargo test

# kill -9 at random instants, with what was counted.
crash:
    cargo test --test crash_kill -- --nocapture

# SDKs, curl, tar, zstd and the Collector's reader against the release binary.
interop:
    tests/interop/run

# Tiny, full and read-only file systems under the release binary, where mounting is allowed.
volumes:
    tests/interop/volumes

# The operator, its rights and the resource definition against a real API server, or the cluster of KUBECONFIG.
cluster *args:
    tests/cluster/run {{ args }}

# The whole product on a cluster with a node: image, chart, applications, pods that die, disks that fill up (as root).
nodes *args:
    tests/nodes/run {{ args }}

# The performance figures of this machine; workloads such as `B1 B4`, default all.
load *workloads:
    benches/run-load {{ workloads }}

# Memory of the gateway under ten downloads of a gigabyte and 200 slow readers; a gigabyte that is cut 20 times.
gateway:
    benches/run-gateway

# Fuzzes `otlp_protobuf`, `otlp_json` or `archive` (needs a nightly compiler and cargo-fuzz).
fuzz target seconds="300":
    fuzz/run {{ target }} {{ seconds }}

# Writes the custom resource definition anew, here and in the chart.
crd:
    cargo run --quiet -- crd > target/tracecaptures.yaml
    cp target/tracecaptures.yaml charts/tracecapture/files/crd.yaml
    mv target/tracecaptures.yaml crds/tracecaptures.yaml

# Writes what the chart has from elsewhere anew, and its README, then lints, renders and reads back the chart and `config/`.
chart:
    charts/readme > target/chart-readme.md
    mv target/chart-readme.md charts/tracecapture/README.md
    for file in charts/tracecapture/files/rbac/*; do cp "config/rbac/${file##*/}" "$file"; done
    cp crds/tracecaptures.yaml charts/tracecapture/files/crd.yaml
    tests/chart/run

# The image as an OCI archive, without a container runtime.
image binary="target/release/tracecapture":
    image/build {{ binary }} target/image.tar

# Writes the documentation of conditions anew.
conditions:
    cargo run --quiet --example docs > target/conditions.md
    mkdir -p docs
    mv target/conditions.md docs/conditions.md

# Writes the reference of the resource anew.
resource:
    cargo run --quiet --example resource > target/resource.md
    mv target/resource.md docs/resource.md

# Licences, duplicates and advisories of the dependencies (needs cargo-deny).
deny:
    cargo deny check

# Exactly what CI runs.
check:
    bash .ci/run
