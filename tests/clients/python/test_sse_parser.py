"""Payloads that were made to break a stream of events, through httpx-sse, cut everywhere: what it gives is what REST gives, byte for byte."""

import json

import httpx
import pytest
from httpx_sse import EventSource

# Texts of JSON strings, as they are sent: with escapes, and with characters that need none.
STRINGS = [
    "\u2028", "\u2029", "\u0085", "\ufeff", "\x7f", "\x80", "\U0010ffff", "\U0001f468\u200d\U0001f469",
    r"\r", r"\n", r"\r\n", r"\n\n", r"\u000a", r"\u000d\u000a", r"\u2028", r"\ufeff", r"\u0000", r"\ud800", r"\udc00", r"\ud83d\ude00", r"\u000b\f\u001c",
    "data: ", "id: ", "event: ", "retry: ", "data:x", "id:1", "event:live", "retry:1", ": comment",
    r"data: {}\n\ndata: forged\n\n", r"\nevent: live\ndata: {}\n\n", r"id: 00000000-9\n\n", r"\"},\"op\":\"live\",{\"",
]  # fmt: skip
LONG = ["x" * 60_000, "\U0001f600" * 15_000, r"\n" * 30_000, "é\u2028" * 12_000]


class Chunks(httpx.SyncByteStream):
    """A body that comes in these pieces."""

    def __init__(self, chunks):
        self.chunks = chunks

    def __iter__(self):
        yield from self.chunks


def publish(hub, task, texts):
    items = ",".join(f'{{"invocationId":"r","type":"message","data":{{"text":"{text}", "n": 1.50}}}}' for text in texts)
    answer = hub.post(task, f"[{items}]")
    assert answer.status == 200 and all("offset" in result for result in answer.json["results"]), answer.body[:2_000]


def stream(hub, task):
    """The bytes of the stream up to where it has caught up."""
    with httpx.stream("GET", f"http://127.0.0.1:{hub.port}/v1/tasks/{task}/stream", timeout=15) as answer:
        found = b""
        for chunk in answer.iter_raw():
            found += chunk
            if b"\nevent: live\n" in found and found.endswith(b"\n\n"):
                return found
    raise AssertionError("the stream ended")


def parse(chunks):
    """The data of every activity, and the place that its event names. The `retry` at the beginning is an event to this parser."""
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Chunks(chunks))
    return [(event.id, event.data) for event in EventSource(answer).iter_sse() if event.event == "message" and event.data]


def rest(hub, task):
    """The same by REST: the stream's form has one member more, at its beginning."""
    body = hub.request("GET", f"/v1/tasks/{task}/activities?format=ndjson").body.decode()
    lines = [line for line in body.split("\n") if line]
    return [(json.loads(line)["cursor"], '{"op":"activity",' + line[1:]) for line in lines]


def pieces(found, size):
    return [found[at : at + size] for at in range(0, len(found), size)]


def test_hostile_payloads_come_through_byte_for_byte_cut_at_every_byte(hub, task):
    publish(hub, task, STRINGS)
    expected, found = rest(hub, task), stream(hub, task)
    assert len(expected) == len(STRINGS)
    assert parse([found]) == expected
    for at in range(1, len(found)):
        assert parse([found[:at], found[at:]]) == expected, f"cut after {at} bytes"
    assert parse(pieces(found, 1)) == expected


@pytest.mark.parametrize("size", [1, 7, 4_096, 65_537])
def test_so_do_payloads_of_64_kib_in_any_pieces(hub, task, size):
    publish(hub, task, LONG)
    expected, found = rest(hub, task), stream(hub, task)
    assert len(expected) == len(LONG)
    assert parse(pieces(found, size)) == expected
