#!/usr/bin/env bash
# Breaks what tests/loom tries, in a copy, one place at a time, and checks that each break is noticed. Some seconds for each on a free core.
#
#   bash tests/loom/mutants.sh [NUMBER]
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/src" "$copy/tests"
cp -r src/hub src/model src/model.rs "$copy/src/"
cp -r tests/loom "$copy/tests/"
cp Cargo.lock "$copy/"
printf '[workspace]\nmembers = ["tests/loom"]\nresolver = "3"\n[profile.dev]\ndebug = "line-tables-only"\n[profile.dev.package.loom]\nopt-level = 3\n[profile.dev.package.generator]\nopt-level = 3\n[profile.dev.package.tasklight-loom]\nopt-level = 1\n' >"$copy/Cargo.toml"

# What is broken, in which file, from what, to what.
mutants=(
    'the flag is never taken back|audience|branch.queued.swap(false, Ordering::AcqRel);|'
    'whoever is told is told before the view has changed|log|self.view.send_replace(view);\n        self.audience.tell();|self.audience.tell();\n        self.view.send_replace(view);'
    'nobody is told|log|self.audience.tell();|'
    'a note wakes nobody|audience|mail.changed.push(slot);\n            mail.wake();|mail.changed.push(slot);'
    'the ring gives what comes after a hole|log|if cursor.next() < ring.batches.front()?.first() {\n            return None;\n        }|'
    'what comes early is neither kept nor asked for|log|ring.keep_early(batch, options);\n            return ring.want_activities();|return Need::Nothing;'
    'a beginning that is gone is overlooked|follower|let cursor = Cursor { epoch: self.epoch.unwrap_or(state.epoch), offset: self.cursor };|let Some(epoch) = self.epoch else { self.epoch = Some(state.epoch); return None };\n        let cursor = Cursor { epoch, offset: self.cursor };'
)
# Whether a test fails of what is in the copy. What does not compile, does not end or breaks off is not noticed by a test, and says so. That nobody is
# left who could go on is loom's finding, too, and where it says so while a thread is torn down the process ends by that.
is_noticed() {
    local code=0
    cd "$copy"
    if ! "${CARGO:-cargo}" test --quiet --offline -p tasklight-loom --no-run >log 2>&1; then
        echo "no: it does not compile"
        return
    fi
    RUST_BACKTRACE=0 timeout 900 "${CARGO:-cargo}" test --quiet --offline -p tasklight-loom >log 2>&1 || code=$?
    if [ "$code" = 0 ]; then
        echo no
    elif [ "$code" = 124 ]; then
        echo "no: the tests do not end"
    elif grep -q '^test result: FAILED\|^deadlock; threads' log; then
        echo yes
    else
        echo "no: the tests break off, with $code"
    fi
}

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/mutants
failed=0
# With a number, only that one; 0 is none.
chosen=("" "${mutants[@]}")
[ $# = 0 ] || chosen=("${chosen[$1]}")
for mutant in "${chosen[@]}"; do
    cp src/hub/*.rs "$copy/src/hub/"
    IFS='|' read -r what file rest <<<"$mutant"
    if [ -n "$mutant" ]; then
        python3 - "$copy/src/hub/$file.rs" "$rest" <<'PYTHON'
import sys
path, rest = sys.argv[1:]
text = open(path).read()
words = [word.replace("\\n", "\n") for word in rest.split("|")]
words += [""] * (len(words) % 2)
for old, new in zip(words[::2], words[1::2]):
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    text = text.replace(old, new)
open(path, "w").write(text)
PYTHON
    fi
    noticed=$(is_noticed)
    case "${mutant:+broken}/$noticed" in
        "/no" | "broken/yes") ;;
        *)
            failed=1
            tail -n 20 "$copy/log"
            ;;
    esac
    echo "${what:-nothing is broken}: noticed: $noticed ($(grep -o 'deadlock\|assertion[^;]*failed' "$copy/log" | sort | uniq -c | tr -s ' \n' ' '))"
done
exit $failed
