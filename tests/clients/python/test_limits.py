"""Frames and messages that are too many, too long, too slow or in too many pieces; and a node without memory. What must hold: the hub says why, its
memory stays flat, and other viewers notice nothing."""

import contextlib
import json
import os
import socket
import struct
import threading
import time

import pytest
from hub import eventually, message
from raw import PING, TEXT, Raw
from viewer import Viewer

MIB = 1 << 20


def cpu_seconds(hub):
    with open(f"/proc/{hub.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def reached(hub, limit):
    text = hub.admin("/metrics").body.decode()
    line = f'tasklight_limits_reached_total{{limit="{limit}"}} '
    return next((int(found[len(line) :]) for found in text.splitlines() if found.startswith(line)), 0)


@contextlib.contextmanager
def undisturbed(hub, within=1.0):
    """Another viewer gets what is published meanwhile, without delay."""
    hub.publish("undisturbed", message())
    with Viewer(hub) as viewer:
        viewer.subscribe("undisturbed")
        viewer.wait("live")
        worst, over = [0.0], threading.Event()

        def publish():
            while True:
                begun = time.monotonic()
                offset = hub.publish("undisturbed", message())[0]["offset"]
                viewer.wait("activity", offset=offset)
                worst[0] = max(worst[0], time.monotonic() - begun)
                if over.wait(0.05):
                    return

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        assert 0 < worst[0] < within, worst


def flood(raw, frame, seconds):
    """Sends the same bytes again and again until the hub takes no more or the time is up; gives how many it took."""
    block, sent, end = frame * 256, 0, time.monotonic() + seconds
    with contextlib.suppress(OSError):
        while time.monotonic() < end:
            raw.socket.sendall(block)
            sent += 256
    return sent


@pytest.mark.parametrize("opcode", [PING, 10, TEXT], ids=["ping", "pong", "text"])
def test_a_flood_of_frames_is_ended(start, opcode):
    hub = start()
    payload = b'{"op":"ping"}' if opcode == TEXT else b"x"
    frame = bytes([0x80 | opcode, 0x80 | len(payload)]) + b"\0\0\0\0" + payload
    before, spent, begun = hub.rss(), cpu_seconds(hub), time.monotonic()
    with undisturbed(hub), Raw(hub) as raw:
        sender = threading.Thread(target=flood, args=(raw, frame, 10))
        sender.start()
        assert raw.closed(10) == 1008
        took = time.monotonic() - begun
        raw.socket.close()
        sender.join()
    assert took < 3, took
    assert cpu_seconds(hub) - spent < 3
    assert hub.rss() - before < 16 * MIB
    assert reached(hub, "frames_per_second") == 1


def test_ten_thousand_pings_a_second_are_ended_and_cost_little(start):
    hub = start()
    spent = cpu_seconds(hub)
    with Raw(hub) as raw:
        begun, code = time.monotonic(), None
        raw.socket.settimeout(0.001)
        sent, buffer = 0, b""
        while code is None and time.monotonic() - begun < 10:
            with contextlib.suppress(OSError):
                raw.socket.sendall(b"\x89\x80\0\0\0\0" * 100)
            sent += 100
            with contextlib.suppress(TimeoutError):
                buffer += raw.socket.recv(65_536)
            at = buffer.find(b"\x88")
            if 0 <= at and at + 4 <= len(buffer):
                [code] = struct.unpack("!H", buffer[at + 2 : at + 4])
            time.sleep(max(0.0, begun + sent / 10_000 - time.monotonic()))
    assert code == 1008
    assert time.monotonic() - begun < 3
    assert cpu_seconds(hub) - spent < 2


def test_a_client_within_the_rate_stays(start):
    hub = start(limits__frames_per_second=50)
    with Viewer(hub) as viewer:
        for _ in range(400):
            viewer.send(op="ping")
        for _ in range(400):
            viewer.wait("pong")
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert viewer.silence() == []
            time.sleep(0.03)


def test_a_message_in_too_many_fragments_is_refused(start):
    hub = start()
    before = hub.rss()
    with undisturbed(hub), Raw(hub) as raw:
        raw.frame(b"{", TEXT, first=0)
        with contextlib.suppress(OSError):
            raw.socket.sendall(b"\x00\x80\0\0\0\0" * 10_000)
        assert raw.closed() == 1009
    assert hub.rss() - before < 16 * MIB
    assert reached(hub, "fragments") == 1


def test_as_many_fragments_as_may_be_are_joined(start):
    hub = start(limits__fragments=4)
    with Raw(hub) as raw:
        assert json.loads(raw.read()[1])["op"] == "hello"
        for _ in range(3):
            for part, opcode, first in [(b'{"op"', TEXT, 0), (b":", 0, 0), (b'"pi', 0, 0), (b'ng"}', 0, 0x80)]:
                raw.frame(part, opcode, first=first)
            assert json.loads(raw.read()[1])["op"] == "pong"
        raw.frame(b'{"op"', TEXT, first=0)
        for _ in range(4):
            raw.frame(b" ", 0, first=0)
        assert raw.closed() == 1009


SLOW = {
    "the first byte of a frame": [b"\x81"],
    "a length": [b"\x81", b"\xff", *[b"\0"] * 50],
    "a payload": [b"\x81", b"\xfd", b"\0\0\0\0", *[b" "] * 50],
    "fragments without end": [b"\x01\x80\0\0\0\0", *[b"\x00\x81\0\0\0\0 "] * 50],
    "fragments and pings": [b"\x01\x80\0\0\0\0", *[b"\x89\x80\0\0\0\0", b"\x00\x80\0\0\0\0"] * 25],
    "a ping": [b"\x89", b"\xfd", b"\0\0\0\0", *[b" "] * 50],
}


@pytest.mark.parametrize("steps", SLOW.values(), ids=SLOW.keys())
def test_a_message_that_never_ends_is_given_up(start, steps):
    hub = start(session__message_timeout="1s")
    with Raw(hub) as raw:
        begun = time.monotonic()

        def send():
            with contextlib.suppress(OSError):
                for step in steps:
                    raw.socket.sendall(step)
                    time.sleep(0.1)

        sender = threading.Thread(target=send)
        sender.start()
        assert raw.closed(5, answer_pings=False) == 4408
        assert 0.8 < time.monotonic() - begun < 3
        raw.socket.close()
        sender.join()
    assert reached(hub, "message_timeout") == 1


def test_what_comes_slowly_but_whole_in_time_is_taken(start):
    hub = start(session__message_timeout="2s")
    with Raw(hub) as raw:
        assert json.loads(raw.read()[1])["op"] == "hello"
        for _ in range(3):
            for byte in b"\x81\x8d\0\0\0\0" + b'{"op":"ping"}':
                raw.socket.sendall(bytes([byte]))
                time.sleep(0.05)
            assert json.loads(raw.read()[1])["op"] == "pong"


@pytest.mark.parametrize("size", [MIB, 1 << 40, 1 << 62, (1 << 63) - 1])
def test_a_frame_that_is_too_long_is_refused_with_a_reason_even_while_it_is_sent(start, size):
    hub = start()
    before = hub.rss()
    for _ in range(20):
        with Raw(hub) as raw:
            with contextlib.suppress(OSError):
                raw.frame(b"x" * min(size, MIB), length=size)
            assert raw.closed() == 1009
    assert hub.rss() - before < 16 * MIB
    assert reached(hub, "frame") == 20


def test_a_hundred_thousand_brackets_in_messages_are_an_error(hub):
    with Raw(hub) as raw:
        assert json.loads(raw.read()[1])["op"] == "hello"
        begun = time.monotonic()
        for text in (b"[" * 65_000, b'{"op":' + b"[" * 60_000, b'{"a":' * 12_000):
            raw.frame(text)
            assert json.loads(raw.read()[1])["code"] == "invalid_message"
        assert time.monotonic() - begun < 3
        raw.frame(b"[" * 100_000)
        assert raw.closed() == 1009


def test_subscriptions_that_come_too_fast_wait_and_none_is_lost(start):
    hub = start(limits__subscribes_per_second=10)
    with undisturbed(hub), Viewer(hub) as viewer:
        begun = time.monotonic()
        for n in range(120):
            viewer.subscribe(f"task-{n}")
        assert {viewer.wait("subscribed")["task"] for _ in range(120)} == {f"task-{n}" for n in range(120)}
        took = time.monotonic() - begun
        assert 1.5 < took < 6, took
        assert viewer.silence() is not None
    assert 15 <= reached(hub, "subscribes_per_second") <= 20


def test_a_stream_whose_client_goes_on_talking_is_ended(start):
    hub = start()
    with socket.create_connection(("127.0.0.1", hub.port)) as talker:
        talker.settimeout(10)
        talker.sendall(f"GET /v1/tasks/t/stream HTTP/1.1\r\nHost: 127.0.0.1:{hub.port}\r\n\r\n".encode())
        assert talker.recv(4096).startswith(b"HTTP/1.1 200")
        begun = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - begun < 10:
                talker.sendall(b"x" * 4096)
    assert time.monotonic() - begun < 5


def test_a_node_short_of_memory_refuses_what_is_new_and_keeps_what_is_old(start):
    size = start().rss() // MIB + 24
    hub = start(limits__memory=f"{size}MiB", hub__linger="100ms")
    text = "x" * 60_000
    with Viewer(hub) as old:
        old.subscribe("t-0")
        old.wait("subscribed")
        viewers = []

        def is_over():
            # Rings of tasks that are watched fill up.
            n = len(viewers)
            answer = hub.post(f"t-{n}", [message(text) for _ in range(40)])
            if answer.status == 503:
                assert (answer.json["code"], int(answer.headers["retry-after"]) > 0) == ("overloaded", True)
                return True
            assert answer.status == 200
            old.subscribe(f"t-{n + 1}")
            while (told := old.next()).get("task") != f"t-{n + 1}":
                pass
            viewers.append(n)
            return told.get("code") == "overloaded"

        eventually(is_over, 60, "it never runs short")
        for path in ("/v1/ws", "/v1/tasks/t-0/stream", "/v1/tasks/t-0/activities", "/v1/tasks"):
            answer = hub.request("GET", path)
            assert (answer.status, answer.json["code"]) == (503, "overloaded"), path
        old.subscribe("one-more")
        error = old.wait("error")
        assert (error["code"], error["task"]) == ("overloaded", "one-more")
        old.send(op="ping")
        old.wait("pong")
        assert hub.admin("/healthz").status == 200
        most = hub.rss()
        for _ in range(200):
            assert hub.post("t-0", [message(text) for _ in range(60)]).status == 503
        assert hub.rss() - most < 16 * MIB, "it grows no more"
    assert reached(hub, "memory") >= 200


def test_the_names_of_limits_are_those_of_the_document(hub):
    path = os.path.join(os.path.dirname(__file__), "../../../docs/limits.md")
    if not os.path.exists(path):
        pytest.fail("docs/limits.md is missing")
    with open(path) as document:
        names = {line.split("`")[1].rsplit(".", 1)[1] for line in document if line.startswith("| `")}
    text = hub.admin("/metrics").body.decode()
    used = {line.split('"')[1] for line in text.splitlines() if line.startswith("tasklight_limits_reached_total{")}
    assert used <= names, used - names
