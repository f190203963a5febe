"""Frames by chance against the real socket: rightly spoken ones in every shape, then something that no client may say. What is asked for is the right
end of each connection, memory that stays as it was, and a hub that goes on. TASKLIGHT_FUZZ_SEED repeats a run, TASKLIGHT_FUZZ_SOCKETS makes it longer."""

import contextlib
import json
import os
import random
import struct

from raw import CLOSE, PING, PONG, TEXT, Raw

CONTINUATION, BINARY = 0, 2

SEED = int(os.environ.get("TASKLIGHT_FUZZ_SEED", "7"))
SOCKETS = int(os.environ.get("TASKLIGHT_FUZZ_SOCKETS", "150"))

#: How much more memory the hub may have in the end: what allocators keep of buffers that were in use at the same time.
GROWTH = 24 << 20

#: What the hub may say in reply to nonsense, beside the end that is expected.
LIMITS = {1008, 4429}


def rightly(chance, raw, number):
    """One message in some shape: in pieces, with control frames between them, with pieces of nothing; and its answer."""
    text = json.dumps({"op": "ping"}, separators=(",", ":")).encode()
    pieces = [text]
    while chance.random() < 0.6:
        at = chance.randrange(len(pieces[-1]) + 1)
        pieces[-1:] = [pieces[-1][:at], pieces[-1][at:]]
    pings = []
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        raw.frame(piece, TEXT if index == 0 else CONTINUATION, 0x80 if last else 0)
        while not last and chance.random() < 0.3:
            pings.append(chance.randbytes(chance.randrange(126)))
            raw.frame(pings[-1], chance.choice([PING, PONG]))
            if chance.random() < 0.5:
                raw.frame(b"", PONG)
    while True:
        opcode, payload = raw.read()
        if opcode == PONG:
            assert payload in pings, number
        elif opcode == TEXT and json.loads(payload)["op"] == "pong":
            return
        else:
            assert opcode in (TEXT, PING), (number, opcode, payload)


def bits(chance, raw):
    raw.frame(b"{}", TEXT, chance.choice([0xC0, 0xA0, 0x90, 0xF0, 0x40]))
    return {1002}


def opcode(chance, raw):
    raw.frame(b"", chance.choice([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]))
    return {1002}


def unmasked(chance, raw):
    raw.frame(chance.randbytes(chance.randrange(100)), TEXT, masked=False)
    return {1002}


def long_control(chance, raw):
    raw.frame(b"x" * chance.randrange(126, 2000), chance.choice([PING, PONG, CLOSE]))
    return {1002}


def cut_control(chance, raw):
    raw.frame(b"x", chance.choice([PING, PONG, CLOSE]), 0)
    return {1002}


def lone_continuation(chance, raw):
    raw.frame(b"x", CONTINUATION, chance.choice([0, 0x80]))
    return {1002}


def two_beginnings(chance, raw):
    raw.frame(b"{", TEXT, 0)
    raw.frame(b"{", TEXT, chance.choice([0, 0x80]))
    return {1002}


def not_utf8(chance, raw):
    bad = chance.choice([b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"])
    raw.frame(b'{"op":"' + bad + b'"}')
    return {1007}


def not_utf8_in_pieces(chance, raw):
    raw.frame(b'{"op":"\xe2', TEXT, 0)
    raw.frame(b"\x82", CONTINUATION, 0)
    raw.frame(b'"}', CONTINUATION)
    return {1007}


def binary(chance, raw):
    raw.frame(chance.randbytes(chance.randrange(200)), BINARY)
    return {1008}


def too_long(chance, raw):
    raw.frame(b"{", TEXT, chance.choice([0, 0x80]), length=chance.choice([65_537, 1 << 20, 1 << 31, 1 << 40, 1 << 62, (1 << 63) - 1]))
    return {1009}


def above_every_length(chance, raw):
    raw.frame(b"{", TEXT, length=chance.randrange(1 << 63, 1 << 64))
    return {1009}


def too_many_pieces(chance, raw):
    with contextlib.suppress(OSError):
        raw.frame(b" " * 1000, TEXT, 0)
        for _ in range(100):
            raw.frame(b" " * 1000, CONTINUATION, 0)
    return {1009}


def nonsense(chance, raw):
    with contextlib.suppress(OSError):
        for _ in range(40):
            raw.frame(chance.choice([b"{", b"[]", b"null", b'{"op":"x"}', b"[" * 5000, b'{"op":"subscribe","task":"a b"}']))
    return {1008}


def a_flood(chance, raw):
    """More pings than anybody needs: answered, or the socket is closed for it."""
    with contextlib.suppress(OSError):
        frame = bytes([0x80 | PING, 0x80 | 4]) + b"\0\0\0\0ping"
        raw.socket.sendall(frame * 2000)
        raw.frame(struct.pack("!H", 1000), CLOSE)
    return {1000}


def chance_alone(chance, raw):
    with contextlib.suppress(OSError):
        raw.socket.sendall(chance.randbytes(chance.randrange(1, 4000)))
        raw.socket.shutdown(1)


WRONGLY = [
    bits,
    opcode,
    unmasked,
    long_control,
    cut_control,
    lone_continuation,
    two_beginnings,
    not_utf8,
    not_utf8_in_pieces,
    binary,
    too_long,
    above_every_length,
    too_many_pieces,
    nonsense,
    a_flood,
    chance_alone,
]


def end_of(raw):
    """The code with which the hub closes; nothing if it only breaks off."""
    try:
        while True:
            opcode, payload = raw.read()
            if opcode == CLOSE:
                return struct.unpack("!H", payload[:2])[0] if payload else 1005
    except (EOFError, ConnectionError):
        return None


def test_whatever_is_said_the_end_is_right_and_memory_stays(start):
    print(f"TASKLIGHT_FUZZ_SEED={SEED}")
    hub = start()
    chance = random.Random(SEED)
    before = None
    for number in range(SOCKETS):
        wrongly = WRONGLY[number % len(WRONGLY)]
        with Raw(hub) as raw:
            for _ in range(chance.randrange(4)):
                rightly(chance, raw, number)
            expected = wrongly(chance, raw)
            code = end_of(raw)
        if expected is not None:
            # A hub that was spoken to further than it listened may break off before its word has arrived (RFC 6455 section 7.1.1).
            allowed = expected | LIMITS | ({None} if wrongly in (too_many_pieces, nonsense, a_flood) else set())
            assert code in allowed, (number, wrongly.__name__, code)
        if number == 2 * len(WRONGLY):
            before = hub.rss()
    assert hub.process.poll() is None
    with Raw(hub) as raw:
        rightly(chance, raw, "the last one")
    assert before is None or hub.rss() - before < GROWTH, f"memory grew by {(hub.rss() - before) >> 20} MiB"


def test_frames_that_never_end_cost_a_hub_no_more_than_a_frame(start):
    hub = start()
    before = hub.rss()
    sockets = [Raw(hub) for _ in range(50)]
    for raw in sockets:
        raw.frame(b"x" * 60_000, TEXT, length=(1 << 16) - 1)
    grown = hub.rss() - before
    for raw in sockets:
        raw.socket.close()
    assert grown < 50 * (1 << 18), f"{grown >> 20} MiB for 50 sockets"
    assert hub.process.poll() is None
