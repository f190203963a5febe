#!/usr/bin/env bash
# Writes the tables of configuration.md anew, between its marks: docs/configuration.sh PROGRAM
set -euo pipefail
program="$(realpath "$1")"
cd "$(dirname "${BASH_SOURCE[0]}")"
reference="$("$program" config --reference)"
{
    sed '/^<!-- written by `make docs` -->$/q' configuration.md
    printf '%s\n' "$reference"
    sed -n '/^<!-- to here -->$/,$p' configuration.md
} >configuration.md.new
mv configuration.md.new configuration.md
