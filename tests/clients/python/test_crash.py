"""Killed, stopped, started twice: what was confirmed is there, and viewers know where to go on."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
import uuid

import pytest
from hub import eventually, message
from viewer import Viewer, offsets

TASKS = ["a", "b", "c"]


class Publisher(threading.Thread):
    """Publishes batches with event ids until the hub is gone, and keeps every receipt."""

    def __init__(self, hub, number):
        super().__init__(daemon=True)
        self.hub, self.number, self.receipts, self.sent = hub, number, {}, []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.hub.port, timeout=15)
        n = 0
        while True:
            task = TASKS[(self.number + n) % len(TASKS)]
            batch = [message(f"{self.number}-{n}-{i}", f"run-{self.number}", eventId=str(uuid.uuid4())) for i in range(1 + n % 7)]
            self.sent.append((task, batch))
            try:
                connection.request("POST", f"/v1/tasks/{task}/activities", json.dumps(batch))
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                return
            assert answer.status == 200, body
            for item, result in zip(batch, json.loads(body)["results"], strict=True):
                self.receipts[item["eventId"]] = (task, result["offset"], result["cursor"], item["data"])
            n += 1


def confirmed(publishers):
    return {event: receipt for publisher in publishers for event, receipt in publisher.receipts.items()}


@pytest.mark.parametrize("after", [0.3, 0.7, 1.1])
def test_what_was_confirmed_survives_a_kill(start, after):
    hub = start()
    publishers = [Publisher(hub, number) for number in range(8)]
    for publisher in publishers:
        publisher.start()
    time.sleep(after)
    hub.kill9()
    for publisher in publishers:
        publisher.join(15)
        assert not publisher.is_alive()
    receipts = confirmed(publishers)
    assert 50 < len(receipts), "the test must have published something"
    hub.start()
    logs = {task: hub.activities(task) for task in TASKS}
    for task, log in logs.items():
        assert [activity["offset"] for activity in log] == list(range(1, len(log) + 1)), "no hole, no second"
        assert hub.get(f"/v1/tasks/{task}")["head"] == len(log)
        assert len({activity["eventId"] for activity in log}) == len(log)
    for event, (task, offset, cursor, data) in receipts.items():
        found = logs[task][offset - 1]
        assert (found["eventId"], found["cursor"], found["data"]) == (event, cursor, data)
    # Everything is sent again, also what was not confirmed: nothing is stored twice, and receipts are what they were.
    places = {(task, activity["eventId"]): activity["offset"] for task, log in logs.items() for activity in log}
    for publisher in publishers:
        for task, batch in publisher.sent:
            for item, result in zip(batch, hub.publish(task, *batch), strict=True):
                place = places.get((task, item["eventId"]))
                assert result["duplicate"] == (place is not None)
                assert place in (None, result["offset"])
    events = sum(len(batch) for publisher in publishers for _, batch in publisher.sent)
    assert sum(len(hub.activities(task)) for task in TASKS) == events


def test_a_viewer_goes_on_after_a_kill_where_it_stood(start):
    hub = start()
    with Viewer(hub) as viewer:
        hub.publish("t", *[message(str(n)) for n in range(5)])
        viewer.subscribe("t")
        cursor = viewer.wait("activity", offset=3)["cursor"]
        hub.kill9()
    hub.start()
    hub.publish("t", message("5"))
    with Viewer(hub) as viewer:
        viewer.subscribe("t", after=cursor)
        assert offsets(viewer.until("live")) == [4, 5, 6]


class Stream(threading.Thread):
    """A stream that is read to its end as it comes from the wire."""

    def __init__(self, hub, task):
        super().__init__(daemon=True)
        self.socket = socket.create_connection(("127.0.0.1", hub.port), timeout=15)
        self.socket.sendall(f"GET /v1/tasks/{task}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        self.wire = b""
        self.start()
        eventually(lambda: "event: live" in self.lines())

    def run(self):
        with self.socket:
            while data := self.socket.recv(65_536):
                self.wire += data

    def lines(self):
        return self.wire.decode().splitlines()


def test_a_stop_tells_viewers_where_to_go_on_and_ends_in_time(start):
    hub = start(session__drain_spread="1s", session__reconnect_window="3s")
    cursors = {task: hub.publish(task, message("1"), message("2"))[1]["cursor"] for task in ("one", "two")}
    stream = Stream(hub, "one")
    with Viewer(hub) as viewer:
        for task in cursors:
            viewer.subscribe(task)
            viewer.wait("live", task=task)
        viewer.subscribe("absent")
        viewer.send(op="subscribe", list="tasks")
        viewer.wait("live", list="tasks")
        begun = time.monotonic()
        hub.terminate()
        drain = viewer.wait("drain")
        assert 0 <= drain["reconnectAfterMs"] <= 3_000 and drain["cursors"] == cursors
        assert viewer.closed()[0] == 1012
    assert hub.wait() == 0 and time.monotonic() - begun < 5
    stream.join(5)
    assert not stream.is_alive()
    assert stream.wire.endswith(b"\r\n0\r\n\r\n"), "the stream ends as a whole answer does, not broken off"
    lines = stream.lines()
    event = lines.index("event: drain")
    assert lines[event - 1] == f"id: {cursors['one']}" and lines[event - 2].startswith("retry: ")
    assert json.loads(lines[event + 1].removeprefix("data: "))["cursors"] == {"one": cursors["one"]}
    assert not [line for line in hub.log if '"ERROR"' in line or "panicked" in line], hub.log


def test_a_stop_under_load_keeps_every_receipt(start):
    hub = start(session__drain_spread="100ms")

    class Patient(Publisher):
        def run(self):
            try:
                super().run()
            except AssertionError as refused:
                assert "stopping" in str(refused), refused

    publishers = [Patient(hub, number) for number in range(8)]
    for publisher in publishers:
        publisher.start()
    time.sleep(0.5)
    hub.terminate()
    assert hub.wait() == 0
    for publisher in publishers:
        publisher.join(15)
    receipts = confirmed(publishers)
    assert 50 < len(receipts)
    hub.start()
    logs = {task: hub.activities(task) for task in TASKS}
    for event, (task, offset, _, _) in receipts.items():
        assert logs[task][offset - 1]["eventId"] == event
    hub.stop()


def test_a_viewer_that_reads_nothing_does_not_hold_up_a_stop(start):
    hub = start(session__drain_spread="100ms", node__stop_timeout="3s")
    hub.publish("t", *[message("x" * 50_000) for _ in range(60)])
    with Viewer(hub, max_queue=1) as viewer:
        viewer.subscribe("t")
        time.sleep(0.5)
        begun = time.monotonic()
        hub.terminate()
        assert hub.wait(10) in (0, 1) and time.monotonic() - begun < 5


def test_a_stopping_node_is_not_ready_and_takes_nothing(start):
    hub = start(session__drain_spread="20s", session__reconnect_window="1s")
    hub.publish("t", message())
    kept = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=15)
    kept.request("GET", "/v1/tasks")
    kept.getresponse().read()
    with contextlib.ExitStack() as many:
        # How long each may stay is drawn at random: among so many one stays for long.
        viewers = [many.enter_context(Viewer(hub, close_timeout=0.1)) for _ in range(20)]
        hub.terminate()
        for viewer in viewers:
            viewer.wait("drain")
        ready = hub.admin("/readyz")
        assert ready.status == 503 and ready.json["ready"] is False
        try:
            kept.request("POST", "/v1/tasks/t/activities", json.dumps(message()))
            assert kept.getresponse().status == 503
        except (OSError, http.client.HTTPException):
            pass  # a connection without a request may have been closed
        assert hub.process.poll() is None
        hub.kill9()
    kept.close()
    hub.start()
    assert len(hub.activities("t")) == 1, "nothing was taken"


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_exits_at_once(start, second):
    hub = start(session__drain_spread="15s")
    with contextlib.ExitStack() as many:
        viewers = [many.enter_context(Viewer(hub, close_timeout=0.1)) for _ in range(20)]
        hub.terminate()
        viewers[0].wait("drain")
        begun = time.monotonic()
        hub.process.send_signal(second)
        assert hub.wait(5) == 1 and time.monotonic() - begun < 1


def test_a_second_hub_on_the_same_file_is_refused_clearly(start):
    hub = start()
    hub.publish("t", message())
    second = subprocess.run(hub.command(), cwd=hub.directory, env=hub.environment(), capture_output=True, timeout=15)
    said = second.stderr.decode() + second.stdout.decode()
    assert second.returncode not in (0, -signal.SIGKILL) and "panicked" not in said, said
    assert os.path.basename(hub.store) in said, said
    assert any(word in said for word in ("another", "in use", "lock")), said
    assert hub.publish("t", message())[0]["offset"] == 2, "the first goes on"
    hub.kill9()
    hub.start()
    assert len(hub.activities("t")) == 2, "a killed hub leaves no lock behind"
