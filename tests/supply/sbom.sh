#!/usr/bin/env bash
# What the program and its packages are made of, as CycloneDX documents in target/sbom:
#
#   tests/supply/sbom.sh
#
# cargo-cyclonedx is kept in target/tools, which takes some minutes once; one on the PATH is used as it is. CARGO is the cargo to use.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

CARGO_CYCLONEDX=0.5.9

cargo="${CARGO:-cargo}"
tools="$PWD/target/tools"
out="$PWD/target/sbom"

cyclonedx="$(command -v cargo-cyclonedx || echo "$tools/bin/cargo-cyclonedx")"
if [[ ! -x "$cyclonedx" ]]; then
    echo "installing cargo-cyclonedx $CARGO_CYCLONEDX into target/tools" >&2
    "$cargo" install --quiet --locked --root "$tools" --version "$CARGO_CYCLONEDX" cargo-cyclonedx
fi

rm -rf "$out"
mkdir -p "$out"
# It writes beside each Cargo.toml of the workspace.
export CARGO="$cargo"
trap 'rm -f sbom.cdx.json loadtest/sbom.cdx.json tests/model/sbom.cdx.json tests/loom/sbom.cdx.json' EXIT
"$cyclonedx" cyclonedx --format json --spec-version 1.5 --override-filename sbom.cdx --quiet
mv sbom.cdx.json "$out/tasklight.cdx.json"

# What is shipped of a folder: what only builds and tests it is left out. Not by `--omit dev`, which also leaves out what is needed for both.
npm_sbom() {
    npm sbom --sbom-format cyclonedx --package-lock-only --prefix "$1" | node -e '
        let text = "";
        process.stdin.on("data", (piece) => (text += piece)).on("end", () => {
            const document = JSON.parse(text);
            const isDevelopment = ({ properties = [] }) => properties.some(({ name }) => name === "cdx:npm:package:development");
            const left = new Set(document.components.filter(isDevelopment).map((component) => component["bom-ref"]));
            document.components = document.components.filter((component) => !left.has(component["bom-ref"]));
            document.dependencies = document.dependencies
                .filter(({ ref }) => !left.has(ref))
                .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((other) => !left.has(other)) }));
            console.log(JSON.stringify(document, null, 2));
        });' >"$2"
}
npm_sbom web "$out/page.cdx.json"
npm_sbom sdk/typescript "$out/typescript-sdk.cdx.json"
for file in "$out"/*.json; do
    components="$(node -e 'console.log((JSON.parse(require("fs").readFileSync(process.argv[1], "utf8")).components ?? []).length)' "$file")"
    echo "${file#"$PWD/"}: $components components"
done
