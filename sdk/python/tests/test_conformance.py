"""What every client must do alike: sdk/conformance, played by this package."""

import json
import os
import queue
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from hub import PATIENCE, Hub
from matching import Names
from proxy import Proxy

import tasklight
from tasklight.place import Meaning, Place, Start

FOLDER = Path(__file__).parents[2] / "conformance"
SCENARIOS = json.loads((FOLDER / "scenarios.json").read_text())
PLACES = json.loads((FOLDER / "places.json").read_text())

#: Events that may come at any time.
CHATTER = {"subscribed", "live", "cursor", "reconnecting"}

NAMES = {
    tasklight.Subscribed: "subscribed",
    tasklight.Live: "live",
    tasklight.Skipped: "cursor",
    tasklight.Truncated: "truncated",
    tasklight.Reset: "reset",
    tasklight.Reconnecting: "reconnecting",
}


def event(found: tasklight.Event) -> dict[str, Any]:
    """An event in the list's words."""
    if isinstance(found, tasklight.Activity):
        names = {"task_id": "taskId", "invocation_id": "invocationId", "event_id": "eventId", "received_at": "receivedAt"}
        return {"event": "activity", **{names.get(name, name): value for name, value in vars(found).items()}}
    if isinstance(found, tasklight.Deleted):
        return {"event": "unsubscribed", "reason": "deleted"}
    return {"event": NAMES[type(found)], **vars(found)}


def result(found: tasklight.Result) -> dict[str, Any]:
    """A result in the list's words."""
    if isinstance(found, tasklight.Receipt):
        return {"eventId": found.event_id, "offset": found.offset, "cursor": found.cursor, "duplicate": found.duplicate}
    if isinstance(found, tasklight.Acknowledged):
        return {"eventId": found.event_id}
    if isinstance(found, tasklight.Noted):
        return {"heartbeat": True}
    return {"error": {"code": found.code, "field": found.field}}


class Viewer:
    """A viewer whose events are read by a thread; one that must be read first is put back."""

    def __init__(self, follow: tasklight.Follow) -> None:
        self.follow = follow
        self.events: queue.Queue[Any] = queue.Queue()
        self.cursor: Optional[str] = None
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for found in self.follow:
                self.events.put((event(found), self.follow.cursor))
        except tasklight.TasklightError as error:
            self.events.put((error, None))

    def next(self) -> dict[str, Any]:
        found, cursor = self.events.get(timeout=PATIENCE)
        if isinstance(found, Exception):
            raise found
        self.cursor = cursor
        assert isinstance(found, dict)
        return found


