#!/usr/bin/env bash
# What comes from outside, against deny.toml and against what is known to be broken:
#
#   tests/supply/audit.sh
#
# Licences, duplicates and sources are looked at always. Advisories need databases elsewhere (github.com/RustSec/advisory-db; npm's registry): where one
# cannot be reached, what was not looked at is said, and nothing is concluded from it. The tool, cargo-deny, is kept in target/tools, which
# takes five minutes once; one on the PATH is used as it is. CARGO is the cargo to use.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

CARGO_DENY=0.20.2
NPM_FOLDERS=(web sdk/typescript)

cargo="${CARGO:-cargo}"
tools="$PWD/target/tools"
failed=()
unseen=()

deny="$(command -v cargo-deny || echo "$tools/bin/cargo-deny")"
if [[ ! -x "$deny" ]]; then
    echo "installing cargo-deny $CARGO_DENY into target/tools" >&2
    "$cargo" install --quiet --locked --root "$tools" --version "$CARGO_DENY" cargo-deny || exit 1
fi

# cargo-deny asks cargo what there is.
export CARGO="$cargo"
"$deny" --locked check licenses bans sources || failed+=("licences, duplicates or sources of crates")

if "$deny" --locked fetch db >/dev/null 2>&1; then
    "$deny" --locked check --disable-fetch advisories || failed+=("advisories about crates")
else
    unseen+=("advisories about crates: the database of RustSec cannot be reached")
fi

# Whether npm has answered, and what: it fails in the same way when it cannot ask.
npm_verdict() {
    node -e '
        let text = "";
        process.stdin.on("data", (piece) => (text += piece)).on("end", () => {
            let report = {};
            try { report = JSON.parse(text); } catch { /* Then it is no report. */ }
            const total = report.metadata?.vulnerabilities?.total;
            if (total === undefined) { console.log("unseen"); return; }
            for (const [name, { severity }] of Object.entries(report.vulnerabilities ?? {})) console.error(`${name}: ${severity}`);
            console.log(total === 0 ? "clean" : "found");
        });'
}

for folder in "${NPM_FOLDERS[@]}"; do
    case "$(npm audit --json --package-lock-only --prefix "$folder" 2>/dev/null | npm_verdict)" in
    clean) echo "npm audit of $folder ok" ;;
    found) failed+=("advisories about npm packages of $folder") ;;
    *) unseen+=("advisories about npm packages of $folder: the registry does not answer") ;;
    esac
done

for what in "${unseen[@]}"; do
    echo "NOT LOOKED AT: $what" >&2
done
for what in "${failed[@]}"; do
    echo "FAILED: $what" >&2
done
if [[ "${#failed[@]}" != 0 ]]; then exit 1; fi
echo "audit: nothing found in what was looked at; ${#unseen[@]} not looked at"
