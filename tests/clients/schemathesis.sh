#!/usr/bin/env bash
# The HTTP API against its own description, for SCHEMATHESIS_SECONDS. Needs TASKLIGHT_BIN; what it installs is what run.sh installs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${TASKLIGHT_BIN:?the path of the tasklight program}"
export TASKLIGHT_BIN
here="$PWD/tests/clients/python"
venv="${TASKLIGHT_CLIENTS_CACHE:-$PWD/target/clients}/python"
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi
PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" -m pytest -q -p no:cacheprovider "$here/test_openapi.py"
