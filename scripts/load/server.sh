# What the scripts of this directory share; sourced by them. Starts a release build on a free port of the loopback,
# with a database in a directory that goes away at the end.

token=$(printf '%-43s' load | tr ' ' A)
work=
server=

# start_server ARGUMENT...: sets $server (the pid) and $url. $before holds a command to start it with, such as taskset.
start_server() {
    local binary=${OCTOSTORE_BINARY:-}
    if [[ -z $binary ]]; then
        cargo build --release --locked --quiet
        binary=${CARGO_TARGET_DIR:-target}/release/octostore
    fi
    work=$(mktemp -d)
    trap stop_server EXIT
    : >"$work/log" # it is read before the server has begun
    env -i PATH="$PATH" STATIC_TOKENS="load:$token" ${before:-} "$binary" serve --bind 127.0.0.1:0 \
        --database "$work/octostore.db" "$@" >"$work/out" 2>"$work/log" &
    server=$!
    local i
    for ((i = 0; i < 200; i++)); do
        url=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$work/log")
        [[ -z $url ]] || return 0
        sleep 0.05
    done
    cat "$work/log" >&2
    return 1
}

stop_server() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        server=
    fi
    [[ -z $work ]] || rm -rf "$work"
}

# Memory of the server, in MiB.
memory() {
    awk '/^VmRSS/ { printf "%.0f", $2 / 1024 }' "/proc/$server/status"
}

driver_of_server() {
    grep -o 'driver=[a-z_]*' "$work/log" | cut -d= -f2
}
