# What the scripts of this folder share: the binary, and a demo server of it with a folder of its own. Sourced by them,
# at the root of the tree. JHE_BIN names a binary to run as it is; without it one is built.

. scripts/lib.sh
need_tools
if [ -z "${JHE_BIN:-}" ]; then
    cargo build --quiet -p jhe-server
    JHE_BIN=target/debug/jhe
fi

data=
server=

# Starts a server on a free port: JHE_URL says where it is, `data` is its folder.
start_demo() {
    local port
    port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
    data="$(mktemp -d)"
    env -u DATABASE_URL "$JHE_BIN" demo --port "$port" --data-dir "$data" >"$data.log" 2>&1 &
    server=$!
    for _ in $(seq 120); do
        grep -q "^Serving until" "$data.log" && break
        kill -0 "$server" 2>/dev/null || { cat "$data.log" >&2; exit 1; }
        sleep 0.5
    done
    export JHE_URL="http://localhost:$port"
}

stop_demo() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; } || true
    [ -z "$data" ] || rm -rf "$data" "$data.log" "$data.report"
    server=
}
trap stop_demo EXIT
