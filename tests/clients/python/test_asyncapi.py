"""docs/asyncapi.json is what passes on the wire: everything is brought about once, and each message in either direction must be described, each
description must have been met, and nothing else may be in it."""

import contextlib
import itertools
import json
import os
import sqlite3
import uuid

import pytest
from described import Described, document
from heard import SECRET, Redis, Socket, Stream, token
from hub import Hub, eventually, message
from raw import Raw
from websockets.exceptions import ConnectionClosed

KEY = "tle_agent7_000102030405060708090a0b0c0d0e0f"
ERRORS = {
    '{"op":1}': "invalid_message",
    '{"op":"ping","nonsense":1}': "invalid_message",
    '{"op":"shout"}': "unknown_op",
    '{"op":"subscribe"}': "missing_field",
    '{"op":"auth"}': "missing_field",
    '{"op":"subscribe","task":"a b"}': "invalid_task_id",
    '{"op":"subscribe","list":"cats"}': "unknown_list",
    '{"op":"subscribe","task":"t","after":"17"}': "invalid_cursor",
    '{"op":"subscribe","task":"t","last":1000001}': "invalid_last",
    '{"op":"subscribe","task":"t","types":["x"]}': "unknown_type",
    '{"op":"subscribe","task":"t","invocation":""}': "invalid_invocation_id",
    '{"op":"subscribe","task":"t","series":"all"}': "invalid_series",
}


