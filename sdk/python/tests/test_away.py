"""A hub that is away, dies, or says that it is busy; and what no longer fits."""

import json
import logging
import os
import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub import PATIENCE, Hub, eventually
from stand_in import Answers

import tasklight


def texts(hub: Hub, task: str, invocation: str) -> list[str]:
    log = hub.activities(task)
    assert [activity["offset"] for activity in log] == list(range(1, len(log) + 1))
    return [a["data"]["text"] for a in log if a["invocationId"] == invocation and a["type"] == "message"]


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_hub_that_goes_away_and_comes_back_gets_everything_once_and_in_order(start: Callable[..., Hub], how: str) -> None:
    hub = start()
    count = 3_000
    away, back = threading.Event(), threading.Event()

    def work(name: str) -> None:
        with tasklight.invocation("t", name, hub=hub.url, close_timeout=PATIENCE) as run:
            for n in range(count):
                run.message(str(n))
                if n == count // 3:
                    run.flush(PATIENCE)
                    away.wait(PATIENCE)
                if n == count // 2:
                    back.wait(PATIENCE)
        ends[name] = (run.waiting, run.dropped, run.refused)

    ends: dict[str, Any] = {}
    workers = [threading.Thread(target=work, args=(f"run-{n}",)) for n in range(4)]
    for worker in workers:
        worker.start()
    eventually(lambda: len(hub.activities("t")) > 4)
    away.set()
    getattr(hub, how)()
    back.set()
    hub.start()
    for worker in workers:
        worker.join(PATIENCE)
        assert not worker.is_alive()
    for n in range(4):
        assert ends[f"run-{n}"] == (0, 0, {})
        assert texts(hub, "t", f"run-{n}") == [str(m) for m in range(count)]
    assert set(hub.statuses("t").values()) == {"completed"}


def test_a_hub_that_is_killed_again_and_again_gets_everything_once(start: Callable[..., Hub]) -> None:
    hub = start()
    stop = threading.Event()
    sent = 0

    def work() -> None:
        nonlocal sent
        with tasklight.invocation("t", "r", hub=hub.url, close_timeout=PATIENCE) as run:
            while not stop.wait(0.001):
                run.message(str(sent))
                sent += 1

    worker = threading.Thread(target=work)
    worker.start()
    for _ in range(3):
        have = len(hub.activities("t"))
        eventually(lambda have=have: len(hub.activities("t")) > have + 50)  # type: ignore[misc]
        hub.kill()
        hub.start()
    stop.set()
    worker.join(PATIENCE)
    assert sent > 150 and texts(hub, "t", "r") == [str(n) for n in range(sent)]


def test_a_run_may_begin_before_its_hub(start: Callable[..., Hub]) -> None:
    hub = start()
    hub.stop()
    with tasklight.invocation("t", "r", hub=hub.url, close_timeout=PATIENCE) as run:
        run.message("early")
        hub.start()
    assert texts(hub, "t", "r") == ["early"]
    assert hub.statuses("t") == {"r": "completed"}


