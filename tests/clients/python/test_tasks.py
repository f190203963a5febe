"""Tasks and runs as resources, the stream of one task, and what every answer carries."""

import http.client
import json
import os
import re
import time

import pytest
from hub import eventually, message


def of(kind, invocation="r", **data):
    return {"invocationId": invocation, "type": kind, "data": data}


def test_a_task_is_created_read_changed_and_deleted(hub, task):
    path = f"/v1/tasks/{task}"
    assert hub.request("GET", path).json["code"] == "task_not_found"
    assert hub.request("PATCH", path, {"title": "x"}).status == 404
    assert hub.request("DELETE", path).status == 404
    made = hub.request("PUT", path, {"title": "A build", "labels": {"team": "blue"}})
    assert (made.status, made.json["title"], made.json["labels"]) == (201, "A build", {"team": "blue"})
    assert (made.json["head"], made.json["floor"], len(made.json["epoch"])) == (0, 1, 8)
    again = hub.request("PUT", path, {"labels": {"team": "red"}})
    assert (again.status, again.json["labels"], again.json["epoch"]) == (200, {"team": "red"}, made.json["epoch"])
    assert hub.request("PATCH", path, {"title": None}).json["title"] is None
    hub.publish(task, of("status", status="running", agent="make"), of("usage", inputTokens=7))
    hub.publish(task, of("status", status="failed", exitCode=2, reason="it broke"))
    read = hub.get(path)
    assert (read["head"], read["status"], read["invocationCounts"]) == (3, "failed", {"failed": 1})
    assert read["lastActivity"]["offset"] == 3 and read["labels"] == {"team": "red"}
    [run] = read["invocations"]
    assert run == hub.get(f"{path}/invocations/r") == hub.get(f"{path}/invocations")["invocations"][0]
    assert (run["status"], run["agent"], run["exitCode"], run["reason"]) == ("failed", "make", 2, "it broke")
    assert run["usage"] == {"inputTokens": 7} and run["startedAt"] and run["completedAt"] and run["stalled"] is False
    assert hub.request("GET", f"{path}/invocations/other").json["code"] == "invocation_not_found"
    assert hub.request("DELETE", path).status == 204
    for gone in (path, f"{path}/activities", f"{path}/invocations"):
        assert hub.request("GET", gone).status == 404, gone


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"colour": "red"}, "invalid_field", "colour"),
        ({"title": "x" * 1_025}, "invalid_title", "title"),
        ({"title": "a\nb"}, "invalid_title", "title"),
        ({"labels": {"": "x"}}, "invalid_labels", "labels"),
        ({"labels": {"a": "x" * 257}}, "invalid_labels", "labels"),
        ({"labels": {str(n): "" for n in range(33)}}, "invalid_labels", "labels"),
        ("{", "invalid_json", "body"),
    ],
)
def test_a_description_that_does_not_fit_is_named(hub, task, body, code, field):
    answer = hub.request("PUT", f"/v1/tasks/{task}", body)
    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, code, field)
    assert hub.request("GET", f"/v1/tasks/{task}").status == 404