class Stories:
    """Hubs, and what is made to happen on them."""

    def __init__(self, folder):
        self.folder, self.described, self.hubs = folder, Described(), []

    def hub(self, **settings):
        directory = self.folder / f"hub-{len(self.hubs)}"
        directory.mkdir()
        env = {f"TASKLIGHT__{name.upper()}": str(value) for name, value in settings.items()}
        self.hubs.append(Hub(str(directory), env))
        return self.hubs[-1]

    def socket(self, hub, **more):
        return Socket(hub, self.described, **more)

    def stream(self, hub, task, query=""):
        return Stream(hub, self.described, task, query)

    def following(self):
        """Two tasks and the list, from every place, with every filter; a log that ends, and one that lost its beginning."""
        hub = self.hub(session__heartbeat="300ms", session__drain_spread="1s")
        self._socket_story(hub)
        self._stream_story(hub)
        hub.publish("trimmed", *[message(str(n)) for n in range(5)])
        hub.terminate()
        assert hub.wait() == 0
        store = sqlite3.connect(hub.store)
        with store:
            store.execute('DELETE FROM activities WHERE "offset" < 4')
            store.execute("UPDATE tasks SET floor = 4 WHERE name = 'trimmed'")
        store.close()
        hub.start()
        with self.socket(hub) as viewer, self.stream(hub, "trimmed", f"?after={self.cursor(hub, 'trimmed', 1)}") as stream:
            viewer.subscribe("trimmed", after=self.cursor(hub, "trimmed", 1))
            viewer.wait("truncated", floor=4)
            viewer.wait("live")
            stream.until("truncated")
            stream.until("live")
            hub.terminate()
            assert viewer.wait("drain")["cursors"] == {"trimmed": self.cursor(hub, "trimmed", 5)}
            stream.until("drain")
            assert viewer.closed()[0] == 1012
        assert hub.wait() == 0

    def cursor(self, hub, task, offset):
        if not hasattr(self, "epoch"):
            self.epoch = hub.get(f"/v1/tasks/{task}")["epoch"]
        return f"{self.epoch}-{offset}"

    def _socket_story(self, hub):
        with self.socket(hub) as viewer:
            viewer.send(op="subscribe", list="tasks")
            viewer.wait("live", list="tasks")
            viewer.subscribe("a")
            assert viewer.wait("subscribed")["epoch"] is None
            cursor = hub.publish("a", message("1"), message("2"))[0]["cursor"]
            viewer.wait("live", task="a")
            viewer.wait("task", taskId="a")
            viewer.wait("heartbeat", heads={"a": 2})
            for start in ({"after": "start"}, {"after": "end"}, {"last": 1}, {"after": cursor}, {"types": ["message"]}, {"invocation": "run-1"}):
                viewer.subscribe("a", **start)
                viewer.wait("live", task="a")
            viewer.subscribe("a", types=["error"], series="final")
            viewer.wait("live")
            hub.publish("a", message("3"))
            viewer.wait("cursor", offset=3)
            viewer.subscribe("a", after=f"{int(cursor[:8], 16) ^ 1:08x}-1", last=1)
            viewer.wait("reset")
            viewer.send(op="unsubscribe", task="a")
            viewer.wait("unsubscribed", reason="requested")
            viewer.subscribe("a")
            viewer.wait("live")
            assert hub.request("DELETE", "/v1/tasks/a").status == 204
            viewer.wait("unsubscribed", reason="deleted")
            viewer.wait("task", deleted=True)
            viewer.send(op="unsubscribe", list="tasks")
            assert all(told["op"] == "heartbeat" for told in viewer.silence())

    def _stream_story(self, hub):
        with self.stream(hub, "b") as stream, self.stream(hub, "b", "?type=error") as errors:
            stream.until("subscribed")
            hub.publish("b", message("1"), message("2"))
            told = stream.until("live")
            assert [one["offset"] for one in told if one["op"] == "activity"] == [1, 2]
            errors.until("live")
            hub.publish("b", message("3"))
            errors.until("cursor")
            assert hub.request("DELETE", "/v1/tasks/b").status == 204
            stream.until("unsubscribed")
        cursor = hub.publish("c", message("1"))[0]["cursor"]
        with self.stream(hub, "c", f"?after={int(cursor[:8], 16) ^ 1:08x}-1") as stream:
            stream.until("reset")

    def refusals(self):
        """Whatever is not described is refused, and whatever is refused has a code that is described."""
        hub = self.hub(limits__subscriptions=1)
        with self.socket(hub) as viewer:
            assert viewer.wrong("nonsense") == "invalid_message"
            for text, code in ERRORS.items():
                assert viewer.wrong(text) == code, text
            viewer.subscribe("a")
            viewer.subscribe("b")
            viewer.wait("error", code="too_many_subscriptions", task="b")
            viewer.socket.send("nonsense")
            for _ in range(4):
                with contextlib.suppress(ConnectionClosed):
                    viewer.socket.send("nonsense")
            assert viewer.closed()[0] == 1008
        short = self.hub(limits__memory=f"{hub.rss() // (1 << 20) + 24}MiB")
        tasks = (f"t-{n}" for n in itertools.count())

        def is_short():
            # Rings of tasks that are watched fill up.
            task = next(tasks)
            viewer.subscribe(task, after="end")
            # What was published before comes first.
            while (told := viewer.next()).get("task") != task:
                pass
            return told.get("code") == "overloaded" or short.post(task, [message("x" * 60_000)] * 40).status == 503

        with self.socket(short) as viewer:
            eventually(is_short, 60, "it never runs short")
            viewer.subscribe("more")
            viewer.wait("error", code="overloaded", task="more")

    def ends(self):
        """Every way in which a hub closes a socket."""
        hub = self.hub(session__message_timeout="300ms")
        for payload, more in ((b"\x03", {"first": 0xF0}), (b"\xff", {}), (b"x" * 70_000, {})):
            with Raw(hub) as raw:
                raw.frame(payload, **more)
                self.described.closed.add(raw.closed())
        with Raw(hub) as raw:
            raw.socket.sendall(b"\x81")
            self.described.closed.add(raw.closed())
        secret = {"auth__hmac_secret": SECRET, "auth__first_message_timeout": "1s", "limits__sessions_per_subject": 1}
        # Where nobody publishes keys: a token with such a key cannot be looked at.
        hub = self.hub(**secret, auth__jwks_url="http://127.0.0.1:1/keys")
        ann = f"bearer.{token('ann', ['a', 'b'])}"
        with self.socket(hub, subprotocols=["tasklight.v1", ann]) as viewer:
            viewer.subscribe("c")
            viewer.wait("error", code="forbidden", task="c")
            viewer.subscribe("b")
            viewer.wait("subscribed")
            viewer.send(op="auth", token=token("ann", ["a"]))
            viewer.wait("unsubscribed", task="b", reason="forbidden")
            viewer.send(op="auth", token=token("ann", ["a"], alg="RS256", kid="k"))
            viewer.wait("error", code="keys_unavailable")
            with self.socket(hub) as second:
                second.subscribe("a")
                second.wait("error", code="token_missing", task="a")
                second.send(op="auth", token=token("ann", ["a"]))
                assert second.closed()[0] == 4429
            viewer.send(op="auth", token=token("bob", ["a"]))
            assert viewer.closed()[0] == 4403
        with self.socket(hub) as viewer:
            assert viewer.closed()[0] == 4401

    def over_redis(self):
        keys = self.folder / "keys.toml"
        keys.write_text(f'[[key]]\nkey = "{KEY}"\nsubject = "agent-7"\npublish = ["*"]\n')
        prefix = f"test-{uuid.uuid4().hex[:12]}:"
        url = os.environ["TASKLIGHT_TEST_REDIS_URL"]
        self.hub(broker__url=url, broker__prefix=prefix, ingest__envelopes="accepted", ingest__envelope_keys=keys)
        redis = Redis(url, prefix, self.described)
        try:
            one, two, three, wrong = (str(uuid.uuid4()) for _ in range(4))
            redis.publish("t", message("1", eventId=one))
            redis.answered(lambda answer: one in answer.get("eventIds", []))
            redis.publish("t", [message("2", eventId=two), {"invocationId": "run-1", "type": "heartbeat"}])
            redis.publish("t", {"invocationId": "run-1", "type": "heartbeat"})
            redis.publish("t", redis.sealed("t", KEY, message("3", eventId=three)))
            redis.answered(lambda answer: three in answer.get("eventIds", []))
            # In form, and refused for what it says: another task's.
            redis.publish("t", message("4", eventId=wrong, taskId="other"))
            refused = redis.answered(lambda answer: "rejected" in answer)["rejected"][0]
            assert (refused["eventId"], refused["code"], refused["field"]) == (wrong, "task_mismatch", "taskId")
        finally:
            redis.close()
        assert not redis.failures, redis.failures

    def stop(self):
        for hub in self.hubs:
            hub.stop()


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """Everything happens once, and each message is compared as it passes."""
    stories = Stories(tmp_path_factory.mktemp("asyncapi"))
    try:
        stories.following()
        stories.refusals()
        stories.ends()
        stories.over_redis()
    finally:
        stories.stop()
    return stories.described


