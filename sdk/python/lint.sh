#!/usr/bin/env bash
# Formatting, every warning and every type of the Python SDK; keeps what it installs in target/lint/python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
venv="${TASKLIGHT_LINT_CACHE:-$PWD/../../target/lint}/python"
if ! cmp -s lint.txt "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r lint.txt
    cp lint.txt "$venv/installed.txt"
fi
"$venv/bin/ruff" format --check --no-cache src tests
"$venv/bin/ruff" check --no-cache src tests
"$venv/bin/mypy" --cache-dir "$venv/mypy"
