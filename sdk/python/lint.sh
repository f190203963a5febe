#!/usr/bin/env bash
# Formatting, every warning and every type of the Python SDK; keeps what it installs in target/lint/python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
venv="${TASKLIGHT_LINT_CACHE:-$PWD/../../target/lint}/python"
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    if [[ "$(id -u)" == 0 && -e /etc/debian_version ]]; then
        apt-get update && apt-get install -y python3 python3-venv
    else
        echo "python3 with venv is missing: install the packages python3 and python3-venv (Debian, Ubuntu) or python3 (others)" >&2
        exit 1
    fi
fi
if ! cmp -s lint.txt "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r lint.txt
    cp lint.txt "$venv/installed.txt"
fi
"$venv/bin/ruff" format --check --no-cache src tests
"$venv/bin/ruff" check --no-cache src tests
"$venv/bin/mypy" --cache-dir "$venv/mypy"
