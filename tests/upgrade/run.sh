#!/usr/bin/env bash
# Hubs of an older release and of this one on one Postgres and one Redis: tests/upgrade/run.sh COMMIT
#
# The older release is built from COMMIT into target/upgrade, or is the program that TASKLIGHT_OLD_BIN names. Needs TASKLIGHT_BIN, and what
# tests/services.sh provides. Uses the Python that tests/clients/run.sh sets up.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${TASKLIGHT_BIN:?the path of the tasklight program}" "${TASKLIGHT_TEST_POSTGRES_URL:?run me beside tests/services.sh}"

if [[ -z "${TASKLIGHT_OLD_BIN:-}" ]]; then
    if [[ -z "${1:-}" ]]; then
        echo "name the older release: make test-upgrade OLD_REF=COMMIT" >&2
        exit 1
    fi
    commit="$(git rev-parse --verify "$1^{commit}")"
    source="$PWD/target/upgrade/$commit"
    if [[ ! -d "$source" ]]; then
        mkdir -p "$source"
        git archive "$commit" | tar -x -C "$source"
    fi
    (cd "$source" && CARGO_TARGET_DIR="${TASKLIGHT_OLD_TARGET:-$source/target}" cargo build --quiet)
    TASKLIGHT_OLD_BIN="${TASKLIGHT_OLD_TARGET:-$source/target}/debug/tasklight"
fi
export TASKLIGHT_OLD_BIN

here="$PWD/tests/clients/python"
venv="${TASKLIGHT_CLIENTS_CACHE:-$PWD/target/clients}/python"
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here" exec "$venv/bin/python" -m pytest -q -s -p no:cacheprovider --confcutdir tests/upgrade tests/upgrade
