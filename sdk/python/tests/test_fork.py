"""A process that forks: each side sends its own, nobody sends anything twice, and only the parent says how the run ended."""

import json
import subprocess
import sys

from hub import PATIENCE, Hub

PROGRAM = """
import os, sys, threading, tasklight
run = tasklight.invocation(sys.argv[1], "r", hub=sys.argv[2], memory_bytes=2_000)
with run:
    for n in range(200):
        run.message(f"parent {n}")          # much of it waits, in memory and on disk, when the fork comes
    other = threading.Thread(target=lambda: [run.message(f"thread {n}") for n in range(200)])
    other.start()                           # and it comes in the middle of somebody else's words
    children = []
    for child in range(3):
        pid = os.fork()
        if pid == 0:
            for n in range(100):
                run.message(f"child {child} {n}")
            if child == 0:
                break                       # leaves by the end of `with`
            if child == 1:
                raise ValueError("the child's own trouble")
            sys.exit(7)
        children.append(pid)
    else:
        other.join()
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        run.message(f"codes {codes}")
"""


def test_a_fork_in_the_middle_loses_and_repeats_nothing(hub: Hub, task: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, task, hub.url], timeout=PATIENCE, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    log = hub.activities(task)
    texts = [activity["data"]["text"] for activity in log if activity["type"] == "message"]
    for name, count in [("parent", 200), ("thread", 200), ("child 0", 100), ("child 1", 100), ("child 2", 100)]:
        assert [text for text in texts if text.startswith(name)] == [f"{name} {n}" for n in range(count)]
    assert texts[-1] == "codes [0, 1, 7]"
    said = [activity["data"]["status"] for activity in log if activity["type"] == "status"]
    assert said == ["running", "completed"]
    assert not any(activity["type"] == "error" for activity in log)


def test_workers_of_multiprocessing_may_say_something(hub: Hub, task: str) -> None:
    text = f"""
import multiprocessing, tasklight
def work(n):
    run.message(f"worker {{n}}")
    return run.flush(20)
run = tasklight.invocation({task!r}, hub={hub.url!r})
with run:
    run.message("before")
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert all(pool.map(work, range(40)))
"""
    process = subprocess.run([sys.executable, "-c", text], timeout=PATIENCE, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    texts = sorted(a["data"]["text"] for a in hub.activities(task) if a["type"] == "message")
    assert texts == sorted(["before", *(f"worker {n}" for n in range(40))])


def test_event_ids_of_a_parent_and_its_child_differ() -> None:
    text = """
import os, json
from tasklight.activity import event_id
first = [event_id() for _ in range(1000)]
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, json.dumps([event_id() for _ in range(500)]).encode())
    os._exit(0)
mine = [event_id() for _ in range(500)]
os.wait()
theirs = json.loads(os.read(read, 1 << 20))
print(json.dumps([first, mine, theirs]))
"""
    out = subprocess.run([sys.executable, "-c", text], timeout=PATIENCE, capture_output=True, check=True).stdout
    first, mine, theirs = json.loads(out)
    assert first + mine == sorted(first + mine)
    assert len(set(first + mine + theirs)) == 2_000
    assert all(name[14] == "7" and name[19] in "89ab" for name in first)
