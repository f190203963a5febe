"""Publishing over Redis: acks, acks that are lost, hubs that do not listen yet, and a Redis that goes away."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
import redis
from hub import PATIENCE, Hub, eventually
from stand_in import Listener

import tasklight
from tasklight import over_redis

RIGHTS = [
    "resetchannels -@all +hello +ping +unwatch",
    "(+publish &tasklight:tasks &tasklight:task:* &tasklight:probe:agent-*)",
    "(+subscribe &tasklight:ack:* &tasklight:probe:agent-*)",
]


@pytest.fixture
def listener(redis_url: str, task: str) -> Iterator[Listener]:
    one = Listener(redis_url, "standin:", task)
    yield one
    one.close()


class Server:
    """A Redis of its own, that can go away."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._folder = folder
        self._process: Optional[subprocess.Popen[bytes]] = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        with redis.Redis(port=self.port) as client:
            eventually(lambda: answers(client))

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)


def answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture
def server(redis_url: str, tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path)
    yield one
    one.kill()


def texts(hub: Hub, task: str) -> list[str]:
    return [activity["data"]["text"] for activity in hub.activities(task) if activity["type"] == "message"]


def test_a_run_over_redis_needs_no_way_to_the_hub(clustered: Hub, redis_url: str, task: str) -> None:
    nowhere = "http://127.0.0.1:9"
    run = tasklight.invocation(task, "r", hub=nowhere, redis=redis_url, redis_prefix=clustered.prefix, close_timeout=PATIENCE)
    with run:
        for n in range(3_000):
            run.message(f"{n} ü")
        assert run.flush(PATIENCE)
        run.publish("nonsense", {})
    assert texts(clustered, task) == [f"{n} ü" for n in range(3_000)]
    assert clustered.statuses(task) == {"r": "completed"}
    assert run.refused == {"unknown_type": 1}


def test_a_hub_that_is_killed_gets_everything_once_over_redis(start: Callable[..., Hub], redis_url: str, task: str) -> None:
    prefix = f"killed-{task}:"
    hub = start(TASKLIGHT__BROKER__URL=redis_url, TASKLIGHT__BROKER__PREFIX=prefix)
    stop = threading.Event()
    sent = 0

    def work() -> None:
        nonlocal sent
        with tasklight.invocation(task, "r", redis=redis_url, redis_prefix=prefix, close_timeout=PATIENCE) as run:
            while not stop.wait(0.001):
                run.message(str(sent))
                sent += 1

    worker = threading.Thread(target=work)
    worker.start()
    for _ in range(2):
        have = len(hub.activities(task))
        eventually(lambda have=have: len(hub.activities(task)) > have + 50)  # type: ignore[misc]
        hub.kill()
        hub.start()
    have = len(hub.activities(task))
    eventually(lambda: len(hub.activities(task)) > have, seconds=60)
    stop.set()
    worker.join(PATIENCE)
    assert texts(hub, task) == [str(n) for n in range(sent)] and sent > 100