def test_the_list_is_filtered_and_paged_newest_activity_first(start):
    hub = start()
    for n in range(5):
        labels = {"team": "blue" if n % 2 else "red", "n": str(n)}
        hub.request("PUT", f"/v1/tasks/t{n}", {"title": f"Number {n}", "labels": labels})
        hub.publish(f"t{n}", of("status", status="completed" if n < 2 else "running"))
        eventually(lambda n=n: hub.get(f"/v1/tasks/t{n}")["lastActivityAt"] < int(time.time() * 1000))

    def ids(query=""):
        return [task["taskId"] for task in hub.get(f"/v1/tasks?{query}")["tasks"]]

    assert ids() == ["t4", "t3", "t2", "t1", "t0"]
    assert ids("status=completed") == ["t1", "t0"] and ids("status=failed") == []
    assert ids("label=team=blue") == ["t3", "t1"] and ids("label=team") == ["t4", "t3", "t2", "t1", "t0"]
    assert ids("label=team=red&label=n=2") == ["t2"] and ids("label=colour") == []
    assert ids("q=t3") == ["t3"] and ids("q=number+2") == ["t2"] and ids("q=%25") == []
    seen, page = [], ""
    while page is not None:
        answer = hub.get(f"/v1/tasks?limit=2&page={page}")
        assert len(answer["tasks"]) <= 2
        seen, page = seen + [task["taskId"] for task in answer["tasks"]], answer["next"]
    assert seen == ["t4", "t3", "t2", "t1", "t0"]
    hub.publish("t0", message())
    assert ids("limit=1") == ["t0"]
    for query, code, field in [("colour=red", "unknown_parameter", "colour"), ("status=asleep", "unknown_status", "status"),
                               ("limit=x", "invalid_limit", "limit"), ("page=x", "invalid_page", "page"),
                               ("q=" + "x" * 257, "text_too_long", "q"), ("&".join(["label=a"] * 9), "too_many_labels", "label")]:
        answer = hub.request("GET", f"/v1/tasks?{query}")
        assert (answer.status, answer.json["code"], answer.json["field"]) == (400, code, field)


def test_a_page_and_an_export_are_filtered_alike(hub, task):
    hub.publish(task, of("message", "a"), of("error", "a"), of("error", "b"), of("output", "b"))
    for query, expected in [("type=error", [2, 3]), ("type=error,output", [2, 3, 4]), ("type=error&type=output", [2, 3, 4]),
                            ("invocation=b", [3, 4]), ("type=error&invocation=b", [3]), ("limit=1", [1])]:
        path = f"/v1/tasks/{task}/activities?{query}"
        assert [activity["offset"] for activity in hub.get(path)["activities"]] == expected, query
        lines = hub.request("GET", path, headers={"Accept": "application/x-ndjson"}).body.decode().splitlines()
        assert [json.loads(line)["offset"] for line in lines] == expected, query


def test_an_export_is_the_whole_log(hub, task):
    for first in range(0, 2_500, 500):
        hub.publish(task, *[message(str(first + n)) for n in range(500)])
    lines = hub.request("GET", f"/v1/tasks/{task}/activities", headers={"Accept": "application/x-ndjson"}).body.splitlines()
    assert [json.loads(line)["offset"] for line in lines] == list(range(1, 2_501))


