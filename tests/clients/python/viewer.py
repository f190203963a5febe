"""A viewer over the `websockets` library: messages as dictionaries, and what came before the one that is waited for."""

import json
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

PATIENCE = 15.0


class Viewer:
    def __init__(self, hub, **more):
        more.setdefault("subprotocols", ["tasklight.v1"])
        more = {"open_timeout": PATIENCE, "close_timeout": 2, "proxy": None, "max_size": None, **more}
        self.connection = connect(hub.ws_url, **more)
        self.socket = self.connection.__enter__()
        self.hello = self.next()
        assert self.hello["op"] == "hello", self.hello

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.__exit__(None, None, None)

    def send(self, **message):
        self.socket.send(json.dumps(message))

    def subscribe(self, task, **more):
        self.send(op="subscribe", task=task, **more)

    def text(self, seconds=PATIENCE):
        return self.socket.recv(timeout=seconds)

    def next(self, seconds=PATIENCE):
        return json.loads(self.text(seconds))

    def until(self, op, seconds=PATIENCE, **wanted):
        """All messages up to the first `op` with these fields, heartbeats left out unless they are waited for."""
        end, found = time.monotonic() + seconds, []
        while True:
            try:
                message = self.next(max(0.01, end - time.monotonic()))
            except TimeoutError:
                raise AssertionError(f"no {op} {wanted} in {found}") from None
            if message["op"] != "heartbeat" or op == "heartbeat":
                found.append(message)
            if message["op"] == op and all(message.get(name) == value for name, value in wanted.items()):
                return found

    def wait(self, op, seconds=PATIENCE, **wanted):
        return self.until(op, seconds, **wanted)[-1]

    def silence(self):
        """What came until a ping is answered: nothing else was on its way before."""
        self.send(op="ping")
        return self.until("pong")[:-1]

    def closed(self, seconds=PATIENCE):
        """The close code and reason, once the hub has closed."""
        end = time.monotonic() + seconds
        while True:
            try:
                self.next(max(0.01, end - time.monotonic()))
            except ConnectionClosed as closed:
                return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (None, None)
            except TimeoutError:
                raise AssertionError("the hub did not close") from None


def offsets(messages):
    return [message["offset"] for message in messages if message["op"] == "activity"]


def ops(messages):
    return [message["op"] for message in messages]
