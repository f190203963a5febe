#!/usr/bin/env bash
# A build as a CI service runs it: one task for the build, an invocation for each step, the steps of two jobs side by side.
#
#   docs/examples/build/build.sh                 the task is build-local
#   BUILD=build-42 docs/examples/build/build.sh
#
# Needs the tasklight program in PATH, or named by TASKLIGHT; TASKLIGHT_HUB names the hub. workflow.yml runs it in GitHub Actions.
# A build goes on when the hub is away: `tasklight run` exits as its command did, whatever becomes of what it recorded.
set -euo pipefail

TASKLIGHT="${TASKLIGHT:-tasklight}"
BUILD="${BUILD:-build-local}"
# A build that is started again has steps of their own.
ATTEMPT="${ATTEMPT:-$(date +%s)}"

# step NAME COMMAND…: one step, as an invocation that is named after it.
step() {
    local name="$1" code=0
    shift
    echo "::group::$name"
    "$TASKLIGHT" run --quiet --task "$BUILD" --invocation "$name-$ATTEMPT" --agent ci --title "$name" -- "$@" || code=$?
    echo "::endgroup::"
    return "$code"
}

# note TYPE DATA: about the build as a whole.
note() {
    "$TASKLIGHT" publish "$BUILD" --invocation "build-$ATTEMPT" --type "$1" --data "$2" >/dev/null || true
}

lint() {
    step lint bash -c 'for file in a b c; do printf "\033[2mchecking\033[0m %s.rs\n" "$file"; done'
}

tests() {
    # Inside of a step the command can add to its own invocation.
    step test bash -c '
        for n in 1 2 3 4; do
            printf "test case_%d ... \033[32mok\033[0m\n" "$n"
            "$0" publish "$TASKLIGHT_TASK" --type progress --data "{\"current\":$n,\"total\":4}" >/dev/null || true
        done' "$TASKLIGHT"
}

package() {
    step package bash -c 'echo "packing 3 files"; if [ -n "${BREAK:-}" ]; then echo "disk full" >&2; exit 3; fi'
}

note status '{"status":"running","agent":"ci","title":"Build and test"}'
result=0
lint &
first=$!
tests &
second=$!
wait "$first" || result=$?
wait "$second" || result=$?
if [[ "$result" == 0 ]]; then package || result=$?; fi
if [[ "$result" == 0 ]]; then
    note status '{"status":"completed","exitCode":0}'
else
    note status "{\"status\":\"failed\",\"exitCode\":$result,\"reason\":\"a step failed\"}"
fi
exit "$result"
