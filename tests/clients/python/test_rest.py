"""Payloads as they come back, reading in pages, tasks as resources, and what every answer carries."""

import http.client
import json

from hub import message
from viewer import Viewer

# Spaces, escapes, the order of fields, zeros and great numbers: all of it is the publisher's own text.
PAYLOADS = [
    '{"b": 1.50, "a":"\\u00e9", "a2": [1 , 2], "z":{ }}',
    '{"n":12345678901234567890123456789012345678901234567890,"e":1E+400,"m":-0.0}',
    '{"text":"\\"\\\\\\/\\b\\f\\n\\r\\t \u2028\u2029 \U0001f9ea é","k\\u0065y":null}',
    '{"a":1,"a":2}',
    "{}",
    "{ }",
    '{"pair":"\\ud83e\\uddea"}',
]


def body_of(data):
    return f'{{"data":{data}, "type":"custom","invocationId":"r"}}'


def sse(hub, path, count, headers=None):
    """The data of that many activities from a stream."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=15)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.getheader("content-type") == "text/event-stream"
        assert answer.getheader("x-accel-buffering") == "no"
        found, name = [], None
        while len(found) < count:
            line = answer.readline().decode().rstrip("\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: ") and name in (None, "activity"):
                found.append(line[6:])
            elif not line:
                name = None
        return found
    finally:
        connection.close()


def raw_data(text):
    """The text of `data`, which is an activity's last field."""
    start = text.index('"data":') + 7
    return text[start : text.rindex("}")]


def everywhere(hub, task, count):
    """The payloads' texts as each way of reading gives them."""
    lines = hub.request("GET", f"/v1/tasks/{task}/activities", headers={"Accept": "application/x-ndjson"})
    assert lines.headers["content-type"] == "application/x-ndjson"
    yield "ndjson", [raw_data(line) for line in lines.body.decode().split("\n")[:-1]]
    cursor, rest = "start", []
    while cursor:
        page = hub.request("GET", f"/v1/tasks/{task}/activities?limit=1&after={cursor}")
        text = page.body.decode()
        rest.append(raw_data(text[: text.rindex("],")]))
        cursor = page.json["next"]
    yield "rest", rest
    yield "sse", [raw_data(text) for text in sse(hub, f"/v1/tasks/{task}/stream", count)]
    with Viewer(hub) as viewer:
        viewer.subscribe(task)
        texts = []
        while len(texts) < count:
            text = viewer.text()
            if json.loads(text)["op"] == "activity":
                texts.append(raw_data(text))
    yield "websocket", texts


def test_payloads_come_back_byte_for_byte_also_after_a_restart(start):
    hub = start()
    with Viewer(hub) as live:
        live.subscribe("t")
        live.wait("subscribed")
        for n, data in enumerate(PAYLOADS, 1):
            answer = hub.post("t", body_of(data))
            assert answer.status == 200 and answer.json["results"][0]["offset"] == n
            text = live.text()
            while json.loads(text)["op"] != "activity":
                text = live.text()
            assert raw_data(text) == data
        for way, texts in everywhere(hub, "t", len(PAYLOADS)):
            assert texts == PAYLOADS, way
    hub.restart()
    for way, texts in everywhere(hub, "t", len(PAYLOADS)):
        assert texts == PAYLOADS, f"{way} after the restart"


def test_nul_and_lone_surrogates_are_replaced(hub, task):
    for data, expected in [
        ('{"a":"x\\u0000y"}', "x\ufffdy"),
        ('{"a":"\\ud83d"}', "\ufffd"),
        ('{"a":"\\udc00\\ud83d"}', "\ufffd\ufffd"),
        ('{"a":"\\ud83d\\u0041"}', "\ufffdA"),
        ('{"a":"\\ud83d\\ud83e\\uddea"}', "\ufffd\U0001f9ea"),
        ('{"a":"\\\\u0000"}', "\\u0000"),
    ]:
        assert hub.post(task, body_of(data)).status == 200, data
        assert hub.activities(task)[-1]["data"] == {"a": expected}, data
    for way, texts in everywhere(hub, task, 6):
        assert all("\\u0000" not in text.replace("\\\\u0000", "") for text in texts), way


def test_a_field_name_with_nul_is_replaced_too(hub, task):
    assert hub.post(task, body_of('{"a\\u0000":1}')).status == 200
    assert hub.activities(task)[0]["data"] == {"a\ufffd": 1}


def test_a_body_that_is_not_utf8_is_refused(hub, task):
    for bad in (b"\xff", b"\xed\xa0\x80"):
        answer = hub.post(task, body_of('{"a":"?"}').encode().replace(b"?", bad))
        assert answer.status == 400 and answer.json["code"] == "invalid_json", answer


def test_pages_go_forward_and_backward(hub, task):
    cursors = [receipt["cursor"] for receipt in hub.publish(task, *[message(str(n)) for n in range(7)])]

    def page(query):
        answer = hub.get(f"/v1/tasks/{task}/activities?{query}")
        assert (answer["head"], answer["floor"], answer["epoch"]) == (7, 1, cursors[0][:8])
        return [activity["offset"] for activity in answer["activities"]], answer["next"]

    assert page("") == ([1, 2, 3, 4, 5, 6, 7], None)
    assert page("limit=3") == ([1, 2, 3], cursors[2])
    assert page(f"limit=3&after={cursors[2]}") == ([4, 5, 6], cursors[5])
    assert page(f"limit=3&after={cursors[5]}") == ([7], None)
    assert page("after=end") == ([], None)
    back, seen = cursors[6][:9] + "8", []
    while back:
        found, back = page(f"limit=3&before={back}")
        assert sorted(found) in ([5, 6, 7], [2, 3, 4], [1]), found
        seen += sorted(found, reverse=True)
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_cursors_that_cannot_be_continued_are_named(hub, task):
    [receipt] = hub.publish(task, message())
    foreign = f"{int(receipt['cursor'][:8], 16) ^ 1:08x}-1"
    for query, status, code, field in [
        (f"after={foreign}", 409, "cursor_reset", "after"),
        (f"before={foreign}", 409, "cursor_reset", "before"),
        (f"after={receipt['cursor'][:9]}2", 409, "cursor_reset", "after"),
        ("after=17", 400, "invalid_cursor", "after"),
        ("before=start", 400, "invalid_cursor", "before"),
        (f"after=start&before={receipt['cursor']}", 400, "conflicting_parameters", "before"),
        ("limit=0", 400, "invalid_limit", "limit"),
        ("limit=1001", 400, "invalid_limit", "limit"),
        ("type=nonsense", 400, "unknown_type", "type"),
        ("series=all", 400, "invalid_series", "series"),
        ("invocation=" + "x" * 129, 400, "invalid_invocation_id", "invocation"),
        ("colour=red", 400, "unknown_parameter", "colour"),
    ]:
        answer = hub.request("GET", f"/v1/tasks/{task}/activities?{query}")
        assert (answer.status, answer.json["code"], answer.json["field"]) == (status, code, field), query


def test_a_heartbeat_is_held_to_the_form_of_an_activity(hub, task):
    beat = {"invocationId": "run-1", "type": "heartbeat"}
    assert hub.post(task, {**beat, "data": {"any": 1}}).json == {"results": [{"heartbeat": True}]}
    assert hub.post(task, {**beat, "data": None}).json == {"results": [{"heartbeat": True}]}
    refused = hub.post(task, {**beat, "data": [1]})
    assert (refused.status, refused.json["code"], refused.json["field"]) == (400, "wrong_type", "data")
