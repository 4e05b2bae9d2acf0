# What both cluster tiers start the same way: credentials, etcd, the API server, the controllers. Sourced after
# `common.bash`, never run. A tier sets `components`, in the order in which they are ended, and `advertised`.
# shellcheck shell=bash disable=SC2154

# Seconds until something is ready that starts; the API server takes about 10 on two busy cores.
readiness_deadline=600
# 198.18.0.0/15 is reserved for tests of networks (RFC 2544): no real host has an address in it.
service_range=198.18.0.0/16
kubernetes_service=198.18.0.1

create_control_plane_credentials() {
    mkdir -p "$1"
    create_ca "$1" ca
    issue "$1" ca kube-apiserver /CN=kube-apiserver serverAuth "IP:127.0.0.1,IP:$advertised,IP:$kubernetes_service,\
DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
    issue "$1" ca admin /O=system:masters/CN=admin clientAuth
    issue "$1" ca kube-controller-manager /CN=system:kube-controller-manager clientAuth
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1/service-accounts.key"
    openssl pkey -in "$1/service-accounts.key" -pubout -out "$1/service-accounts.pub"
}

# Sockets in DIR instead of ports: no other user of the machine reaches them. The paths are relative,
# because the path of a socket has at most 107 bytes. etcd insists on the form of a port.
start_etcd() {
    start "$1" etcd "$bin/etcd" --name=test --data-dir=etcd --log-level=warn --unsafe-no-fsync \
        --listen-client-urls=unix://etcd.sock:0 --advertise-client-urls=unix://etcd.sock:0 \
        --listen-peer-urls=unix://peer.sock:0 --initial-advertise-peer-urls=unix://peer.sock:0 \
        --initial-cluster=test=unix://peer.sock:0
    # Before that, the API server's attempts would begin to back off.
    wait_for "$1" test -S "$1/etcd.sock:0"
}

# start_apiserver_at DIR ADDRESS PORT [FLAG...]: starts it, and writes DIR/kubeconfig of the administrator.
start_apiserver_at() {
    local dir=$1 address=$2 port=$3
    shift 3
    kubeconfig "$dir/pki" admin "https://$address:$port" >"$dir/kubeconfig"
    start "$dir" kube-apiserver "$bin/kube-apiserver" \
        --bind-address="$address" --secure-port="$port" --advertise-address="$advertised" \
        --etcd-servers=unix://etcd.sock:0 \
        --service-cluster-ip-range="$service_range" \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement --allow-privileged \
        --audit-policy-file="$here/audit.yaml" --audit-log-path=logs/audit \
        --client-ca-file=pki/ca.crt \
        --tls-cert-file=pki/kube-apiserver.crt --tls-private-key-file=pki/kube-apiserver.key \
        --service-account-issuer=https://kubernetes.default.svc.cluster.local \
        --service-account-key-file=pki/service-accounts.pub \
        --service-account-signing-key-file=pki/service-accounts.key "$@"
}

# start_controller_manager DIR SERVER [FLAG...]
start_controller_manager() {
    local dir=$1
    kubeconfig "$dir/pki" kube-controller-manager "$2" >"$dir/controller-manager.kubeconfig"
    shift 2
    start "$dir" kube-controller-manager "$bin/kube-controller-manager" \
        --kubeconfig=controller-manager.kubeconfig --secure-port=0 --leader-elect=false \
        --use-service-account-credentials --root-ca-file=pki/ca.crt \
        --service-account-private-key-file=pki/service-accounts.key \
        --service-cluster-ip-range="$service_range" \
        --cluster-signing-cert-file=pki/ca.crt --cluster-signing-key-file=pki/ca.key "$@"
}

kubectl_in() {
    local dir=$1
    shift
    "$bin/kubectl" --kubeconfig "$dir/kubeconfig" --request-timeout=5s "$@" >/dev/null 2>&1
}

# wait_for DIR COMMAND...: until the command succeeds; shows the logs if a process ends or the deadline passes.
wait_for() {
    local dir=$1 name
    shift
    within "$readiness_deadline" succeeds_or_ended "$dir" "$@" || true
    if "$@"; then
        return 0
    fi
    for name in "${components[@]}"; do
        printf -- '--- %s\n' "$name" >&2
        tail -n 10 "$dir/logs/$name" >&2 2>/dev/null || true
    done
    fail "the cluster in $dir did not become ready: $*"
}

succeeds_or_ended() {
    local dir=$1 file
    shift
    for file in "$dir"/pids/*; do
        is_up "$dir" "${file##*/}" || return 0
    done
    "$@"
}
