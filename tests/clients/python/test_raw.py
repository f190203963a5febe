"""Clients that break WebSocket or HTTP itself, say nothing, or stop reading."""

import json
import socket
import time

import pytest
from hub import eventually, message
from raw import CLOSE, PING, PONG, TEXT, Raw
from viewer import Viewer, offsets


@pytest.fixture
def raw(hub):
    with Raw(hub) as raw:
        assert json.loads(raw.read()[1])["op"] == "hello"
        yield raw


@pytest.mark.parametrize("text", [b"\xff", b'{"op":"\xc3\x28"}', b"\xed\xa0\x80", b'{"op":"ping"}\xf0\x9f'])
def test_text_that_is_not_utf8_closes(raw, text):
    raw.frame(text)
    assert raw.closed() == 1007


def test_an_unmasked_frame_closes(raw):
    raw.frame(b'{"op":"ping"}', masked=False)
    assert raw.closed() == 1002


@pytest.mark.parametrize("first", [0xC0, 0xA0, 0x90])
def test_a_reserved_bit_closes(raw, first):
    raw.frame(b'{"op":"ping"}', first=first)
    assert raw.closed() == 1002


@pytest.mark.parametrize("opcode", [3, 7, 11, 15])
def test_a_reserved_opcode_closes(raw, opcode):
    raw.frame(b"", opcode)
    assert raw.closed() == 1002


def test_a_continuation_of_nothing_closes(raw):
    raw.frame(b"x", 0)
    assert raw.closed() == 1002


def test_a_fragmented_or_long_control_frame_closes(hub):
    for payload, first in [(b"x", 0), (b"x" * 126, 0x80)]:
        with Raw(hub) as raw:
            raw.frame(payload, PING, first=first)
            assert raw.closed() == 1002


def test_a_frame_that_announces_too_much_is_refused_before_it_is_read(hub):
    for size in (65_537, 1 << 40, (1 << 63) - 1):
        with Raw(hub) as raw:
            raw.frame(b"", length=size)
            assert raw.closed() == 1009, size


def test_a_ping_is_answered_with_the_same_payload(raw):
    raw.frame(b"seven", PING)
    assert raw.read() == (PONG, b"seven")


def test_a_close_is_answered_with_the_same_code(raw):
    raw.frame(b"\x03\xe8bye", CLOSE)
    opcode, payload = raw.read()
    assert (opcode, payload[:2]) == (CLOSE, b"\x03\xe8")
    with pytest.raises((EOFError, ConnectionResetError)):
        raw.read()


def test_a_client_that_breaks_off_hurts_nobody(hub, task):
    hub.publish(task, message())
    for _ in range(20):
        with Raw(hub) as raw:
            raw.send(op="subscribe", task=task)
            raw.frame(b"{", length=1000)
    with Viewer(hub) as viewer:
        viewer.subscribe(task)
        assert offsets(viewer.until("live")) == [1]


@pytest.fixture
def impatient(start):
    return start(session__idle_timeout="1s", session__heartbeat="300ms")


def test_a_client_that_never_answers_is_closed(impatient):
    with Raw(impatient) as raw:
        begun = time.monotonic()
        assert raw.closed(5) == 4408
        assert 0.9 < time.monotonic() - begun < 3


def test_a_client_that_only_answers_pings_stays(impatient):
    with Raw(impatient) as raw:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            opcode, payload = raw.read()
            assert opcode in (TEXT, PING), "it must not be closed"
            if opcode == PING:
                raw.frame(payload, PONG)


def test_headers_that_trickle_in_are_cut_off(start):
    hub = start(http__header_timeout="1s")
    for first in (b"", b"GET /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\n"):
        with socket.create_connection(("127.0.0.1", hub.port)) as slow:
            slow.settimeout(0.2)
            slow.sendall(first)
            begun, n = time.monotonic(), 0

            def ended(slow=slow, first=first):
                nonlocal n
                n += 1
                try:
                    if first:
                        slow.sendall(b"X-%d: 1\r\n" % n)
                    return slow.recv(4096) == b""
                except TimeoutError:
                    return False
                except (ConnectionResetError, BrokenPipeError):
                    return True

            eventually(ended, 10, f"still open after {first}")
            assert time.monotonic() - begun < 5


def test_a_body_that_trickles_in_is_cut_off(start):
    hub = start(http__body_timeout="1s")
    with socket.create_connection(("127.0.0.1", hub.port)) as slow:
        slow.settimeout(10)
        slow.sendall(b"POST /v1/tasks/t/activities HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        answer = slow.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408") and b"body_timeout" in answer


def test_a_viewer_that_stops_reading_is_closed_and_costs_nobody_anything(start):
    hub = start(session__write_timeout="2s", session__heartbeat="1s")
    text = "x" * 50_000
    with Raw(hub, receive_buffer=8_192) as slow, Viewer(hub) as fast:
        hub.publish("t", message("warm"))
        for viewer in (slow, fast):
            viewer.send(op="subscribe", task="t", after="end")
        fast.wait("live")
        hub.publish("warm", *[message(text) for _ in range(20)])
        before, seen, most = hub.rss(), [], 0
        for _ in range(50):
            hub.publish("t", *[message(text) for _ in range(20)])
            seen += offsets(fast.until("activity", offset=1 + 20 * (len(seen) // 20 + 1)))
            most = max(most, hub.rss())
        assert seen == list(range(2, 1002)), "the other viewer gets everything"

        def sessions():
            metrics = hub.admin("/metrics").body.decode().splitlines()
            return next(float(line.split()[-1]) for line in metrics if line.startswith("tasklight_sessions_open"))

        eventually(lambda: sessions() == 1, 20, "the viewer that does not read is still there")
        assert most - before < 20 << 20, f"memory grew by {(most - before) >> 20} MiB"
        assert slow.closed(5) in (4408, None)
        slow_reasons = [line for line in hub.admin("/metrics").body.decode().splitlines() if "too_slow" in line]
        assert slow_reasons and slow_reasons[0].endswith(" 1"), slow_reasons
