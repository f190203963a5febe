#!/usr/bin/env bash
# Runs a command beside a Redis and a Postgres of its own, and leaves nothing of them behind:
#
#   tests/services.sh COMMAND…    the command's exit code is ours
#   tests/services.sh             says where they are and keeps them until Ctrl-C
#
# The command finds them in TASKLIGHT_TEST_REDIS_URL and TASKLIGHT_TEST_POSTGRES_URL. One that is set already is used as it is, and
# nothing is started in its place. Both servers listen on 127.0.0.1 only, at free ports, with their data in a temporary folder and
# with fsync as in production. TASKLIGHT_TEST_POSTGRES_OPTIONS are further options of the Postgres that is started.
set -euo pipefail

# The server's limit of connections: tests run side by side, and a node may hold dozens.
CONNECTIONS=300
# How often another port is tried when somebody else was faster.
TRIES=5
# How long a server may take to start, in tenths of a second.
PATIENCE=300

need_redis() { [[ -z "${TASKLIGHT_TEST_REDIS_URL:-}" ]]; }
need_postgres() { [[ -z "${TASKLIGHT_TEST_POSTGRES_URL:-}" ]]; }

has_redis() { command -v redis-server >/dev/null; }

# The folder of the newest Postgres server here; a pg_config alone may belong to the client library.
postgres_bin() {
    local bin
    for bin in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) "$(pg_config --bindir 2>/dev/null || true)" \
        "$(dirname "$(command -v postgres || echo /)")"; do
        if [[ -x "$bin/postgres" && -x "$bin/initdb" ]]; then
            echo "$bin"
            return
        fi
    done
    return 1
}

