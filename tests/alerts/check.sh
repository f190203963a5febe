#!/usr/bin/env bash
# Has promtool look at the alert rules and play their tests. Without promtool on this machine, Debian's package is fetched into target/
# (nothing is installed and no service is started); where that cannot be done either, it says so and fails.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=target/promtool

fetch() {
    [[ -x "$tools/usr/bin/promtool" ]] && return
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return
    mkdir -p "$tools"
    (cd "$tools" && apt-get download prometheus >&2 && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool && rm prometheus_*.deb)
}

if ! promtool=$(command -v promtool); then
    fetch || true
    promtool=$tools/usr/bin/promtool
fi
if [[ ! -x "$promtool" ]]; then
    echo "THE ALERT RULES ARE NOT CHECKED: promtool is missing; install Prometheus (Debian: apt-get install prometheus)" >&2
    exit 1
fi
"$promtool" check rules helm/tasklight/files/alerts.yaml
"$promtool" test rules tests/alerts/rules.yaml
