# What both cluster tiers need: the build, processes known by pid, certificates. Sourced, never run.
# shellcheck shell=bash

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=$root/target/cluster
bin=$target/bin

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Takes pairs of a program and the Debian package that has it; names every missing package at once.
need() {
    local entry missing=()
    for entry in "$@"; do
        command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
    done
    [[ ${#missing[@]} == 0 ]] || fail "programs are missing: apt-get install $(printf '%s\n' "${missing[@]}" | sort -u | xargs)"
}

# Repeats a command until it succeeds; fails when it has not within the given seconds.
within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

# --- the build ------------------------------------------------------------------------------

programs=(etcd kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl kubelet)

# go_build NAME FLAGS: makes target/cluster/bin/NAME of the Go module in the folder NAME beside this file, unless it
# was made of the same sources. Runs at the same time wait for one build.
go_build() {
    local name=$1 flags=$2 sources
    sources=$(cat "$here/$name"/* - <<<"$flags" | sha256sum)
    mkdir -p "$bin"
    (
        flock 9
        [[ "$(cat "$bin/$name.sources" 2>/dev/null || true)" != "$sources" ]] || exit 0
        command -v go >/dev/null || fail "go is missing: install Go 1.26 or later"
        echo "building $name: minutes the first time" >&2
        cd "$here/$name" || exit
        CGO_ENABLED=0 go build -buildvcs=false -ldflags "$flags" -o "$bin/$name.new" .
        # Renamed, because a running cluster may hold the old binary.
        mv "$bin/$name.new" "$bin/$name"
        printf '%s\n' "$sources" >"$bin/$name.sources"
    ) 9>"$target/build.lock"
}

# All of Kubernetes is one binary; its programs are links to it.
build_kubernetes() {
    local package=k8s.io/component-base/version version minor program
    version=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "$here/kubernetes/go.mod")
    minor=${version#v1.}
    go_build kubernetes "-s -w -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
    for program in "${programs[@]}"; do
        [[ -e $bin/$program ]] || ln -sfn kubernetes "$bin/$program"
    done
}

# --- processes ------------------------------------------------------------------------------
#
# DIR/pids/NAME holds a pid and when that process began, in clock ticks since boot: a pid alone may
# be somebody else's by the time it is read.

# What comes before the program: a session of its own, which no Ctrl-C at the terminal reaches.
prefix=(setsid)

# Prints when a process began; fails when it is gone. A zombie is gone: it only waits for its parent.
began_at() {
    local stat fields
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    # The program's name, in parentheses, may hold anything.
    read -ra fields <<<"${stat##*) }"
    # It may end between the opening and the reading, then there is nothing to read.
    [[ ${fields[0]:-Z} != [ZX] ]] && printf '%s' "${fields[19]}"
}

# Tells whether a pid is still the process that began then.
is_running() {
    local began
    began=$(began_at "$1") && [[ $began == "$2" ]]
}

is_gone() { ! is_running "$@"; }

# start DIR NAME COMMAND...: runs a command in the background, in DIR, with its output in DIR/logs/NAME.
start() {
    local dir=$1 name=$2 pid
    shift 2
    mkdir -p "$dir/pids" "$dir/logs"
    (
        cd "$dir" || exit
        # The process writes its own pid before it becomes the program: this script, killed at any
        # instant, leaves none behind that `stop` does not know.
        pid=$BASHPID
        printf '%s %s\n' "$pid" "$(began_at "$pid")" >"pids/$name"
        exec "${prefix[@]}" "$@" </dev/null >>"logs/$name" 2>&1
    ) &
    # Nobody waits for it, and nothing is printed when it ends.
    disown
    within 60 test -s "$dir/pids/$name" || fail "$name did not start"
}

# Tells whether the process that `start` began is still there.
is_up() {
    local pid began
    read -r pid began 2>/dev/null <"$1/pids/$2" && is_running "$pid" "$began"
}

# stop DIR NAME [SIGNAL...]: ends what `start` began and nothing else; asks first, insists after 10 s.
stop() {
    local pid began signal seconds signals=(TERM KILL)
    [[ $# == 2 ]] || signals=("${@:3}")
    read -r pid began 2>/dev/null <"$1/pids/$2" || return 0
    for signal in "${signals[@]}"; do
        is_running "$pid" "$began" || return 0
        kill -s "$signal" "$pid" 2>/dev/null || true
        # What is killed ends as soon as the kernel has taken it down, with all that is in its namespaces.
        [[ $signal == KILL ]] && seconds=120 || seconds=10
        # The 0 matters: in a trap, `return` alone gives the status from before the trap.
        if within "$seconds" is_gone "$pid" "$began"; then
            return 0
        fi
    done
    fail "cannot end $2, process $pid"
}

# --- certificates ---------------------------------------------------------------------------

certificate() {
    # No section of the system's configuration adds extensions of its own.
    openssl req -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') -x509 -days 365 -nodes \
        -newkey ec -pkeyopt ec_paramgen_curve:P-256 "$@" 2>/dev/null
}

# create_ca PKI NAME: a certificate authority, NAME.crt and NAME.key in the folder PKI.
create_ca() {
    certificate -keyout "$1/$2.key" -out "$1/$2.crt" -subj "/CN=$2" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

# issue PKI CA NAME SUBJECT USAGE [ADDRESSES]: a certificate of CA; USAGE is serverAuth or clientAuth.
issue() {
    certificate -CA "$1/$2.crt" -CAkey "$1/$2.key" -keyout "$1/$3.key" -out "$1/$3.crt" -subj "$4" \
        -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
        -addext "extendedKeyUsage=$5" ${6:+-addext "subjectAltName=$6"}
}

# kubeconfig PKI NAME SERVER: prints how to reach SERVER as the holder of the certificate NAME.
kubeconfig() {
    cat <<YAML
apiVersion: v1
kind: Config
current-context: $2
clusters:
- name: test
  cluster:
    server: $3
    certificate-authority-data: $(base64 -w0 "$1/ca.crt")
contexts:
- name: $2
  context: {cluster: test, user: $2}
users:
- name: $2
  user:
    client-certificate-data: $(base64 -w0 "$1/$2.crt")
    client-key-data: $(base64 -w0 "$1/$2.key")
YAML
}