class Player:
    """Plays one scenario."""

    def __init__(self, hub: Hub, redis: Optional[str], through_proxy: bool) -> None:
        self.hub, self.redis = hub, redis
        self.names = Names(task=f"conform-{uuid.uuid4().hex[:12]}")
        self.client = tasklight.Client(hub.url)
        self.proxy = Proxy(hub.port) if through_proxy else None
        self.viewers: dict[str, Viewer] = {}
        self.runs: dict[str, tasklight.Invocation] = {}

    @property
    def task(self) -> str:
        return str(self.names.values["task"])

    def play(self, step: dict[str, Any]) -> None:
        verb, expect = step["do"], step.get("expect")
        rest = {name: value for name, value in step.items() if name not in ("do", "expect", "statuses")}
        each = rest.pop("each", None)
        if each is None:
            rest = self.names.filled(rest)
        else:
            template = rest["activities"][0]
            rest["activities"] = [self._of(template, i) for i in range(each[0], each[1] + 1)]
        getattr(self, f"do_{verb}")(expect, **{f"{name}_" if name in ("as", "from") else name: v for name, v in rest.items()})
        if "statuses" in step:
            found = self.hub.statuses(self.task)
            for run, status in step["statuses"].items():
                assert found[run] == status, (run, found)

    def _of(self, template: Any, i: int) -> Any:
        return Names(**{**self.names.values, "i": i, "hex": f"{i:012x}"}).filled(template)

    def do_request(
        self, expect: Any, method: str, path: str, body: Any = None, text: Optional[str] = None, headers: Any = None
    ) -> None:
        payload = text if body is None else json.dumps(body)
        status, found_headers, found = self.hub.request(method, path, payload, **(headers or {}))
        assert status == expect["status"], (status, found)
        if "body" in expect:
            self.names.match(expect["body"], json.loads(found), path)
        self.names.match(expect.get("headers", {}), found_headers, "headers")
        assert all(piece in found for piece in self.names.filled(expect.get("contains", []))), found
        assert not any(piece in found for piece in self.names.filled(expect.get("lacks", []))), found

    def do_publish(self, expect: Any, activities: Any, over: Optional[str] = None, task: Optional[str] = None) -> None:
        client = self.client
        if over is not None:
            assert over == "redis" and self.redis is not None
            client = tasklight.Client(self.hub.url, redis=self.redis, redis_prefix=self.hub.prefix)
        try:
            found = [result(one) for one in client.publish(task or self.task, activities)]
        except tasklight.TasklightError as error:
            self._failed(expect, error)
            return
        assert set(expect) <= {"results", "offsets"}, expect
        if "results" in expect:
            self.names.match(expect["results"], found, "results")
        if "offsets" in expect:
            first, last = expect["offsets"]
            assert [one.get("offset") for one in found] == list(range(first, last + 1))
        assert len(found) == len(activities)

    def _failed(self, expect: Any, error: tasklight.TasklightError) -> None:
        assert expect and "error" in expect, error
        found = {"code": error.code, "field": getattr(error, "field", None), "status": getattr(error, "status", None)}
        self.names.match(expect["error"], found, "error")

    def do_follow(
        self, expect: Any, as_: str, from_: Any, types: Any = (), invocation: Optional[str] = None, series: Optional[str] = None
    ) -> None:
        begin = {"after": from_} if isinstance(from_, str) else from_
        client = tasklight.Client(self.proxy.url) if self.proxy else self.client
        viewer = Viewer(client.follow(self.task, **begin, types=types, invocation=invocation, series=series))
        self.viewers[as_] = viewer
        try:
            while viewer.next()["event"] != "subscribed":
                pass
        except tasklight.TasklightError as error:
            self._failed(expect, error)
            return
        assert expect is None, "it was to fail"

    def do_events(self, expect: Any, of: str) -> None:
        for wanted in expect:
            if wanted["event"] == "activities":
                for offset in range(wanted["from"], wanted["to"] + 1):
                    self._expect(self.viewers[of], {"event": "activity", "offset": offset})
            else:
                self._expect(self.viewers[of], wanted)

    def _expect(self, viewer: Viewer, wanted: dict[str, Any]) -> None:
        while True:
            found = viewer.next()
            same = found["event"] == wanted["event"]
            if found["event"] in CHATTER and not (same and self._matches(wanted, found)):
                continue
            assert same, f"{found}, not {wanted}"
            self.names.match(wanted, found, wanted["event"])
            return

    def _matches(self, wanted: Any, found: Any) -> bool:
        try:
            Names(**self.names.values).match(wanted, found)
        except AssertionError:
            return False
        return True

    def do_cursor(self, expect: Any, of: str) -> None:
        self.names.match(expect, self.viewers[of].cursor, "cursor")

    def do_close(self, expect: Any, of: str) -> None:
        self.viewers.pop(of).follow.close()

    def do_cut(self, expect: Any) -> None:
        assert self.proxy is not None
        self.proxy.cut()

    def do_mend(self, expect: Any) -> None:
        assert self.proxy is not None
        self.proxy.mend()

    def do_kill(self, expect: Any) -> None:
        self.hub.kill()

    def do_stop(self, expect: Any) -> None:
        self.hub.stop()

    def do_start(self, expect: Any) -> None:
        self.hub.start()

    def do_trim(self, expect: Any, floor: int) -> None:
        self.hub.trim(floor)

    def do_begin(self, expect: Any, as_: str, agent: Optional[str] = None, title: Optional[str] = None) -> None:
        run = self.runs[as_] = self.client.invocation(self.task, as_, agent=agent, title=title)
        run.begin()
        assert run.flush(PATIENCE)

    def do_say(self, expect: Any, of: str, what: str, args: Any) -> None:
        names = {"toolCallId": "tool_call_id", "isError": "is_error"}
        getattr(self.runs[of], what)(**{names.get(name, name): value for name, value in args.items()})
        assert self.runs[of].flush(PATIENCE)

    def do_end(self, expect: Any, of: str, how: str, reason: Optional[str] = None) -> None:
        run = self.runs.pop(of)
        {"completed": run.complete, "failed": lambda: run.fail(reason), "cancelled": run.cancel}[how]()
        assert run.close(PATIENCE)

    def end(self) -> None:
        for viewer in self.viewers.values():
            viewer.follow.close()
        if self.proxy:
            self.proxy.close()


@pytest.fixture
def player(request: pytest.FixtureRequest, start: Callable[..., Hub]) -> Iterator[Callable[[set[str]], Player]]:
    players: list[Player] = []

    def make(needs: set[str]) -> Player:
        assert needs <= {"redis", "proxy", "hub", "trim", "invocation"}, "a need that this runner does not know"
        redis = None
        if "redis" in needs:
            redis, hub = os.environ.get("TASKLIGHT_TEST_REDIS_URL"), request.getfixturevalue("clustered")
        elif "hub" in needs:
            hub = start(TASKLIGHT__SESSION__HEARTBEAT="1s")
        else:
            hub = request.getfixturevalue("shared")
        players.append(Player(hub, redis, "proxy" in needs))
        return players[-1]

    yield make
    for one in players:
        one.end()


@pytest.mark.parametrize("scenario", SCENARIOS["scenarios"], ids=lambda scenario: scenario["name"].replace(" ", "_"))
def test_scenario(scenario: dict[str, Any], player: Callable[[set[str]], Player]) -> None:
    assert SCENARIOS["version"] == 1
    assert set(scenario) <= {"name", "needs", "steps"}
    plays = player(set(scenario.get("needs", ())))
    for number, step in enumerate(scenario["steps"], 1):
        try:
            plays.play(step)
        except Exception as error:
            raise AssertionError(f"step {number}, {step['do']}: {error!r}") from error


@pytest.mark.parametrize("place", PLACES["places"], ids=lambda place: place["name"].replace(" ", "_"))
def test_place(place: dict[str, Any]) -> None:
    def start(words: Any) -> Start:
        return Start(None if words == "start" else words) if isinstance(words, str) else Start(**words)

    stands = Place(start(place["start"]), place["whole"])
    for message, meaning in place["hears"]:
        if message["op"] != "heartbeat":
            assert stands.hear(message) is Meaning(meaning), message
    assert stands.resume() == start(place["resume"])
