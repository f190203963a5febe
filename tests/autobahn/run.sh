#!/usr/bin/env bash
# Autobahn's fuzzing client against the hub's own socket:
#
#   tests/autobahn/run.sh             all cases but those of compression, which the hub does not offer
#   tests/autobahn/run.sh --quick     without group 9 too (large messages, and many of them)
#
# The client runs under Python 2.7 only. Where there is none this says so and is content: TASKLIGHT_PYTHON2 is the path of one, or it is found on
# the PATH or with pyenv. What it needs is kept in target/autobahn, its reports in target/autobahn/report. CARGO is the cargo to use.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

here=tests/autobahn
kept="$PWD/target/autobahn"
# The last that makes environments for Python 2.7 from there.
VIRTUALENV="virtualenv==20.15.1"

find_python() {
    local candidate
    for candidate in "${TASKLIGHT_PYTHON2:-}" "$(command -v python2.7 || true)" \
        "$(ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python2.7 2>/dev/null | tail -n 1)"; do
        # One of pyenv's that is not switched on is there, and does not run.
        if [[ -n "$candidate" ]] && "$candidate" -c 'import ssl' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# Says loudly what was not done.
skip() {
    echo "autobahn: SKIPPED, nothing was tested: $1" >&2
    exit 0
}

if [[ ! -x "$kept/venv/bin/wstest" ]] || ! cmp -s "$here/requirements.txt" "$kept/installed.txt"; then
    python="$(find_python)" || skip "Python 2.7 is missing (pyenv install 2.7.18, or TASKLIGHT_PYTHON2=/path/to/python2.7)"
    "$python" -m pip --version >/dev/null 2>&1 || skip "$python has no pip"
    rm -rf "$kept"
    mkdir -p "$kept"
    quiet=(--quiet --disable-pip-version-check --no-python-version-warning)
    # An old pip does not know what comes after it.
    "$python" -m pip install --quiet --disable-pip-version-check --target "$kept/virtualenv" "$VIRTUALENV" 2>&1 | { grep -v DEPRECATION || true; }
    PYTHONPATH="$kept/virtualenv" "$python" -m virtualenv --quiet "$kept/venv"
    "$kept/venv/bin/pip" install "${quiet[@]}" --no-deps -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$kept/installed.txt"
fi

exec "${CARGO:-cargo}" run --quiet --features echo --example autobahn -- "$kept/venv/bin/wstest" "$kept/report" "$@"
