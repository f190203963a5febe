#!/usr/bin/env bash
# An agent with nothing but redis-cli: runs a command and publishes its output, line by line, and how it ended.
#
#   tasklight serve --store postgres://… --broker redis://127.0.0.1:6379      (or SQLite: one hub is enough)
#   docs/examples/shell/agent.sh my-task make -j4
#
# REDIS names the server (redis-cli -u), PREFIX what the hubs' names begin with (their broker.prefix).
#
# What it relies on: PUBLISH answers how many heard it. 0 means that no hub has taken it: the task is announced, and it is published again.
# Every activity has an eventId, so that what was taken twice is stored once.
set -euo pipefail

REDIS="${REDIS:-redis://127.0.0.1:6379}"
PREFIX="${PREFIX:-tasklight:}"
TRIES=100

if [[ $# -lt 2 ]]; then
    echo "usage: $0 TASK COMMAND…" >&2
    exit 2
fi
task="$1"
shift
invocation="run-$(date +%s)-$$"

redis() { redis-cli -u "$REDIS" --no-auth-warning "$@"; }

# A text as a JSON string. Control characters but tabs are left out: a terminal would act on them.
quoted() {
    local text="$1"
    text="${text//\\/\\\\}"
    text="${text//\"/\\\"}"
    text="${text//$'\t'/\\t}"
    printf '"%s"' "$(printf '%s' "$text" | tr -d '\000-\037')"
}

uuid() {
    if [[ -r /proc/sys/kernel/random/uuid ]]; then cat /proc/sys/kernel/random/uuid; else uuidgen; fi
}

# publish TYPE DATA: until a hub has it.
publish() {
    local activity heard try
    activity="{\"invocationId\":\"$invocation\",\"eventId\":\"$(uuid)\",\"type\":\"$1\",\"data\":$2}"
    for ((try = 1; try <= TRIES; try++)); do
        heard="$(redis PUBLISH "${PREFIX}task:$task" "$activity")"
        if [[ "$heard" -gt 0 ]]; then return; fi
        redis PUBLISH "${PREFIX}tasks" "{\"taskId\":\"$task\"}" >/dev/null
        sleep 0.1
    done
    echo "no hub listens on $REDIS under $PREFIX" >&2
    return 1
}

# The command, each line of its output behind the name of its stream; its exit code is kept in a file.
tagged() {
    {
        {
            { "$@" 2>&3 3>&- && echo 0 >"$folder/code" || echo "$?" >"$folder/code"; } | awk '{print "stdout " $0; fflush()}' >&4
        } 3>&1 | awk '{print "stderr " $0; fflush()}'
    } 4>&1
}

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
publish status "{\"status\":\"running\",\"agent\":\"shell\",\"title\":$(quoted "$*")}"
tagged "$@" | while IFS= read -r line; do
    stream="${line%% *}"
    text="$(quoted "${line#* }")"
    publish output "{\"stream\":\"$stream\",\"text\":${text%\"}\\n\"}"
    if [[ "$stream" == stderr ]]; then printf '%s\n' "${line#* }" >&2; else printf '%s\n' "${line#* }"; fi
done
code="$(cat "$folder/code")"
if [[ "$code" == 0 ]]; then
    publish status '{"status":"completed","exitCode":0}'
else
    publish status "{\"status\":\"failed\",\"exitCode\":$code,\"reason\":\"exit code $code\"}"
fi
exit "$code"
