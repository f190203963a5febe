#!/usr/bin/env python3
"""Makes the table of values in tasklight/README.md of the comments in tasklight/values.yaml: `values_table.py`, or `--check` to only
say whether it is as it would be made. Needs PyYAML."""

import json
import pathlib
import re
import sys

import yaml

CHART = pathlib.Path(__file__).parent / "tasklight"
BEGIN, END = "<!-- values: made by helm/values_table.py -->\n", "<!-- end of values -->\n"
KEY = re.compile(r"^( *)([A-Za-z]\w*):")


def described(text):
    """Each described key, in order, as its path and what it means."""
    path, meaning = [], None
    for number, line in enumerate(text.splitlines(), 1):
        if comment := re.match(r"^ *# -- (.+)$", line):
            if meaning is not None:
                raise SystemExit(f"values.yaml:{number}: the description above has no key")
            meaning = comment[1]
        elif key := KEY.match(line):
            depth = len(key[1]) // 2
            path = path[:depth] + [key[2]]
            if meaning is not None:
                yield tuple(path), meaning
            meaning = None


def leaves(values, above, known):
    """Every value that is neither described nor part of one that is."""
    for key, value in values.items():
        path = (*above, key)
        if path in known:
            continue
        if isinstance(value, dict) and value:
            yield from leaves(value, path, known)
        else:
            yield ".".join(path)


def table(text):
    values = yaml.safe_load(text)
    known = dict(described(text))
    if bare := list(leaves(values, (), known)):
        raise SystemExit(f"values.yaml: not described: {', '.join(bare)}")
    rows = ["| value | default | what |", "|---|---|---|"]
    for path, meaning in known.items():
        default = values
        for key in path:
            default = default[key]
        rows.append(f"| `{'.'.join(path)}` | `{json.dumps(default)}` | {meaning} |")
    return "\n".join(rows) + "\n"


def main():
    readme = CHART / "README.md"
    old = readme.read_text()
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    new = before + BEGIN + table((CHART / "values.yaml").read_text()) + END + after
    if "--check" in sys.argv[1:]:
        if new != old:
            raise SystemExit("helm/tasklight/README.md is not up to date: run python3 helm/values_table.py")
    else:
        readme.write_text(new)


if __name__ == "__main__":
    main()