def test_everything_that_is_described_was_there(described):
    assert described.missing() == []


def test_every_close_code_was_there_and_no_other(described):
    codes = {entry["code"] for entry in described.document["channels"]["socket"]["x-close-codes"]}
    assert described.closed == codes


@pytest.mark.parametrize(("message", "field"), [("error", "code"), ("unsubscribed", "reason")])
def test_every_code_and_reason_was_there(described, message, field):
    """One that is not listed makes a message one that is not described, so there were no others."""
    assert sorted(described.values[message, field]) == described.growing(message)[field]


def test_a_field_that_is_not_described_makes_a_message_unknown(described):
    for (channel, action, name), (payload, headers) in described.seen.items():
        whole = payload if isinstance(payload, dict) else {}
        if whole:
            assert described.names(channel, action, {**whole, "surprise": 1}, headers) == [], name
            for field in whole:
                less = {key: value for key, value in whole.items() if key != field}
                others = set(described.names(channel, action, less, headers)) - {name}
                assert not others, f"{name} without {field} is taken for {others}"
        if headers:
            assert described.names(channel, action, payload, {**headers, "surprise": "1"}) == [], name


def test_the_hub_serves_it(hub):
    answer = hub.request("GET", "/asyncapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == document()


def test_what_both_documents_describe_is_the_same():
    with open(os.path.join(os.path.dirname(__file__), "../../../docs/openapi.json")) as file:
        theirs = json.load(file)["components"]["schemas"]
    ours = document()["components"]["schemas"]
    for schema, name in (("Activity", "activity"), ("Summary", "task"), ("NewActivity", "newActivity")):
        fields = set(ours[f"{name}Payload"]["properties"]) - {"op"}
        assert fields == set(theirs[schema]["properties"]), schema
        assert set(ours[f"{name}Payload"]["required"]) - {"op"} == set(theirs[schema]["required"]), schema
    for schema, name in (("ActivityType", "activityType"), ("Status", "status"), ("StalledReason", "stalledReason")):
        assert ours[name]["enum"] == theirs[schema]["enum"], schema
