"""The Python example, run as its header says."""

import os
import pathlib
import subprocess
import sys

AGENT = pathlib.Path(__file__).parents[3] / "docs" / "examples" / "python" / "agent.py"


def run(hub, *arguments):
    url = f"http://127.0.0.1:{hub.port}"
    env = {**os.environ, "TASKLIGHT_HUB": url}
    return subprocess.run([sys.executable, str(AGENT), *arguments], env=env, capture_output=True, text=True, timeout=60)


def test_the_agent_says_what_it_does(hub, task, tmp_path):
    (tmp_path / "a.txt").write_text("three little words")
    (tmp_path / "b.txt").write_text("and two")
    done = run(hub, str(tmp_path), "--task", task)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("5 words; watch ")
    log = hub.get(f"/v1/tasks/{task}/activities")["activities"]
    kinds = [activity["type"] for activity in log]
    assert kinds == ["status", "message", "thinking"] + ["tool_call", "tool_result", "progress"] * 2 + ["message", "usage", "status"]
    assert [log[at]["data"]["toolCallId"] for at in (3, 6)] == [log[at]["data"]["toolCallId"] for at in (4, 7)]
    run_of = hub.get(f"/v1/tasks/{task}/invocations")["invocations"][0]
    assert (run_of["status"], run_of["agent"], run_of["usage"]) == ("completed", "python", {"inputTokens": 5, "outputTokens": 12})


def test_what_the_hub_refuses_is_said(hub, tmp_path):
    done = run(hub, str(tmp_path), "--task", "no task")
    assert done.returncode == 1 and "invalid_task_id" in done.stderr and "Traceback" not in done.stderr, done.stderr
