"""The protocol `tasklight.v1` as a viewer meets it: subscribing, following, filtering, the list of tasks."""

import pytest
from hub import message
from viewer import Viewer, offsets, ops
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect


@pytest.fixture
def viewer(hub):
    with Viewer(hub) as viewer:
        yield viewer


def five(hub, task):
    return hub.publish(task, *[message(str(n)) for n in range(1, 6)])


def test_hello_comes_first_and_says_the_limits(viewer):
    assert viewer.hello["node"] and viewer.hello["heartbeatMs"] == 25_000
    limits = {"subscriptions": 256, "frameBytes": 65_536, "queueFrames": 256, "queueBytes": 262_144}
    assert viewer.hello["limits"] == limits


@pytest.mark.parametrize("offered", [["tasklight.v1"], ["tasklight.v1", "bearer.x"], ["graphql-ws", "tasklight.v1"]])
def test_the_subprotocol_is_echoed_whatever_stands_beside_it(hub, offered):
    with Viewer(hub, subprotocols=offered) as viewer:
        assert viewer.socket.subprotocol == "tasklight.v1"


@pytest.mark.parametrize("offered", [["graphql-ws"], ["tasklight.v2"], ["bearer.x"], ["Tasklight.V1"]])
def test_foreign_subprotocols_are_refused(hub, offered):
    with pytest.raises(InvalidStatus) as refused, connect(hub.ws_url, subprotocols=offered, proxy=None):
        pass
    assert refused.value.response.status_code == 400
    assert b"tasklight.v1" in refused.value.response.body


def test_no_subprotocol_at_all_is_accepted(hub):
    with Viewer(hub, subprotocols=None) as viewer:
        assert viewer.socket.subprotocol is None


def test_a_plain_request_is_told_to_upgrade(hub):
    answer = hub.request("GET", "/v1/ws")
    assert (answer.status, answer.json["code"]) == (426, "invalid_handshake")


def test_a_log_is_read_from_where_the_viewer_says(hub, viewer, task):
    cursors = [receipt["cursor"] for receipt in five(hub, task)]
    for start, expected in [
        ({}, [1, 2, 3, 4, 5]),
        ({"after": "start"}, [1, 2, 3, 4, 5]),
        ({"after": "end"}, []),
        ({"last": 2}, [4, 5]),
        ({"last": 0}, []),
        ({"last": 99}, [1, 2, 3, 4, 5]),
        ({"after": cursors[2]}, [4, 5]),
        ({"after": cursors[4]}, []),
        ({"after": cursors[1], "last": 1}, [3, 4, 5]),
        ({"after": cursors[0][:9] + "0"}, [1, 2, 3, 4, 5]),
    ]:
        viewer.subscribe(task, **start)
        messages = viewer.until("live", task=task)
        first = 6 - len(expected)
        assert messages[0] == {
            "op": "subscribed", "task": task, "epoch": cursors[0][:8], "floor": 1, "head": 5,
            "after": f"{cursors[0][:9]}{first - 1}",
        }, start
        assert ops(messages[1:-1]) == ["activity"] * len(expected), start
        assert offsets(messages) == expected, start
        assert messages[-1] == {"op": "live", "task": task, "offset": 5}, start


def test_an_activity_carries_every_field(hub, viewer, task):
    event = "0190c6a4-0000-7000-8000-000000000001"
    [receipt] = hub.publish(task, message("hi", eventId=event, timestamp=1_764_000_000_123))
    viewer.subscribe(task)
    activity = viewer.wait("activity")
    assert 1_764_000_000_123 < activity.pop("receivedAt")
    assert activity == {
        "op": "activity", "taskId": task, "offset": 1, "cursor": receipt["cursor"], "invocationId": "run-1", "eventId": event,
        "timestamp": 1_764_000_000_123, "type": "message", "data": {"text": "hi"},
    }


def test_a_task_that_does_not_exist_yet_is_waited_for(hub, viewer, task):
    viewer.subscribe(task)
    begun = viewer.wait("subscribed")
    assert (begun["epoch"], begun["head"], begun["after"]) == (None, 0, None)
    hub.publish(task, message("first"))
    messages = viewer.until("live", task=task)
    assert offsets(messages) == [1] and messages[-1]["offset"] == 1
    five(hub, task)
    assert offsets(viewer.until("activity", offset=6)) == [2, 3, 4, 5, 6]


def test_a_task_that_is_waited_for_from_the_end_misses_nothing(hub, viewer, task):
    viewer.subscribe(task, after="end")
    viewer.wait("subscribed")
    five(hub, task)
    assert offsets(viewer.until("activity", offset=5)) == [1, 2, 3, 4, 5]


def test_what_is_published_reaches_a_live_viewer_once_and_in_order(hub, viewer, task):
    five(hub, task)
    viewer.subscribe(task, after="end")
    viewer.wait("live")
    for n in range(20):
        hub.publish(task, message(str(n)), message(str(n)))
    assert offsets(viewer.until("activity", offset=45)) == list(range(6, 46))
    assert offsets(viewer.silence()) == []


def test_after_unsubscribing_nothing_comes(hub, viewer, task):
    five(hub, task)
    viewer.subscribe(task)
    viewer.wait("live")
    viewer.send(op="unsubscribe", task=task)
    assert viewer.wait("unsubscribed") == {"op": "unsubscribed", "task": task, "reason": "requested"}
    five(hub, task)
    assert viewer.silence() == []
    viewer.send(op="unsubscribe", task=task)
    assert viewer.silence() == [], "a task that is not followed is nothing to unsubscribe from"


def test_subscribing_again_begins_anew_with_the_new_filter(hub, viewer, task):
    five(hub, task)
    viewer.subscribe(task, types=["error"])
    viewer.wait("live")
    viewer.subscribe(task, last=1)
    messages = viewer.until("live")
    assert ops(messages) == ["subscribed", "activity", "live"] and offsets(messages) == [5]
    hub.publish(task, message("once"))
    assert offsets([viewer.wait("activity")] + viewer.silence()) == [6]


def test_two_tasks_are_followed_side_by_side(hub, viewer, task):
    other = f"{task}-other"
    for name in (task, other):
        five(hub, name)
        viewer.subscribe(name, after="end")
        viewer.wait("live", task=name)
    hub.publish(task, message("a"))
    assert viewer.wait("activity")["taskId"] == task
    hub.publish(other, message("b"))
    assert viewer.wait("activity")["taskId"] == other
    viewer.send(op="unsubscribe", task=task)
    viewer.wait("unsubscribed")
    hub.publish(task, message("c"))
    hub.publish(other, message("d"))
    assert viewer.wait("activity")["data"] == {"text": "d"}
