"""Publishing over HTTP: what is taken, what is refused and how it is named, and that payloads come back as they were sent."""

import http.client
import json
import uuid

import pytest
from hub import message


def item(rest, kind="message"):
    return f'{{"invocationId":"r","type":"{kind}"{"," if rest else ""}{rest}}}'


def nested(depth):
    """A payload of this many levels."""
    return '{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


REFUSED = [
    ('{"type":"message"}', "missing_field", "invocationId"),
    ('{"invocationId":null,"type":"message"}', "missing_field", "invocationId"),
    ('{"invocationId":7,"type":"message"}', "wrong_type", "invocationId"),
    ('{"invocationId":"","type":"message"}', "invalid_invocation_id", "invocationId"),
    ('{"invocationId":"a\\nb","type":"message"}', "invalid_invocation_id", "invocationId"),
    (f'{{"invocationId":"{"x" * 129}","type":"message"}}', "invalid_invocation_id", "invocationId"),
    ('{"invocationId":"r","data":{}}', "missing_field", "type"),
    (item("", "nonsense"), "unknown_type", "type"),
    (item('"text":"hi"'), "unknown_field", "text"),
    (item('"offset":1'), "unknown_field", "offset"),
    (item('"type":"message"'), "duplicate_field", "type"),
    (item('"data":[]'), "wrong_type", "data"),
    (item('"data":"x"'), "wrong_type", "data"),
    (item('"eventId":"x"'), "invalid_event_id", "eventId"),
    (item('"eventId":7'), "wrong_type", "eventId"),
    (item('"timestamp":1.5'), "invalid_timestamp", "timestamp"),
    (item('"timestamp":-1'), "invalid_timestamp", "timestamp"),
    (item('"timestamp":1e3'), "invalid_timestamp", "timestamp"),
    (item('"timestamp":"1"'), "invalid_timestamp", "timestamp"),
    (item('"timestamp":9007199254740992'), "invalid_timestamp", "timestamp"),
    (item('"taskId":"other"'), "task_mismatch", "taskId"),
    (item('"taskId":"a b"'), "invalid_task_id", "taskId"),
    (item(f'"data":{nested(65)}'), "too_deep", "data"),
    (item(f'"data":{{"a":{"9" * 65}}}'), "number_too_long", "data"),
    (item('"data":{"a":"\x01"}'), "invalid_json", None),
    (item("", "status"), "missing_field", "data.status"),
    (item('"data":{"status":"asleep"}', "status"), "unknown_status", "data.status"),
    (item('"data":{"status":7}', "status"), "wrong_type", "data.status"),
    (item('"data":{"status":"running","agent":1}', "status"), "wrong_type", "data.agent"),
    (item('"data":{"status":"failed","exitCode":1.5}', "status"), "wrong_type", "data.exitCode"),
    (item('"data":{"seriesId":7}'), "wrong_type", "data.seriesId"),
    (item('"data":{"seriesId":""}'), "invalid_series_id", "data.seriesId"),
    ("{", "invalid_json", None),
    (item('"data":{"a":01}'), "invalid_json", None),
    (item('"data":{"a":NaN}'), "invalid_json", None),
    ("7", "wrong_type", None),
    ("", "empty_body", "body"),
    (" \n ", "empty_body", "body"),
    ("[1,", "invalid_json", "body"),
]


@pytest.mark.parametrize(("body", "code", "field"), REFUSED)
def test_what_is_refused_is_named_by_code_and_field(hub, task, body, code, field):
    answer = hub.post(task, body)
    assert answer.status == 400 and answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert (problem["code"], problem.get("field")) == (code, field), problem
    assert problem["status"] == 400 and problem["title"] and problem["detail"] and problem["type"]
    assert hub.request("GET", f"/v1/tasks/{task}").status == 404, "nothing was made of it"