def stream(hub, path, headers=None):
    """The stream's events as name, id and data, without end."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=15)
    connection.request("GET", path, headers=headers or {})
    answer, event = connection.getresponse(), {}
    assert answer.status == 200, answer.read()
    try:
        for line in iter(answer.readline, b""):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                event[name] = value
            elif "data" in event:
                yield event.get("event", "message"), event.get("id"), json.loads(event["data"])
                event = {}
            else:
                event = {}
    finally:
        connection.close()


def test_a_stream_goes_on_after_the_last_event_id(hub, task):
    cursors = [receipt["cursor"] for receipt in hub.publish(task, message("1"), message("2"), message("3"))]

    def until_live(path, headers=None):
        found = []
        for name, cursor, data in stream(hub, path, headers):
            if name == "live":
                return found
            if "offset" in data and "taskId" in data:
                assert cursor == data["cursor"]
                found.append(data["offset"])

    path = f"/v1/tasks/{task}/stream"
    assert until_live(path) == [1, 2, 3] and until_live(f"{path}?after=end") == [] and until_live(f"{path}?last=1") == [3]
    assert until_live(f"{path}?after={cursors[0]}") == [2, 3]
    assert until_live(f"{path}?after={cursors[0]}", {"Last-Event-ID": cursors[1]}) == [3], "the newer of the two wins"
    for query, headers, field in [("after=17", {}, "after"), ("", {"Last-Event-ID": "x"}, "Last-Event-ID")]:
        answer = hub.request("GET", f"{path}?{query}", headers=headers)
        assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "invalid_cursor", field)


def test_unknown_addresses_and_methods_are_problems(hub, task):
    for method, path, status, code in [
        ("GET", "/nothing", 404, "route_not_found"), ("GET", "/v1/tasks/", 404, "route_not_found"),
        ("DELETE", "/v1/tasks", 405, "method_not_allowed"), ("PUT", f"/v1/tasks/{task}/activities", 405, "method_not_allowed"),
        ("GET", "/v1/tasks/a%20b", 400, "invalid_task_id"), ("GET", "/v1/tasks/-x", 400, "invalid_task_id"),
        ("GET", "/v1/tasks/..%2f..%2fetc", 400, "invalid_task_id"), ("GET", "/v1/tasks/%ff", 400, "invalid_path"),
        ("POST", f"/v1/tasks/{'x' * 129}/activities", 400, "invalid_task_id"),
    ]:
        answer = hub.request(method, path)
        assert (answer.status, answer.json["code"]) == (status, code), path
        assert answer.headers["content-type"] == "application/problem+json"


def test_every_answer_carries_the_security_headers(hub):
    for path in ("/", "/v1/tasks", "/nothing", "/openapi.json", "/v1/ws", "/tasks/any"):
        for headers in ({}, {"Host": "evil.example"}, {"Origin": "null"}):
            found = hub.request("GET", path, headers=headers).headers
            assert found["x-content-type-options"] == "nosniff" and found["referrer-policy"] == "no-referrer"
            policy = found["content-security-policy"]
            assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
            page = path in ("/", "/tasks/any") and not headers
            assert ("script-src 'self'" in policy, "sandbox" in policy) == (page, not page), path
            assert found["cross-origin-resource-policy"] == "same-origin" and "access-control-allow-origin" not in found


def test_the_page_gives_its_own_files_and_no_others(hub):
    page = hub.request("GET", "/").body.decode()
    scripts = re.findall(r'/assets/[\w.-]+\.js', page)
    assert scripts, "the page was built"
    for script in scripts:
        assert hub.request("GET", script).status == 200
        assert hub.request("GET", f"{script}.map").status == 404, "no source maps"
        assert b"sourceMappingURL" not in hub.request("GET", script).body
    up = ["../" * n for n in (1, 2, 3)]
    encoded = [text.replace("/", "%2f") for text in up] + [text.replace(".", "%2e").replace("/", "%2F") for text in up]
    for climb in [*up, *encoded, "..%5c..%5c", "%00", "//", "/" + os.getcwd() + "/"]:
        for start in ("/assets/", "/"):
            for name in ("Cargo.toml", "package.json", "etc/passwd"):
                answer = hub.request("GET", f"{start}{climb}{name}")
                assert answer.status in (400, 404) and answer.json["code"], f"{start}{climb}{name}: {answer.status}"


def test_health_readiness_and_metrics_are_the_operators_alone(hub):
    for path in ("/healthz", "/readyz", "/metrics"):
        assert hub.request("GET", path).status == 404 and hub.admin(path).status == 200, path
    assert hub.admin("/readyz").json["ready"] is True
    assert hub.admin("/metrics").body.decode().rstrip().endswith("# EOF")
    assert hub.admin("/v1/tasks").status == 404, "and they get nothing else there"


@pytest.mark.parametrize("body", ["[null, null]", "[]", ' [{"title": "x"}]', "1", '"x"'])
def test_a_body_that_is_no_object_describes_nothing(hub, task, body):
    for method in ("PUT", "PATCH"):
        answer = hub.request(method, f"/v1/tasks/{task}", body)
        assert answer.status == 400 and answer.json["code"] in ("invalid_json", "invalid_field"), (method, body, answer)
    assert hub.request("GET", f"/v1/tasks/{task}").status == 404