def test_what_is_not_acked_is_sent_again_under_the_same_ids(
    listener: Listener, redis_url: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(over_redis, "ACK_PATIENCE", 0.3)
    listener.take()
    run = tasklight.invocation(task, "r", redis=redis_url, redis_prefix="standin:")
    run.begin()
    run.message("a")
    run.message("b")
    first = listener.next()
    listener.say({"eventIds": ["somebody-elses"], "invocationId": "x"})
    listener.redis.publish(f"standin:ack:{task}", b"not of a hub \xff")
    # The second of them is known to be stored: it is not sent again.
    listener.ack(first[1:2])
    again = listener.next()
    assert [item["eventId"] for item in again] == [item["eventId"] for item in [first[0], *first[2:]]]
    assert again[0] == first[0]
    assert run.waiting == len(first)
    listener.ack(again)
    assert run.flush(PATIENCE) and run.refused == {}
    run.close()


def test_a_refusal_is_an_answer(listener: Listener, redis_url: str, task: str) -> None:
    listener.take()
    answers: list[Any] = []
    client = tasklight.Client(redis=redis_url, redis_prefix="standin:")
    items = [{"invocationId": "r", "type": "message", "data": {"text": "x" * size}} for size in (1, 300_000)]
    items.append({"invocationId": "r", "type": "message", "eventId": "no-uuid"})
    publishing = threading.Thread(target=lambda: answers.extend(client.publish(task, items)))
    publishing.start()
    (heard,) = listener.next()
    rejected = {"eventId": heard["eventId"], "code": "too_deep", "message": "no", "field": "data"}
    listener.say({"rejected": [rejected]})
    publishing.join(PATIENCE)
    assert answers[0] == tasklight.Refusal("too_deep", "no", "data")
    assert answers[1].code == "activity_too_large", "no hub would answer it"
    assert answers[2].code == "invalid_event_id", "nor this"


def test_a_task_that_nobody_takes_is_announced(listener: Listener, redis_url: str, task: str) -> None:
    run = tasklight.invocation(task, "r", redis=redis_url, redis_prefix="standin:")
    run.begin()
    assert listener.next() == {"taskId": task}
    listener.take()
    heard = listener.next()
    while heard == {"taskId": task}:
        heard = listener.next()
    assert heard[0]["data"] == {"status": "running"}
    listener.ack(heard)
    assert run.flush(PATIENCE)
    run.close()


def test_without_a_hub_it_is_said(redis_url: str, task: str, caplog: pytest.LogCaptureFixture) -> None:
    client = tasklight.Client(redis=redis_url, redis_prefix="nobody:")
    with pytest.raises(tasklight.NoHub, match="its announcement 0"):
        client.publish(task, [{"invocationId": "r", "type": "message"}], patience=0)


def test_a_redis_that_goes_away_and_comes_back_gets_everything_once(start: Callable[..., Hub], server: Server) -> None:
    hub = start(TASKLIGHT__BROKER__URL=server.url)
    with tasklight.invocation("t", "r", redis=server.url, close_timeout=60) as run:
        for n in range(300):
            run.message(str(n))
        assert run.flush(PATIENCE)
        server.kill()
        begin = time.monotonic()
        for n in range(300, 600):
            run.message(str(n))
        assert time.monotonic() - begin < 1
        assert not run.flush(0.3)
        server.start()
        for n in range(600, 900):
            run.message(str(n))
    assert texts(hub, "t") == [str(n) for n in range(900)]
    assert hub.statuses("t") == {"r": "completed"}


def test_the_documented_rights_are_enough(start: Callable[..., Hub], server: Server) -> None:
    hub = start(TASKLIGHT__BROKER__URL=server.url)
    with redis.Redis(port=server.port) as admin:
        words = ["ACL", "SETUSER", "agent", "on", ">p4ssw0rd", *RIGHTS[0].split(), *RIGHTS[1:]]
        admin.execute_command(*words)
    url = f"redis://agent:p4ssw0rd@127.0.0.1:{server.port}?protocol=3"
    with tasklight.invocation("t", "r", redis=url, close_timeout=PATIENCE) as run:
        run.message("hi")
    assert texts(hub, "t") == ["hi"]


def test_a_wrong_password_is_said_without_it(server: Server) -> None:
    with redis.Redis(port=server.port) as admin:
        admin.execute_command("ACL", "SETUSER", "agent", "on", ">right", "+@all", "&*", "~*")
    client = tasklight.Client(redis=f"redis://agent:wr0ng@127.0.0.1:{server.port}")
    run = client.invocation("t", close_timeout=0)
    with pytest.raises(tasklight.RedisRefused) as error:
        client.publish("t", [{"invocationId": "r", "type": "message"}], patience=5)
    assert f"redis://127.0.0.1:{server.port}" in str(error.value)
    shown = [str(error.value), repr(error.value), repr(client), repr(run), repr(run._sender._publisher)]
    assert not any("wr0ng" in text for text in shown)
    run.close()


def test_a_redis_of_the_callers_own_can_be_used(clustered: Hub, redis_url: str, task: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as own:
        run = tasklight.invocation(task, "r", redis=own, redis_prefix=clustered.prefix, close_timeout=PATIENCE)
        with run:
            run.message("hi")
    assert texts(clustered, task) == ["hi"]


def test_an_address_that_cannot_be_used_is_said() -> None:
    with pytest.raises(tasklight.SetupError, match="redis: it must be"):
        tasklight.invocation("t", redis="redis+cluster://h:1")