def test_what_is_too_large_is_413(hub, task):
    whole = item(f'"data":{{"a":"{"x" * 65_536}"}}')
    fits = whole.replace("x" * (len(whole) - 65_536), "", 1)
    assert len(fits) == 65_536 and hub.post(task, fits).status == 200
    answer = hub.post(task, whole)
    assert (answer.status, answer.json["code"]) == (413, "activity_too_large")
    for separator, ends in ((",", "[]"), ("\n", ("", ""))):
        answer = hub.post(task, ends[0] + separator.join([item("")] * 1_001) + ends[1])
        assert (answer.status, answer.json["code"]) == (413, "too_many_activities")
    answer = hub.request("POST", f"/v1/tasks/{task}/activities", headers={"Content-Length": str((4 << 20) + 1)})
    assert (answer.status, answer.json["code"]) == (413, "body_too_large"), "known from the headers, before the body is sent"
    assert hub.post(task, b"[" + b" " * ((4 << 20) - 2) + b"]").status == 200, "exactly at the limit it is taken"


def test_a_body_without_length_is_bounded_all_the_same(hub, task):
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=15)
    connection.request("POST", f"/v1/tasks/{task}/activities", iter([item("").encode()]), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    answer = connection.getresponse()
    assert answer.status == 200 and json.loads(answer.read())["results"][0]["offset"] == 1
    try:
        connection.request("POST", f"/v1/tasks/{task}/activities", (b" " * 65_536 for _ in range(65)), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # cut off while it still sent
    finally:
        connection.close()


def test_a_hundred_thousand_brackets_are_refused_and_the_hub_lives(hub, task):
    for body in ("[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 20_000, item('"data":{"a":' + "[" * 60_000)):
        answer = hub.post(task, body)
        assert answer.status in (400, 413, 422), answer
        assert answer.headers["content-type"] == "application/problem+json"
    assert hub.post(task, item("")).status == 200


def test_the_limits_themselves_fit(hub, task):
    for rest in (f'"data":{nested(64)}', f'"data":{{"a":{"9" * 64}}}', '"timestamp":9007199254740991', '"timestamp":0'):
        assert hub.post(task, item(rest)).status == 200, rest


def test_good_items_of_a_mixed_batch_are_committed(hub, task):
    answer = hub.post(task, f'[{item("")},{item("", "nonsense")},7,{item("")},{item("", "heartbeat")}]')
    assert answer.status == 200
    results = answer.json["results"]
    assert [result.get("offset") for result in results] == [1, None, None, 2, None]
    assert (results[1]["error"]["code"], results[1]["error"]["field"]) == ("unknown_type", "type")
    assert results[2]["error"]["code"] == "wrong_type" and results[4] == {"heartbeat": True}
    assert [activity["offset"] for activity in hub.activities(task)] == [1, 2]
    answer = hub.post(task, f'[{item("", "nonsense")},7]')
    assert (answer.status, answer.json["code"]) == (422, "all_refused")
    assert [result["error"]["code"] for result in answer.json["results"]] == ["unknown_type", "wrong_type"]


def test_an_object_an_array_and_lines_are_told_apart(hub, task):
    pretty = json.dumps(json.loads(item("")), indent=1)
    one = item("")
    for body, count in [(one, 1), (pretty, 1), (f"[{one}, {one}]", 2), (f"{one}\r\n\n{one}\n", 2), ("[]", 0)]:
        answer = hub.post(task, body)
        assert answer.status == 200 and len(answer.json["results"]) == count, body
    answer = hub.post(task, f"{item('')}\nnot json\n{item('')}")
    assert [result.get("error", {}).get("code") for result in answer.json["results"]] == [None, "invalid_json", None]


def test_the_same_event_gives_the_same_receipt(hub, task):
    event = str(uuid.uuid4())
    first = hub.publish(task, message("a", eventId=event))[0]
    assert first["duplicate"] is False and first["eventId"] == event
    again = hub.publish(task, message("other", eventId=event.upper()), message("b"), message("c", eventId=event))
    assert again[0] == again[2] == {**first, "duplicate": True} and again[1]["offset"] == 2
    assert [activity["data"]["text"] for activity in hub.activities(task)] == ["a", "b"]
    assert hub.publish(f"{task}-other", message("a", eventId=event))[0]["duplicate"] is False, "keys belong to their task"


def test_a_status_that_cannot_follow_is_a_conflict(hub, task):
    def status(word):
        return {"invocationId": "r", "type": "status", "data": {"status": word}}

    hub.publish(task, status("running"), status("completed"))
    answer = hub.post(task, status("running"))
    assert (answer.status, answer.json["code"], answer.json["field"]) == (409, "status_transition", "data.status")
    assert hub.get(f"/v1/tasks/{task}")["head"] == 2
