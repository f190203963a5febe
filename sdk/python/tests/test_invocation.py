"""A run, from its beginning to each of its ends."""

import asyncio
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hub import PATIENCE, Hub, eventually

import tasklight
from tasklight import sender


def statuses(hub: Hub, task: str) -> list[Any]:
    return [activity["data"] for activity in hub.activities(task) if activity["type"] == "status"]


def program(hub: Hub, text: str) -> "subprocess.Popen[str]":
    env = {**os.environ, "TASKLIGHT_HUB": hub.url}
    command = [sys.executable, "-c", text]
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_the_first_example_of_the_readme_runs_as_written(hub: Hub) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    example = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0]
    assert len(example.splitlines()) < 10
    process = program(hub, example)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    task = re.findall(r'invocation\("([^"]+)"', example)[0]
    assert statuses(hub, task)[-1]["status"] == "completed"
    assert len(hub.activities(task)) > 2


def test_an_exception_fails_the_run_and_goes_on(hub: Hub, task: str) -> None:
    with pytest.raises(ValueError, match="boom"), tasklight.invocation(task, "r", hub=hub.url, agent="me") as run:
        run.message("before")
        raise ValueError("boom")
    log = hub.activities(task)
    assert [activity["type"] for activity in log] == ["status", "message", "error", "status"]
    assert log[2]["data"]["message"] == "ValueError: boom"
    assert "test_invocation.py" in log[2]["data"]["traceback"]
    assert log[3]["data"] == {"status": "failed", "reason": "ValueError: boom"}
    assert hub.statuses(task) == {"r": "failed"}


@pytest.mark.parametrize(
    ("code", "status"),
    [(0, {"status": "completed", "exitCode": 0}), (3, {"status": "failed", "exitCode": 3})],
)
def test_the_exit_code_is_how_it_ended(hub: Hub, task: str, code: int, status: Any) -> None:
    with pytest.raises(SystemExit), tasklight.invocation(task, hub=hub.url):
        sys.exit(code)
    assert statuses(hub, task)[-1] == status


def test_the_caller_may_say_how_it_ended_and_the_first_word_stands(hub: Hub, task: str) -> None:
    with tasklight.invocation(task, hub=hub.url) as run:
        run.fail("the tests are red", exit_code=1)
    assert statuses(hub, task)[1:] == [{"status": "failed", "exitCode": 1, "reason": "the tests are red"}]


def test_ctrl_c_cancels_the_run(hub: Hub, task: str) -> None:
    text = f"import tasklight, time\nwith tasklight.invocation({task!r}):\n print('in', flush=True)\n time.sleep(60)"
    process = program(hub, text)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert "KeyboardInterrupt" in errors
    assert statuses(hub, task)[1:] == [{"status": "cancelled", "reason": "interrupted"}]


def test_a_cancelled_task_of_asyncio_cancels_the_run(hub: Hub, task: str) -> None:
    async def work(begun: asyncio.Event) -> None:
        async with tasklight.AsyncClient(hub.url).invocation(task) as run:
            run.message("at work")
            begun.set()
            await asyncio.sleep(60)

    async def main() -> None:
        begun = asyncio.Event()
        doing = asyncio.create_task(work(begun))
        await begun.wait()
        doing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doing

    asyncio.run(main())
    assert statuses(hub, task)[1:] == [{"status": "cancelled", "reason": "CancelledError"}]


def test_the_event_loop_is_not_held_up_by_the_end(task: str) -> None:
    async def main() -> int:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.01)

        turning = asyncio.create_task(turn())
        client = tasklight.AsyncClient("http://127.0.0.1:9")
        async with client.invocation(task, close_timeout=0.5):
            pass
        turning.cancel()
        return turns

    assert asyncio.run(main()) > 20


def test_what_was_said_is_sent_at_exit(hub: Hub, task: str) -> None:
    text = f"import tasklight\nrun = tasklight.invocation({task!r}, 'r')\nrun.begin()\nfor n in range(300): run.message(str(n))"
    process = program(hub, text)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
    assert [activity["data"].get("text") for activity in hub.activities(task)[1:]] == [str(n) for n in range(300)]
    assert hub.statuses(task) == {"r": "running"}, "nobody said that it ended"


def test_a_program_under_tasklight_run_needs_no_arguments(hub: Hub, task: str) -> None:
    text = "import tasklight\nwith tasklight.invocation(agent='me') as run: run.message('inside')"
    command = [os.environ["TASKLIGHT_BIN"], "run", "--hub", hub.url, "--task", task, "--", sys.executable, "-c", text]
    subprocess.run(command, check=True, timeout=PATIENCE, capture_output=True)
    assert [a["data"]["text"] for a in hub.activities(task) if a["type"] == "message"] == ["inside"]
    assert list(hub.statuses(task).values()) == ["completed", "completed"]


class Strange:
    def __repr__(self) -> str:
        raise RuntimeError("no words for it")


def strange_values() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    branching: list[Any] = []
    branching += [branching, branching]
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    deep_but_json: Any = 1
    for _ in range(200):
        deep_but_json = {"a": deep_but_json}
    plain = [b"bytes\xff", {1, 2}, {(1, 2): 3}, Strange(), {Strange(): 1}, "\ud800", Path("/x")]
    numbers = [math.nan, math.inf, 10**30, 10**100, 10**5_000, -(10**80)]
    return [*plain, *numbers, loop, branching, deep, deep_but_json, {"a": [1] * 50_000}, "x" * 300_000]