def test_what_fits_into_memory_and_file_is_kept_and_the_rest_is_said_to_be_missing(
    start: Callable[..., Hub], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    hub = start()
    hub.stop()
    bounds: dict[str, Any] = {"memory_bytes": 100_000, "spill_bytes": 400_000, "spill_folder": str(tmp_path)}
    with tasklight.invocation("t", "r", hub=hub.url, close_timeout=PATIENCE, **bounds) as run:
        for n in range(2_000):
            run.message(f"{n} " + "x" * 1_000)
        assert run.dropped > 900
        assert list(tmp_path.glob("tasklight-*")) == [], "the file has no name"
        hub.start()
        eventually(lambda: run.waiting == 0)
        run.message("2000")
    log = [activity for activity in hub.activities("t") if activity["type"] != "status"]
    comes, missing = 0, 0
    for activity in log:
        if activity["type"] == "error":
            assert activity["data"]["code"] == "activities_dropped"
            hole = int(activity["data"]["message"].split()[0])
            comes, missing = comes + hole, missing + hole
        else:
            assert activity["data"]["text"].split()[0] == str(comes), "a hole is where it is said to be"
            comes += 1
    assert (comes, missing) == (2_001, run.dropped)
    assert hub.statuses("t") == {"r": "completed"}
    assert caplog.text.count("no more room") == 1


def test_the_end_of_a_run_is_kept_although_nothing_else_fits(start: Callable[..., Hub]) -> None:
    hub = start()
    hub.stop()
    run = tasklight.invocation("t", "r", hub=hub.url, memory_bytes=10_000, spill_bytes=0)
    run.begin()
    for _ in range(50):
        run.message("x" * 1_000)
    run.complete()
    hub.start()
    assert run.close(PATIENCE)
    log = hub.activities("t")
    assert [activity["type"] for activity in log][-2:] == ["error", "status"]
    assert len(log) + run.dropped == 50 + 3
    assert hub.statuses("t") == {"r": "completed"}


def test_what_is_not_confirmed_at_the_end_is_kept_for_the_command_line(
    start: Callable[..., Hub], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    hub = start()
    hub.stop()
    with tasklight.invocation("t", "r", hub=hub.url, close_timeout=0.2, memory_bytes=5_000, spill_folder=str(tmp_path)) as run:
        for n in range(100):
            run.message(f"{n} ü")
    assert run.waiting == 102
    (said,) = [record.getMessage() for record in caplog.records if "They are kept" in record.getMessage()]
    command, path = re.findall(r"(tasklight publish t) < (\S+)$", said)[0]
    assert Path(path).stat().st_mode & 0o777 == 0o600
    hub.start()
    with open(path, "rb") as file:
        arguments = [os.environ["TASKLIGHT_BIN"], *command.split()[1:], "--hub", hub.url]
        subprocess.run(arguments, stdin=file, check=True, timeout=PATIENCE, capture_output=True)
    assert texts(hub, "t", "r") == [f"{n} ü" for n in range(100)]
    assert hub.statuses("t") == {"r": "completed"}


@pytest.mark.parametrize("count", [0, 700])
def test_what_was_not_even_tried_is_kept_as_well(tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int) -> None:
    bounds: dict[str, Any] = {"memory_bytes": 2_000, "spill_folder": str(tmp_path)}
    with tasklight.invocation("t", "r", hub="http://127.0.0.1:9", close_timeout=0, **bounds) as run:
        for n in range(count):
            run.message(str(n))
    (path,) = tmp_path.glob("tasklight-*.ndjson")
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [activity["data"].get("text") for activity in kept] == [None, *map(str, range(count)), None]
    assert f"{count + 2} activities" in caplog.text and run.waiting == count + 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_hub_is_asked_again_when_it_said_and_with_the_same_ids(status: int, caplog: pytest.LogCaptureFixture) -> None:
    problem = {"code": "queue_full", "detail": "try again later", "status": status}
    hub = Answers((status, {"Retry-After": "1"}, problem), (200, {}, None))
    with tasklight.invocation("t", "r", hub=hub.url, close_timeout=PATIENCE) as run:
        run.message("hi")
        assert run.flush(PATIENCE)
    first, then = hub.next(), hub.next()
    assert then[1][: len(first[1])] == first[1]
    assert 1.0 <= then[0] - first[0] < 4.0
    assert "queue_full" in caplog.text
    hub.close()


def test_a_hub_that_says_no_is_asked_again_until_the_end_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    no = {"code": "forbidden", "detail": "this token does not grant it", "status": 403}
    hub = Answers((403, {}, no), (403, {}, no), (200, {}, None))
    with tasklight.invocation("t", hub=hub.url, close_timeout=PATIENCE):
        pass
    assert caplog.text.count("this token does not grant it") == 1
    assert "is published again" in caplog.text
    hub.close()


def test_a_batch_that_is_too_large_for_what_is_between_is_halved() -> None:
    too_large = {"code": "body_too_large", "detail": "too large", "status": 413}
    hub = Answers((413, {}, too_large), (200, {}, None))
    results = tasklight.Client(hub.url).publish("t", [{"invocationId": "r", "type": "message"} for _ in range(5)])
    assert [len(hub.next()[1]) for _ in range(3)] == [5, 2, 3]
    assert len(results) == 5 and all(isinstance(result, tasklight.Receipt) for result in results)
    hub.close()


def test_a_refusal_is_counted_by_its_code_and_said(hub: Hub, task: str, caplog: pytest.LogCaptureFixture) -> None:
    with tasklight.invocation(task, "r", hub=hub.url) as run:
        run.publish("nonsense", {})
        run.publish("status", {"status": "asleep"})
        run.message("good")
        run.publish("nonsense", {})
    assert run.refused == {"unknown_type": 2, "unknown_status": 1}
    assert caplog.text.count("unknown_type") == 1
    assert texts(hub, task, "r") == ["good"]


def test_a_publish_is_tried_again_for_as_long_as_the_caller_has_patience(start: Callable[..., Hub]) -> None:
    hub = start()
    hub.stop()
    client = tasklight.Client(hub.url)
    activity = {"invocationId": "r", "type": "message", "data": {"text": "hi"}}
    with pytest.raises(tasklight.Unreachable) as error:
        client.publish("t", [activity], patience=0.1)
    assert error.value.transient and hub.url in str(error.value)
    timer = threading.Timer(0.3, hub.start)
    timer.start()
    (result,) = client.publish("t", [activity], patience=PATIENCE)
    timer.join()
    assert isinstance(result, tasklight.Receipt) and not result.duplicate


def test_what_answers_but_is_no_hub_is_told_from_one() -> None:
    other = Answers((200, {}, {"hello": "world"}))
    with pytest.raises(tasklight.InvalidAnswer):
        tasklight.Client(other.url).publish("t", [{"invocationId": "r", "type": "message"}], patience=0)
    other.close()
    moved = Answers((301, {"Location": "https://elsewhere.example/"}, {}))
    with pytest.raises(tasklight.InvalidAnswer, match=re.escape("use https://elsewhere.example/ instead")):
        tasklight.Client(moved.url, "tok").task("t")
    moved.close()
