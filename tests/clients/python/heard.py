"""Viewers and a Redis on whose wires every message is compared with docs/asyncapi.json."""

import base64
import hashlib
import hmac
import http.client
import json
import threading
import time

import redis
from hub import PATIENCE, eventually
from viewer import Viewer

SECRET = "a secret of more than thirty-two bytes, for tests"


def token(subject, tasks, expires=600, admin=False, **header):
    """A JWT as a signer of people would make it."""
    now, grants = int(time.time()), {"read": tasks, "publish": tasks, "admin": admin}
    claims = {"sub": subject, "iat": now, "exp": now + expires, "tasklight": grants}
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT", **header}, claims)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    mac = hmac.new(SECRET.encode(), text, hashlib.sha256).digest()
    return b".".join([text, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


class Socket(Viewer):
    """A WebSocket; what it says must be described, unless it is said with `wrong`."""

    def __init__(self, hub, described, **more):
        self.described = described
        super().__init__(hub, **more)

    def send(self, **message):
        self.described.note("socket", "receive", message)
        super().send(**message)

    def wrong(self, text):
        """What is not described must be refused. Gives the code."""
        try:
            names = self.described.names("socket", "receive", json.loads(text))
        except ValueError:
            names = []
        assert not names, f"{text} is described, as {names}"
        self.socket.send(text)
        return self.wait("error")["code"]

    def text(self, seconds=PATIENCE):
        text = super().text(seconds)
        self.described.note("socket", "send", json.loads(text))
        return text

    def closed(self, seconds=PATIENCE):
        code, reason = super().closed(seconds)
        self.described.closed.add(code)
        return code, reason


class Stream:
    """A stream of events."""

    def __init__(self, hub, described, task, query=""):
        self.described = described
        self.connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=PATIENCE)
        self.connection.request("GET", f"/v1/tasks/{task}/stream{query}")
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self._fields() == {"retry": "2000"}, "it begins with how long to wait"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def _fields(self):
        """The fields of the next event; none at the end."""
        fields, end = {}, time.monotonic() + PATIENCE
        while line := self.answer.readline():
            assert time.monotonic() < end, "comments come, and no event"
            line = line.decode().removesuffix("\n")
            if not line:
                if fields:
                    return fields
                continue
            name, _, value = line.partition(":")
            if name:  # a comment keeps the stream warm
                assert name not in fields, line
                fields[name] = value.removeprefix(" ")
        return fields

    def until(self, event):
        """The payloads up to the first event of this name; activities have none."""
        found = []
        while fields := self._fields():
            payload = json.loads(fields.pop("data"))
            self.described.note("stream", "send", payload, fields)
            found.append(payload)
            if fields.get("event") == event:
                return found
        raise AssertionError(f"the stream ended without {event}: {found}")


class Redis:
    """All that passes on the agents' channels, heard by one who listens to everything under the prefix."""

    def __init__(self, url, prefix, described):
        self.described, self.prefix, self.answers, self.failures = described, prefix, [], []
        self.client = redis.Redis.from_url(url)
        self.listener = self.client.pubsub(ignore_subscribe_messages=True)
        self.listener.psubscribe(f"{prefix}*")
        eventually(lambda: self.client.pubsub_numpat() > 0, what="nobody listens")
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.over = threading.Event()
        self.thread.start()

    def _listen(self):
        while not self.over.is_set():
            message = self.listener.get_message(timeout=0.1)
            if message:
                try:
                    self._heard(message["channel"].decode().removeprefix(self.prefix), message["data"])
                except AssertionError as failure:
                    self.failures.append(failure)

    def _heard(self, channel, data):
        if data.startswith(b"\0tasklight:mark\0"):
            return  # between hubs
        kinds = {"tasks": ("announcements", "receive"), "task": ("activities", "receive"), "ack": ("acks", "send")}
        kind = kinds.get(channel.partition(":")[0])
        if kind:
            payload = json.loads(data)
            self.described.note(*kind, payload)
            if kind[0] == "acks":
                self.answers.append(payload)

    def publish(self, task, payload):
        """Until a hub takes it."""

        def taken():
            if self.client.publish(f"{self.prefix}task:{task}", json.dumps(payload)) > 1:  # one is who listens to everything
                return True
            self.client.publish(f"{self.prefix}tasks", json.dumps({"taskId": task}))
            return False

        eventually(taken, what="no hub takes it")

    def sealed(self, task, key, body):
        """The message in an envelope."""
        _, name, secret = key.split("_")
        at, channel, body = int(time.time() * 1000), f"{self.prefix}task:{task}", json.dumps(body)
        lines = "\n".join(["tasklight-envelope-1", channel, name, str(at), body])
        mac = hmac.new(secret.encode(), lines.encode(), hashlib.sha256).hexdigest()
        return {"signed": {"key": name, "at": at, "body": body, "mac": mac}}

    def answered(self, check):
        return eventually(lambda: next((answer for answer in self.answers if check(answer)), None), what=f"no such answer: {self.answers}")

    def close(self):
        self.over.set()
        self.thread.join(PATIENCE)
        self.client.close()