def test_nothing_that_is_said_can_break_the_program_or_get_lost(hub: Hub, task: str) -> None:
    values = strange_values()
    with tasklight.invocation(task, hub=hub.url) as run:
        for value in values:
            run.tool_result("t", value)
        run.custom(**{str(n): "y" * 500 for n in range(1_000)})
    log = hub.activities(task)
    assert len(log) == len(values) + 3
    assert (run.refused, run.dropped, run.waiting) == ({}, 0, 0)
    large = log[len(values)]["data"]
    assert large["truncated"] == {"bytes": 300_000 + len('{"toolCallId":"t","output":"","isError":false}')}
    assert large["output"].startswith("xxxx")


def test_long_output_becomes_several_activities_and_stays_whole(hub: Hub, task: str) -> None:
    text = "".join(f"line {n} ü\n" for n in range(10_000))
    with tasklight.invocation(task, hub=hub.url) as run:
        run.output(text, "stderr")
    pieces = [activity["data"] for activity in hub.activities(task) if activity["type"] == "output"]
    assert "".join(piece["text"] for piece in pieces) == text
    assert len(pieces) > 1 and {piece["stream"] for piece in pieces} == {"stderr"}


def test_tokens_are_joined_to_pieces_and_closed_by_the_whole_text(hub: Hub, task: str) -> None:
    with tasklight.invocation(task, hub=hub.url) as run, run.series(role="assistant") as text:
        for n in range(2_000):
            text.add(f"token {n} ")
    said = [activity["data"] for activity in hub.activities(task) if activity["type"] == "message"]
    whole = "".join(f"token {n} " for n in range(2_000))
    assert "".join(piece["text"] for piece in said if piece.get("delta")) == whole
    assert said[-1]["final"] is True and said[-1]["text"] == whole[:15_000]
    assert len({piece["seriesId"] for piece in said}) == 1 and len(said) < 20


def test_a_silent_run_is_known_to_be_alive(hub: Hub, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "HEARTBEAT", 0.1)
    with tasklight.invocation(task, "r", hub=hub.url) as run:
        run.flush(PATIENCE)

        def beaten() -> Any:
            return json.loads(hub.request("GET", f"/v1/tasks/{task}/invocations/r")[2])["heartbeatAt"]

        eventually(beaten, "no heartbeat was noted")
    assert [activity["type"] for activity in hub.activities(task)] == ["status", "status"]


def test_saying_something_never_waits_for_a_hub(task: str) -> None:
    with tasklight.invocation(task, hub="http://127.0.0.1:9", close_timeout=0) as run:
        begin = time.monotonic()
        for n in range(1_000):
            run.message(str(n))
        assert time.monotonic() - begin < 2
        assert run.waiting == 1_001


def test_a_signals_handler_may_say_something_in_the_middle_of_the_programs_words(hub: Hub, task: str) -> None:
    text = f"""
import signal, tasklight
said = []
with tasklight.invocation({task!r}, close_timeout=20) as run:
    def handler(*_):
        said.append(1)
        run.message("signal")
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
    n = 0
    while len(said) < 500:
        run.message("program")
        n += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
print(n, len(said))
"""
    process = program(hub, text)
    out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    texts = [activity["data"]["text"] for activity in hub.activities(task) if activity["type"] == "message"]
    assert [texts.count("program"), texts.count("signal")] == [int(word) for word in out.split()]


def test_a_task_or_invocation_id_that_is_none_is_said_at_once() -> None:
    for name in ("", "-a", "a b", "é", "a" * 129, "a/b"):
        with pytest.raises(tasklight.SetupError, match="task: "):
            tasklight.invocation(name, hub="http://127.0.0.1:9")
    with pytest.raises(tasklight.SetupError, match="id: "):
        tasklight.invocation("t", "a\nb", hub="http://127.0.0.1:9")
    for url in ("localhost:8080", "ftp://h", "http://u:secret@h", "http://h/?a=b"):
        with pytest.raises(tasklight.SetupError, match="hub: ") as error:
            tasklight.Client(url)
        assert "secret" not in str(error.value)


def test_a_token_is_never_shown(task: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    client = tasklight.Client("http://127.0.0.1:9", "s3cr3t-token")
    run = client.invocation(task, close_timeout=0.1)
    with run:
        run.message("hi")
    shown = [repr(client), repr(run), repr(tasklight.AsyncClient("http://h", "s3cr3t-token")), caplog.text]
    shown += [repr(client.follow(task)), repr(run._sender._publisher), repr(vars(run)), repr(vars(client))]
    with pytest.raises(tasklight.Unreachable) as error:
        client.publish(task, [{"invocationId": "r", "type": "message"}], patience=0)
    shown += [str(error.value), repr(error.value)]
    with pytest.raises(tasklight.SetupError) as bad:
        tasklight.Client(token="s3cr3t-token\n")
    shown.append(str(bad.value))
    assert caplog.text, "something was logged"
    assert not any("s3cr3t" in text for text in shown), shown