# Debian starts a package's service and makes a database cluster when it installs them; neither is wanted. What runs already stays.
install_packages() {
    local policy=/usr/sbin/policy-rc.d cluster=/etc/postgresql-common/createcluster.d/tasklight-tests.conf
    local forbid=1 package status=0
    export DEBIAN_FRONTEND=noninteractive
    echo "installing $*" >&2
    [[ -e "$policy" ]] && forbid=0
    if [[ "$forbid" == 1 ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    mkdir -p "$(dirname "$cluster")"
    echo 'create_main_cluster = false' >"$cluster"
    { apt-get update && apt-get install -y --no-install-recommends "$@"; } >&2 || status=$?
    rm -f "$cluster"
    [[ "$forbid" == 1 ]] && rm -f "$policy"
    for package in "$@"; do
        # Not at the next boot either.
        if [[ -d /run/systemd/system ]]; then systemctl disable --quiet "$package" || true; fi
    done
    return "$status"
}

# Tests also start servers of their own, which they kill, and certificates: the programs are needed whatever the variables say.
install_missing() {
    local packages=()
    if ! has_redis; then packages+=(redis-server); fi
    if ! postgres_bin >/dev/null; then packages+=(postgresql); fi
    if ! command -v openssl >/dev/null; then packages+=(openssl); fi
    if [[ "${#packages[@]}" == 0 ]]; then return; fi
    if [[ "$(id -u)" == 0 && -e /etc/debian_version ]] && install_packages "${packages[@]}"; then return; fi
    echo "missing: ${packages[*]}. Install it (Debian, Ubuntu: apt-get install --no-install-recommends ${packages[*]}; macOS: brew" >&2
    echo "install redis postgresql openssl)." >&2
    exit 1
}

free_port() {
    local port
    while :; do
        # Below the range from which outgoing connections take theirs.
        port=$((10000 + RANDOM % 20000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
}

start_redis() {
    local port tenths
    mkdir "$folder/redis"
    for ((i = 0; i < TRIES; i++)); do
        port="$(free_port)"
        redis-server --port "$port" --bind 127.0.0.1 --dir "$folder/redis" --save '' --appendonly yes \
            --logfile "$folder/redis.log" >/dev/null &
        redis_pid=$!
        for ((tenths = 0; tenths < PATIENCE; tenths++)); do
            if grep -q 'Ready to accept connections' "$folder/redis.log" 2>/dev/null; then
                export TASKLIGHT_TEST_REDIS_URL="redis://127.0.0.1:$port"
                # Or the shell reports its end.
                disown "$redis_pid"
                return
            fi
            kill -0 "$redis_pid" 2>/dev/null || break
            sleep 0.1
        done
    done
    failed redis
}

# Postgres refuses to run as root.
as_postgres() {
    if [[ "$(id -u)" == 0 ]]; then (cd "$folder" && runuser -u postgres -- "$@"); else "$@"; fi
}

start_postgres() {
    local bin port data="$folder/postgres/data"
    bin="$(postgres_bin)"
    mkdir "$folder/postgres"
    if [[ "$(id -u)" == 0 ]]; then
        chmod 711 "$folder"
        chown postgres "$folder/postgres"
    fi
    # Nobody needs the empty cluster to survive a power cut; from then on fsync is on, as it is by default.
    as_postgres "$bin/initdb" --no-sync --auth=trust --username=postgres --encoding=UTF8 --locale=C -D "$data" \
        >"$folder/initdb.log" 2>&1 || failed initdb
    rm "$folder/initdb.log"
    for ((i = 0; i < TRIES; i++)); do
        port="$(free_port)"
        if as_postgres "$bin/pg_ctl" start --silent --wait --timeout=30 -D "$data" -l "$folder/postgres/postgres.log" \
            -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=$CONNECTIONS ${TASKLIGHT_TEST_POSTGRES_OPTIONS:-}" \
            >"$folder/pg_ctl.log" 2>&1; then
            export TASKLIGHT_TEST_POSTGRES_URL="postgres://postgres@127.0.0.1:$port/postgres"
            return
        fi
    done
    failed postgres/postgres
}

failed() {
    echo "$1 does not start" >&2
    exit 1
}

# Ends a server: its data is of no use to anybody, so it need not take its time.
stop() {
    local pid="$1" signal="$2"
    kill "-$signal" "$pid" 2>/dev/null || return 0
    for ((i = 0; i < 100; i++)); do
        kill -0 "$pid" 2>/dev/null || return 0
        # What nobody has reaped yet has ended as well.
        if grep -qs '^State:.Z' "/proc/$pid/status"; then return 0; fi
        sleep 0.05
    done
    kill -KILL "$pid" 2>/dev/null || true
}

clean_up() {
    local code=$? log
    trap '' INT TERM HUP
    if [[ -n "$redis_pid" ]]; then stop "$redis_pid" KILL; fi
    if [[ -e "$folder/postgres/data/postmaster.pid" ]]; then stop "$(head -n 1 "$folder/postgres/data/postmaster.pid")" QUIT; fi
    if [[ "$code" != 0 && "$code" != 130 ]]; then
        for log in "$folder"/*.log "$folder"/postgres/*.log; do
            if [[ -s "$log" ]]; then printf '\n==> the end of %s\n%s\n' "${log##*/}" "$(tail -n 20 "$log")" >&2; fi
        done
    fi
    rm -rf "$folder"
    exit "$code"
}

# Runs the command in a process group of its own, so that what we are told (by Ctrl-C, or by whoever ends us) it is told at once, and
# the servers outlive it.
run() {
    local before="$!" code
    trap 'pass_on INT "$before"' INT
    trap 'pass_on TERM "$before"' TERM HUP
    set -m
    "$@" <&0 &
    set +m
    while :; do
        wait "$!" && code=0 || code=$?
        kill -0 "$!" 2>/dev/null || break
    done
    return "$code"
}

pass_on() {
    if [[ "$!" == "$2" ]]; then exit 130; fi
    kill "-$1" -- "-$!" 2>/dev/null || true
}

install_missing
folder="$(mktemp -d "${TMPDIR:-/tmp}/tasklight-services.XXXXXX")"
redis_pid=""
trap clean_up EXIT
# With these, a signal waits until what is being started has started.
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if need_redis; then start_redis; fi
if need_postgres; then start_postgres; fi

if [[ "$#" == 0 ]]; then
    echo "export TASKLIGHT_TEST_REDIS_URL=$TASKLIGHT_TEST_REDIS_URL"
    echo "export TASKLIGHT_TEST_POSTGRES_URL=$TASKLIGHT_TEST_POSTGRES_URL"
    echo "Both run until Ctrl-C." >&2
    set -- tail -f /dev/null
fi
run "$@"
