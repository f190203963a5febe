"""The protocol `tasklight.v1` at its edges: filters, the list, signs of life, faults, resets, foreign pages."""

import time

import pytest
from hub import Hub, message
from viewer import Viewer, offsets, ops


@pytest.fixture
def viewer(hub):
    with Viewer(hub) as viewer:
        yield viewer


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A hub with a short heartbeat."""
    hub = Hub(str(tmp_path_factory.mktemp("quick")), {"TASKLIGHT__SESSION__HEARTBEAT": "300ms"})
    yield hub
    hub.stop()


def test_filters_choose_types_and_invocations(hub, viewer, task):
    def of(kind, invocation):
        return {"invocationId": invocation, "type": kind, "data": {}}

    hub.publish(task, of("message", "a"), of("error", "a"), of("message", "b"), of("output", "b"), of("error", "b"))
    for wanted, expected in [
        ({"types": ["error"]}, [2, 5]),
        ({"types": ["error", "output"]}, [2, 4, 5]),
        ({"types": []}, [1, 2, 3, 4, 5]),
        ({"invocation": "b"}, [3, 4, 5]),
        ({"types": ["error"], "invocation": "b"}, [5]),
        ({"invocation": "nobody"}, []),
    ]:
        viewer.subscribe(task, after="start", **wanted)
        assert offsets(viewer.until("live")) == expected, wanted


def test_a_cursor_message_says_how_far_a_filter_skipped(quick, task):
    with Viewer(quick) as viewer:
        quick.publish(task, message("1"))
        viewer.subscribe(task, types=["error"])
        assert viewer.wait("live")["offset"] == 1
        quick.publish(task, message("2"), message("3"))
        assert viewer.until("cursor") == [{"op": "cursor", "task": task, "offset": 3}]
        quick.publish(task, {"invocationId": "run-1", "type": "error", "data": {}})
        assert viewer.wait("activity")["offset"] == 4


def test_pieces_of_a_finished_series_are_left_out_of_history(hub, viewer, task):
    def piece(text, series, **more):
        return {"invocationId": "r", "type": "message", "data": {"seriesId": series, "text": text, **more}}

    hub.publish(task, piece("a", "s", delta=True), piece("b", "s", delta=True), message("x"), piece("ab", "s", final=True))
    hub.publish(task, piece("c", "open", delta=True))
    viewer.subscribe(task, series="final")
    assert offsets(viewer.until("live")) == [3, 4, 5]
    viewer.subscribe(task)
    assert offsets(viewer.until("live")) == [1, 2, 3, 4, 5]


def test_the_list_is_a_snapshot_then_every_change(start):
    hub = start()
    for name in ("one", "two"):
        hub.publish(name, message())
    with Viewer(hub) as viewer:
        viewer.send(op="subscribe", list="tasks")
        messages = viewer.until("live", list="tasks")
        assert ops(messages) == ["task", "task", "live"]
        found = {(item["taskId"], item["head"], item["status"]) for item in messages[:2]}
        assert found == {("one", 1, "running"), ("two", 1, "running")}
        hub.publish("three", message())
        assert viewer.wait("task", taskId="three")["head"] == 1
        status = {"invocationId": "run-1", "type": "status", "data": {"status": "completed"}}
        hub.publish("one", status)
        assert viewer.wait("task", taskId="one", head=2)["status"] == "completed"
        assert hub.request("PATCH", "/v1/tasks/two", {"title": "Two", "labels": {"team": "blue"}}).status == 200
        changed = viewer.wait("task", taskId="two", title="Two")
        assert changed["labels"] == {"team": "blue"}
        assert hub.request("PUT", "/v1/tasks/four", {}).status == 201
        assert viewer.wait("task", taskId="four")["head"] == 0
        assert hub.request("DELETE", "/v1/tasks/two").status == 204
        assert viewer.wait("task", taskId="two") == {"op": "task", "taskId": "two", "deleted": True}
        viewer.send(op="unsubscribe", list="tasks")
        viewer.silence()
        hub.publish("five", message())
        time.sleep(0.6)
        assert viewer.silence() == []


def test_a_ping_message_is_answered(viewer):
    before = int(time.time() * 1000)
    viewer.send(op="ping")
    assert abs(viewer.wait("pong")["timestamp"] - before) < 10_000


def test_a_protocol_ping_is_answered_with_its_payload(viewer):
    assert viewer.socket.ping(b"seven").wait(5), "the library wakes on a pong with the same payload only"


def test_a_token_message_is_accepted_where_no_token_is_asked_for(viewer):
    viewer.send(op="auth", token="anything")
    assert viewer.silence() == []


def test_heartbeats_carry_the_heads_of_what_is_followed(quick, task):
    quick.publish(task, message(), message())
    with Viewer(quick) as viewer:
        assert viewer.wait("heartbeat")["heads"] == {}
        viewer.subscribe(task, types=["error"])
        viewer.subscribe(f"{task}-absent")
        viewer.wait("live")
        beat = viewer.until("heartbeat")[-1]
        assert beat["heads"] == {task: 2, f"{task}-absent": 0}
        assert abs(beat["timestamp"] - time.time() * 1000) < 10_000
        quick.publish(task, message())
        assert viewer.wait("heartbeat", heads={task: 3, f"{task}-absent": 0})


FAULTS = [
    ("", "invalid_message"),
    ("[]", "invalid_message"),
    ("{", "invalid_message"),
    ('{"op":1}', "invalid_message"),
    ("{}", "invalid_message"),
    ('{"op":"subscribe","task":"t","nonsense":"hunter2"}', "invalid_message"),
    ('{"op":"subscribe","task":"t","last":-1}', "invalid_message"),
    ('{"op":"shout"}', "unknown_op"),
    ('{"op":"subscribe"}', "missing_field"),
    ('{"op":"subscribe","task":"t","list":"tasks"}', "missing_field"),
    ('{"op":"unsubscribe"}', "missing_field"),
    ('{"op":"subscribe","task":"a b"}', "invalid_task_id"),
    ('{"op":"subscribe","list":"cats"}', "unknown_list"),
    ('{"op":"subscribe","task":"t","after":"17"}', "invalid_cursor"),
    ('{"op":"subscribe","task":"t","types":["x"]}', "unknown_type"),
    ('{"op":"subscribe","task":"t","invocation":""}', "invalid_invocation_id"),
    ('{"op":"subscribe","task":"t","series":"all"}', "invalid_series"),
    ('{"op":"subscribe","task":"t","last":1000001}', "invalid_last"),
]


@pytest.mark.parametrize(("text", "code"), FAULTS)
def test_a_message_that_makes_no_sense_is_named_and_the_socket_stays(viewer, text, code):
    viewer.socket.send(text)
    error = viewer.next()
    assert (error["op"], error["code"]) == ("error", code)
    assert error["message"] and "hunter2" not in error["message"]
    assert error.get("task") == ("t" if '"task":"t"' in text and code not in ("invalid_message",) else None)
    assert viewer.silence() == []
