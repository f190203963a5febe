#!/usr/bin/env bash
# Where a hub's heap goes: a short soak whose hubs run under Debian's heaptrack, and what it says of them.
#
#   HEAP_MINUTES=4 bash tests/services.sh bash loadtest/heap.sh FOLDER
#
# FOLDER gets a file for each hub, for `heaptrack_print` and `heaptrack_gui`. TASKLIGHT_BIN is the hub (target/release/tasklight), LOADTEST_BIN the load
# (target/release/tasklight-loadtest). Everything is slower by a factor then, so that nothing is judged but the heap.
set -euo pipefail

# What the soak starts in a hub's place: the hub itself, with heaptrack's library in it.
if [[ -n "${HEAP_HUB:-}" ]]; then
    # Of one-time commands, such as migrations, nobody wants to know.
    if [[ "${1:-}" == serve ]]; then
        export DUMP_HEAPTRACK_OUTPUT="$HEAP_FOLDER/hub.$$.raw" LD_PRELOAD=/usr/lib/heaptrack/libheaptrack_preload.so
    fi
    exec "$HEAP_HUB" "$@"
fi

folder="$(realpath "${1:?a folder}")"
mkdir -p "$folder"
hub="$(realpath "${TASKLIGHT_BIN:-target/release/tasklight}")"
load="$(realpath "${LOADTEST_BIN:-target/release/tasklight-loadtest}")"
command -v heaptrack_print >/dev/null || { echo "missing: heaptrack (Debian: apt-get install heaptrack)" >&2; exit 1; }

# That tables have not come to their size in minutes is no matter here.
HEAP_FOLDER="$folder" HEAP_HUB="$hub" "$load" --hub-binary "$(realpath "$0")" soak --minutes "${HEAP_MINUTES:-4}" --csv "$folder/soak.csv" || true
for raw in "$folder"/hub.*.raw; do
    /usr/lib/heaptrack/libexec/heaptrack_interpret <"$raw" | gzip >"${raw%.raw}.gz"
    rm "$raw"
    heaptrack_print -f "${raw%.raw}.gz" --print-peaks 1 --print-leaks 1 --print-allocators 0 --print-temporary 0 --peak-limit 20 >"${raw%.raw}.txt"
    tail -n 5 "${raw%.raw}.txt"
done
