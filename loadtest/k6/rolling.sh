#!/usr/bin/env bash
# Three hubs on one Postgres and one Redis, viewers with bad connections (jitter.js), and in the middle of it each hub restarted in turn. Fails
# if anything was lost, repeated or out of order, if one in a hundred took longer than RESUME_MS to be live again, or if more than a tenth of those that a stopping
# hub sent away came back within the same half second.
#
#   bash tests/services.sh bash loadtest/k6/rolling.sh      needs TASKLIGHT_BIN and TASKLIGHT_K6
#   VUS=20 SOCKETS=100 RATE=10 RUN_SECONDS=90 RESUME_MS=2000
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

: "${TASKLIGHT_TEST_REDIS_URL:?run me beside tests/services.sh}" "${TASKLIGHT_TEST_POSTGRES_URL:?run me beside tests/services.sh}"
: "${TASKLIGHT_BIN:?the path of the tasklight program}" "${TASKLIGHT_K6:?the path of k6}"
export RUN_SECONDS="${RUN_SECONDS:-90}" VUS="${VUS:-20}" SOCKETS="${SOCKETS:-100}" RATE="${RATE:-10}"
# How long a hub may take to be ready, and to stop, in tenths of a second.
PATIENCE=400
# How long all is left alone before the first restart, in seconds.
QUIET=15
# From one stop to the next, in seconds: until those who were sent away are back (session.drain_spread and session.reconnect_window), as a
# deployment's minReadySeconds sees to it.
APART=11
# The most of those sent away that may come back within half a second, in hundredths, and the fewest for whom that can be said.
CROWD=10
FEW=100

bin="$(realpath "$TASKLIGHT_BIN")"
folder="$(mktemp -d "${TMPDIR:-/tmp}/tasklight-rolling.XXXXXX")"
declare -a hubs=("" "" "") ports=() admins=()
k6_pid=""

# shellcheck source=loadtest/k6/ports.sh
source loadtest/k6/ports.sh

ended() { ! kill -0 "$1" 2>/dev/null; }

# Waits for a process of ours to end, in tenths of a second.
await_end() {
    local tenths
    for ((tenths = 0; tenths < PATIENCE; tenths++)); do
        if ended "$1"; then return 0; fi
        sleep 0.1
    done
    return 1
}

clean_up() {
    local code=$? pid
    trap '' INT TERM HUP
    for pid in "$k6_pid" "${hubs[@]}"; do
        [[ -n "$pid" ]] || continue
        kill -TERM "$pid" 2>/dev/null || continue
        await_end "$pid" || kill -KILL "$pid" 2>/dev/null || true
    done
    if [[ "$code" != 0 ]]; then tail -n 5 "$folder"/hub-*.log >&2 || true; fi
    rm -rf "$folder"
    exit "$code"
}

start_hub() {
    local number="$1" tenths
    (cd "$folder" && TASKLIGHT__BROKER__PREFIX=rolling: TASKLIGHT__LIMITS__CONNECTIONS_PER_ADDRESS=0 \
        exec "$bin" serve --listen "127.0.0.1:${ports[number]}" --admin-listen "127.0.0.1:${admins[number]}" \
        --store "$TASKLIGHT_TEST_POSTGRES_URL" --broker "$TASKLIGHT_TEST_REDIS_URL") >>"$folder/hub-$number.log" 2>&1 &
    hubs[number]=$!
    disown "${hubs[number]}"
    for ((tenths = 0; tenths < PATIENCE; tenths++)); do
        if is_ready "${admins[number]}"; then return; fi
        if ended "${hubs[number]}"; then break; fi
        sleep 0.1
    done
    echo "hub $number does not start" >&2
    exit 1
}

# Of the returns between two moments, in milliseconds: how many there were, and the most within half a second.
crowd() {
    sed -n 's/.*returns \([0-9]*\).*/\1/p' "$folder/returns" | sort -n | awk -v from="$1" -v to="$2" '
        from <= $1 && $1 < to { at[n++] = $1 }
        END { for (i = j = 0; i < n; i++) { while (500 <= at[i] - at[j]) j++; if (most < i - j + 1) most = i - j + 1 } print n + 0, most + 0 }'
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
for number in 0 1 2; do
    ports[number]="$(free_port)"
    admins[number]="$(free_port)"
    start_hub "$number"
done
K6_HUB="$(printf 'http://127.0.0.1:%s,' "${ports[@]}")"
export K6_HUB="${K6_HUB%,}" LOG_RETURNS=1 DROPPED="${DROPPED:-1000000}"
touch "$folder/returns"
"$TASKLIGHT_K6" run --quiet --no-usage-report --console-output "$folder/returns" loadtest/k6/jitter.js <&0 &
k6_pid=$!
sleep "$QUIET"
declare -a moments=()
for number in 0 1 2; do
    moments+=("$(date +%s%3N)")
    kill -TERM "${hubs[number]}"
    await_end "${hubs[number]}" || { echo "hub $number does not stop" >&2; exit 1; }
    start_hub "$number"
    took=$(($(date +%s%3N) - moments[number]))
    echo "hub $number was restarted in $((took / 100)) tenths of a second"
    if ((took < APART * 1000)); then sleep "$(((APART * 1000 - took) / 1000 + 1))"; fi
done
moments+=("$(date +%s%3N)")
failed=0
wait "$k6_pid" || failed=1
k6_pid=""
for number in 0 1 2; do
    read -r returned most < <(crowd "${moments[number]}" "${moments[number + 1]}")
    echo "hub $number: $returned viewers were sent away and came back, $most of them within the fullest half second"
    if ((FEW <= returned && returned * CROWD < most * 100)); then
        echo "that is more than $CROWD in a hundred" >&2
        failed=1
    fi
    if ((returned == 0)); then
        echo "nobody was sent away by hub $number: nothing was measured" >&2
        failed=1
    fi
done
exit "$failed"
