#!/usr/bin/env bash
# Runs the hub against clients that are not ours: Python (websockets, raw sockets, http.client) and Node; and against the packages in sdk/.
# Needs TASKLIGHT_BIN and what tests/services.sh provides; keeps what it installs in TASKLIGHT_CLIENTS_CACHE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [[ -z "${TASKLIGHT_BIN:-}" || ! -x "$TASKLIGHT_BIN" ]]; then
    echo "TASKLIGHT_BIN must be the path of the tasklight program, such as target/release/tasklight" >&2
    exit 1
fi
TASKLIGHT_BIN="$(realpath "$TASKLIGHT_BIN")"
export TASKLIGHT_BIN
mkdir -p "${TASKLIGHT_CLIENTS_CACHE:-target/clients}"
cache="$(realpath "${TASKLIGHT_CLIENTS_CACHE:-target/clients}")"
here="$PWD/tests/clients"
export TASKLIGHT_EXAMPLES="$PWD/docs/examples"

has_venv() { python3 -c 'import venv, ensurepip' 2>/dev/null; }

if ! has_venv; then
    if [[ "$(id -u)" == 0 && -e /etc/debian_version ]]; then
        apt-get update && apt-get install -y python3 python3-venv
    fi
    if ! has_venv; then
        echo "python3 with venv is missing: install the packages python3 and python3-venv (Debian, Ubuntu) or python3 (others)" >&2
        exit 1
    fi
fi
for program in node npm; do
    if ! command -v "$program" >/dev/null; then
        echo "$program is missing: install Node.js 20 or newer with npm" >&2
        exit 1
    fi
done
browser="${TASKLIGHT_CHROMIUM:-/usr/bin/chromium}"
if [[ ! -x "$browser" && "$(id -u)" == 0 && -e /etc/debian_version ]]; then
    apt-get update && apt-get install -y --no-install-recommends chromium
fi
if [[ ! -x "$browser" ]]; then
    echo "$browser is missing: install the package chromium (Debian, Ubuntu), or set TASKLIGHT_CHROMIUM to a Chromium" >&2
    exit 1
fi
if [[ ! -f "$here/node/package.json" ]]; then
    echo "tests/clients/node/package.json is missing" >&2
    exit 1
fi

failed=0

# Python
venv="$cache/python"
if ! cmp -s "$here/python/requirements.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/python/requirements.txt"
    cp "$here/python/requirements.txt" "$venv/installed.txt"
fi
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m pytest -q -p no:cacheprovider "$here/python" || failed=1

# The Python SDK, from its sources
: "${TASKLIGHT_TEST_REDIS_URL:?run me beside tests/services.sh}"
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=sdk/python/src "$venv/bin/python" -m pytest -q -p no:cacheprovider sdk/python/tests || failed=1

# Node: ESM finds packages beside the files only, so the tests run from where their packages are.
node="$cache/node"
mkdir -p "$node"
find "$node" -mindepth 1 -maxdepth 1 ! -name node_modules ! -name installed.json -exec rm -rf {} +
cp -R "$here/node/." "$node/"
if ! cmp -s "$node/package.json" "$node/installed.json"; then
    rm -f "$node/installed.json"
    npm install --prefix "$node" --no-package-lock --no-audit --no-fund
    cp "$node/package.json" "$node/installed.json"
fi
# Without a file to run, node --test is content.
if [[ -z "$(find "$node" -name node_modules -prune -o -name '*.test.*js' -print)" ]]; then
    echo "tests/clients/node has no *.test.js or *.test.mjs" >&2
    exit 1
fi
(cd "$node" && node --test) || failed=1

# The TypeScript package, with its own tests; it keeps what it installs beside it.
typescript="$PWD/sdk/typescript"
if [[ ! "$typescript/node_modules/.installed" -nt "$typescript/package-lock.json" ]]; then
    npm ci --prefix "$typescript" --no-audit --no-fund
    touch "$typescript/node_modules/.installed"
fi
TASKLIGHT_CHROMIUM="$browser" npm test --prefix "$typescript" || failed=1

# The page: its own tests, then what was built of it in a real browser. `make web` installs and builds; a hub from elsewhere serves what it has embedded.
if [[ ! "$PWD/web/node_modules/.installed" -nt "$PWD/web/package-lock.json" ]]; then
    npm ci --prefix web --no-audit --no-fund
    touch web/node_modules/.installed
fi
npm test --prefix web || failed=1
if [[ ! -e web/dist/index.html ]]; then
    npm run build --prefix web
fi
(cd web && TASKLIGHT_CHROMIUM="$browser" node --test --test-concurrency=1 e2e/) || failed=1

if [[ "$failed" != 0 ]]; then
    echo "some clients found the hub wrong" >&2
fi
exit "$failed"
