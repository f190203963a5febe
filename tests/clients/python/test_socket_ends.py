"""How a session's limits, a log's ends and foreign pages are met."""

import contextlib

import pytest
from hub import message
from viewer import Viewer, offsets, ops
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


@pytest.fixture
def viewer(hub):
    with Viewer(hub) as viewer:
        yield viewer


def test_fifteen_faults_are_forgiven_and_the_sixteenth_closes(viewer):
    for _ in range(15):
        viewer.socket.send("nonsense")
        assert viewer.wait("error")["code"] == "invalid_message"
    assert viewer.silence() == []
    viewer.socket.send("nonsense")
    assert viewer.wait("error")["code"] == "invalid_message"
    assert viewer.closed()[0] == 1008


def test_a_binary_message_closes(viewer):
    viewer.socket.send(b"\x01\x02")
    assert viewer.closed()[0] == 1008


def test_a_message_that_is_too_long_closes(viewer):
    viewer.socket.send('{"op":"ping"' + " " * 65_523 + "}")
    assert viewer.next()["op"] == "pong", "exactly at the limit it is taken"
    viewer.socket.send('{"op":"ping"' + " " * 65_524 + "}")
    assert viewer.closed()[0] == 1009


def test_fragments_are_joined_and_bounded_together(viewer):
    viewer.socket.send(iter(['{"op":', '"ping"}']))
    assert viewer.next()["op"] == "pong"
    with contextlib.suppress(ConnectionClosed):  # the hub need not wait for the last fragment
        viewer.socket.send(iter(['{"op":"ping"', " " * 40_000, " " * 40_000, "}"]))
    assert viewer.closed()[0] == 1009


def test_the_257th_subscription_is_refused_and_the_others_go_on(hub, viewer, task):
    for n in range(256):
        viewer.subscribe(f"{task}-{n}")
        viewer.wait("subscribed")
    viewer.subscribe(f"{task}-256")
    error = viewer.next()
    assert (error["op"], error["code"], error["task"]) == ("error", "too_many_subscriptions", f"{task}-256")
    viewer.subscribe(f"{task}-7")
    assert viewer.wait("subscribed")["task"] == f"{task}-7", "one that is followed already may begin anew"
    hub.publish(f"{task}-255", message())
    assert viewer.wait("activity")["taskId"] == f"{task}-255"
    viewer.send(op="unsubscribe", task=f"{task}-0")
    viewer.wait("unsubscribed")
    viewer.subscribe(f"{task}-256")
    assert viewer.wait("subscribed")["task"] == f"{task}-256"


def other_epoch(epoch):
    return f"{int(epoch, 16) ^ 1:08x}"


def test_a_cursor_of_another_life_of_the_log_is_reset(hub, viewer, task):
    epoch = hub.publish(task, *[message()] * 3)[0]["cursor"][:8]
    for cursor, more, expected in [
        (f"{other_epoch(epoch)}-2", {}, [1, 2, 3]),
        (f"{epoch}-4", {}, [1, 2, 3]),
        (f"{epoch}-9007199254740991", {}, [1, 2, 3]),
        (f"{other_epoch(epoch)}-2", {"last": 1}, [3]),
    ]:
        viewer.subscribe(task, after=cursor, **more)
        messages = viewer.until("live")
        assert ops(messages[:2]) == ["subscribed", "reset"], cursor
        assert messages[1] == {"op": "reset", "task": task, "epoch": epoch}
        assert offsets(messages) == expected, (cursor, more)


def test_a_viewer_of_a_deleted_task_is_told_and_a_new_life_is_another_epoch(hub, viewer, task):
    old = hub.publish(task, message("old"))[0]["cursor"]
    viewer.subscribe(task)
    viewer.wait("live")
    assert hub.request("DELETE", f"/v1/tasks/{task}").status == 204
    assert viewer.until("unsubscribed") == [{"op": "unsubscribed", "task": task, "reason": "deleted"}]
    new = hub.publish(task, message("new"), message("newer"))[0]["cursor"]
    assert new[:8] != old[:8] and new[9:] == "1"
    assert viewer.silence() == []
    viewer.subscribe(task, after=old)
    messages = viewer.until("live")
    assert ops(messages) == ["subscribed", "reset", "activity", "activity", "live"]
    assert messages[2]["data"] == {"text": "new"}


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:{port}.evil.example", "http://127.0.0.1:1", "file://127.0.0.1:{port}"]
)
def test_pages_of_other_origins_are_refused(hub, origin):
    with pytest.raises(InvalidStatus) as refused, connect(hub.ws_url, origin=origin.format(port=hub.port), proxy=None):
        pass
    assert refused.value.response.status_code == 403
    assert b"origin_forbidden" in refused.value.response.body


def test_the_hubs_own_page_may_connect(hub):
    with Viewer(hub, origin=f"http://127.0.0.1:{hub.port}") as viewer:
        assert viewer.silence() == []


def test_an_origin_of_the_list_may_connect(start):
    hub = start(http__origins="https://dash.example.com")
    with Viewer(hub, origin="https://dash.example.com") as viewer:
        assert viewer.silence() == []
    with pytest.raises(InvalidStatus), connect(hub.ws_url, origin="http://dash.example.com", proxy=None):
        pass


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:{port}", ""])
def test_a_name_that_is_not_loopbacks_is_misdirected(hub, host):
    for path in ("/v1/ws", "/v1/tasks", "/"):
        answer = hub.request("GET", path, headers={"Host": host.format(port=hub.port)})
        assert (answer.status, answer.json["code"]) == (421, "host_forbidden"), path


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "localhost"])
def test_loopbacks_own_names_are_answered(hub, host):
    assert hub.request("GET", "/v1/tasks", headers={"Host": host.format(port=hub.port)}).status == 200
