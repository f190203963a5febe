#!/usr/bin/env bash
# Feeds every parser of bytes from outside by chance, FUZZ_SECONDS (60) each, from the seeds in fuzz/seeds and what earlier runs have found in fuzz/corpus:
#
#   fuzz/run.sh             all of them
#   fuzz/run.sh hooks ...   these
#
# What makes one fail is left in fuzz/artifacts and belongs into fuzz/seeds, where tests/it/fuzz_seeds.rs runs it for ever after.
set -uo pipefail
cd "$(dirname "$0")"

# The most memory that a parser may take, the longest input, and the longest time for one.
MEMORY_MIB=1024
INPUT_BYTES=65536
INPUT_SECONDS=10

seconds="${FUZZ_SECONDS:-60}"
parsers=("$@")
[[ "${#parsers[@]}" == 0 ]] && for folder in seeds/*/; do parsers+=("$(basename "$folder")"); done

if ! command -v cargo-fuzz >/dev/null; then
    echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked" >&2
    exit 1
fi
# Instrumentation is not stable yet; with this the stable compiler does it, too.
export RUSTC_BOOTSTRAP=1
cargo fuzz build || exit 1
host="$(rustc -vV | sed -n 's/^host: //p')"
program="target/$host/release/parser"

failed=()
rows=()
for name in "${parsers[@]}"; do
    mkdir -p "corpus/$name" "artifacts/$name"
    log="artifacts/$name/last.log"
    TASKLIGHT_FUZZ_TARGET="$name" "$program" "corpus/$name" "seeds/$name" -max_total_time="$seconds" -rss_limit_mb="$MEMORY_MIB" \
        -max_len="$INPUT_BYTES" -timeout="$INPUT_SECONDS" -artifact_prefix="artifacts/$name/" -print_final_stats=1 >"$log" 2>&1
    code=$?
    figure() { grep -o "stat::$1: *[0-9]*" "$log" | grep -o '[0-9]*$' || echo '?'; }
    covered="$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | grep -o '[0-9]*' || echo '?')"
    verdict=ok
    if [[ "$code" != 0 ]]; then
        verdict="FAILED, see fuzz/$log"
        failed+=("$name")
    fi
    rows+=("$(printf '%-12s %10s %8s %6s  %s' "$name" "$(figure number_of_executed_units)" "$covered" "$(figure peak_rss_mb)" "$verdict")")
    echo "${rows[-1]}"
done
printf '\n%-12s %10s %8s %6s\n' parser inputs edges MiB
printf '%s\n' "${rows[@]}"
[[ "${#failed[@]}" == 0 ]]
