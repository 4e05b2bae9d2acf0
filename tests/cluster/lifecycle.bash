# What both cluster tiers do alike with the folder of a cluster, and with their command line. Sourced last, never run.
#
# A tier has the functions `prepare` (programs), `up DIR`, `down DIR` (ends it, leaves DIR/logs), `run_in DIR COMMAND...`,
# and the variable `marker`: the name of a file by which `up` knows a folder as its own.
# shellcheck shell=bash disable=SC2154

# Takes a folder that is new, empty or an earlier run's, and ends what is left of that run.
claim() {
    if [[ -d $1 && ! -e $1/$marker && -n $(ls -A "$1") ]]; then
        fail "$1 holds other files: name a new or an empty folder"
    fi
    mkdir -p "$1"
    # It will hold keys, and a socket that asks for none.
    chmod 700 "$1"
    touch "$1/$marker"
    down "$1"
    rm -rf "$1/logs"
}

run_with_cluster() {
    if [[ -n ${KUBECONFIG:-} ]]; then
        echo "using the cluster of KUBECONFIG=$KUBECONFIG" >&2
        exec "$@"
    fi
    need setpriv:util-linux
    discard_dead_runs
    # Killed in mid-run, this script takes the cluster with it.
    prefix+=(setpriv --pdeathsig KILL)
    run=$target/run/$$-$(began_at $$)
    trap finish EXIT
    claim "$run"
    up "$run"
    run_in "$run" "$@"
}

# However the command ended: the cluster ends, and its logs stay if something went wrong.
finish() {
    local status=$? logs=$target/logs/${run##*/}
    if [[ $status != 0 && -d $run/logs ]]; then
        mkdir -p "$target/logs"
        rm -rf "$logs"
        cp -r "$run/logs" "$logs"
        echo "logs of the cluster: $logs" >&2
    fi
    discard "$run"
    exit "$status"
}

# A run that was killed leaves its folder, which bears the pid and the start of its script.
discard_dead_runs() {
    local dir name
    for dir in "$target"/run/*; do
        name=${dir##*/}
        [[ ! -e $dir/$marker ]] || is_running "${name%-*}" "${name#*-}" || discard "$dir"
    done
}

# Two runs may discard the same folder at the same time; another user's stays.
discard() {
    [[ ! -e $1/$marker ]] || down "$1"
    rm -rf "$1" 2>/dev/null || true
}

misuse() {
    usage >&2
    exit 2
}

# The command line: `up DIR`, `down DIR`, `exec [--] COMMAND...`, `build`, `help`.
main() {
    local command=${1:-}
    [[ $# == 0 ]] || shift
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    case $command in
        up)
            [[ $# == 1 ]] || misuse
            run=$1
            claim "$run"
            trap 'down "$run"' EXIT
            up "$run"
            trap - EXIT
            how_to_use "$(cd "$run" && pwd)"
            ;;
        down)
            [[ $# == 1 ]] || misuse
            down "$1"
            ;;
        exec)
            [[ ${1:-} != -- ]] || shift
            [[ $# != 0 ]] || misuse
            run_with_cluster "$@"
            ;;
        build)
            [[ $# == 0 ]] || misuse
            prepare
            ;;
        help | -h | --help) usage ;;
        *) misuse ;;
    esac
}
