"""A disk that takes no more while the hub is away: what does not fit is missing, said in its place, and nothing else is."""

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub import PATIENCE, Hub

import tasklight

COUNT = 2_000

#: A program that publishes more than fits, says how much is missing, and ends when it is told to.
PROGRAM = f"""
import json, logging, os, sys, tasklight
logging.basicConfig(format="%(message)s")
hub, folder, patience = sys.argv[1:]
bounds = dict(memory_bytes=100_000, spill_bytes=64 << 20, spill_folder=folder)
with tasklight.invocation("t", "r", hub=hub, close_timeout=float(patience), **bounds) as run:
    for n in range({COUNT}):
        run.message(f"{{n}} " + "x" * (n % 3_000))
    print(run.dropped, flush=True)
    sys.stdin.readline()
    run.flush(float(patience))
    run.message("{COUNT}")
print(json.dumps([run.dropped, run.waiting, os.listdir(folder)]), flush=True)
"""

#: What makes ``$0`` a disk of 512 KiB: a file system of its own (ENOSPC); or, what anybody may, no file may have more (EFBIG). Python ignores
#: the signal of that.
DISKS = {
    "small": (["unshare", "-rm", "sh", "-c"], 'mount -t tmpfs -o size=512k none "$0" && exec "$@"'),
    "limited": (["sh", "-c"], 'ulimit -f 1024; exec "$@"'),
}


@functools.cache
def can_mount() -> bool:
    """Whether this user may make a file system in a namespace. Where not, ``limited`` is what there is of this test."""
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/tmp"]
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE).returncode == 0
    except OSError:
        return False


def program(disk: str, hub: str, folder: Path, patience: float) -> "subprocess.Popen[str]":
    command, setup = DISKS[disk]
    env = {**os.environ, "PYTHONPATH": str(Path(tasklight.__file__).parents[1])}
    arguments = [*command, setup, str(folder), sys.executable, "-c", PROGRAM, hub, str(folder), str(patience)]
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


disks = pytest.mark.parametrize("disk", [disk for disk in DISKS if disk == "limited" or can_mount()])


@disks
def test_a_full_disk_costs_what_does_not_fit_and_that_is_said_in_its_place(
    start: Callable[..., Hub], tmp_path: Path, disk: str
) -> None:
    hub = start()
    hub.stop()
    folder = tmp_path / "disk"
    folder.mkdir()
    child = program(disk, hub.url, folder, PATIENCE)
    assert child.stdout is not None
    assert int(child.stdout.readline()) > COUNT // 3, "so the disk took no more"
    hub.start()
    out, said = child.communicate("\n", timeout=2 * PATIENCE)
    assert child.returncode == 0, said
    dropped, waiting, left = json.loads(out)
    assert (waiting, left) == (0, []), said
    comes, missing = 0, 0
    log: list[dict[str, Any]] = [activity for activity in hub.activities("t") if activity["type"] != "status"]
    for activity in log:
        if activity["type"] == "error":
            assert activity["data"]["code"] == "activities_dropped"
            hole = int(activity["data"]["message"].split()[0])
            comes, missing = comes + hole, missing + hole
        else:
            whole = str(COUNT) if comes == COUNT else f"{comes} " + "x" * (comes % 3_000)
            assert activity["data"]["text"] == whole, "what is kept is whole, and a hole is where it is said to be"
            comes += 1
    assert (comes, missing) == (COUNT + 1, dropped)
    assert len([activity for activity in log if activity["type"] == "error"]) == 1, "it is said once"
    assert log[-1]["data"]["text"] == str(COUNT), "there is room again once the hub has taken what waited"
    assert hub.statuses("t") == {"r": "completed"}
    assert said.count("no more room") == 1


@disks
def test_what_a_full_disk_cannot_keep_at_the_end_is_counted_and_leaves_no_half_file(tmp_path: Path, disk: str) -> None:
    child = program(disk, "http://127.0.0.1:9", tmp_path, 0)
    out, said = child.communicate("\n", timeout=2 * PATIENCE)
    assert child.returncode == 0, said
    before, after = out.splitlines()
    dropped, waiting, left = json.loads(after)
    (lost,) = re.findall(r"^(\d+) activities of task t were not confirmed, and cannot be kept: ", said, re.MULTILINE)
    assert left == [], "no half of a file is left"
    assert int(before) > COUNT // 3 and int(lost) > 100
    # The last message may have fitted where longer ones had not.
    assert dropped - int(before) - int(lost) in (0, 1), "what could not be kept is missing like the rest"
    assert waiting == 0 and COUNT + 3 <= dropped, "and that is everything: the messages and both ends"
