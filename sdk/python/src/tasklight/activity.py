"""Activities on their way out: made, given an id, and encoded once, at the edge, so that sending one again is always the same bytes."""

import itertools
import json
import os
import re
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

#: The most bytes of one activity that a hub with its defaults takes.
ACTIVITY_BYTES = 64 * 1024

#: Room for the fields around ``data``.
_ENVELOPE_BYTES = 1024

#: How deep a payload may nest; a hub takes 64.
_DEPTH = 60

#: How large a number may be; a hub takes 64 characters.
_NUMBER_BITS = 200
_LONG_NUMBER = re.compile(rb"[0-9]{60}")

#: The most values in a payload that has to be copied; 64 KiB of JSON hold no more.
_VALUES = 32_768

# May be entered again: a signal's handler may say something while the program does.
_uuid_lock = threading.RLock()
_last_id = 0


def _after_fork() -> None:
    """Another thread may have held the lock."""
    global _uuid_lock  # noqa: PLW0603 - it is the process's
    _uuid_lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@dataclass(frozen=True)
class Receipt:
    """Proof that an activity is stored."""

    event_id: str
    offset: int
    cursor: str
    duplicate: bool
    """Whether it had been stored before."""


@dataclass(frozen=True)
class Acknowledged:
    """It is stored; over Redis it is not said where."""

    event_id: str


@dataclass(frozen=True)
class Noted:
    """It was a heartbeat, and is noted."""


@dataclass(frozen=True)
class Refusal:
    """It is not stored, and sending it again would not help."""

    code: str
    message: str
    field: Optional[str] = None


Result = Union[Receipt, Acknowledged, Noted, Refusal]


@dataclass(frozen=True)
class Outgoing:
    """An encoded activity. Its id, in the form in which hubs give it, is none if it has none that hubs take."""

    event_id: Optional[str]
    text: bytes
    is_heartbeat: bool = False
    """Then it has no id: nobody answers it."""


def event_id() -> str:
    """A new UUID of version 7 (RFC 9562): ids made later in this process sort later."""
    global _last_id  # noqa: PLW0603 - the order of ids is the process's
    random = int.from_bytes(os.urandom(10), "big")
    value = (time.time_ns() // 1_000_000) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    with _uuid_lock:
        if value <= _last_id:
            value = _last_id + 1
        _last_id = value
    return str(uuid.UUID(int=value))


def now() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def outgoing(activity: Mapping[str, Any]) -> Outgoing:
    """An activity of the caller's making, given an ``eventId`` if it has none. The hub judges everything else about it."""
    if activity.get("type") == "heartbeat":
        return Outgoing(None, encode(activity), is_heartbeat=True)
    given = activity.get("eventId")
    if given is None:
        given = event_id()
        activity = {**activity, "eventId": given}
    try:
        name: Optional[str] = str(uuid.UUID(given))
    except (ValueError, TypeError, AttributeError):
        name = None
    return Outgoing(name, encode(activity))


def encode(value: object) -> bytes:
    """Any value as one line of JSON. What JSON has no form for is given as text; nothing in it makes this fail."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_as_text)
    except (ValueError, TypeError, RecursionError):
        text = json.dumps(Plain().copy(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Lone surrogates; as escapes they are JSON, and the hub makes U+FFFD of them.
        return json.dumps(json.loads(text), separators=(",", ":")).encode()


def fitted(data: Mapping[str, Any], limit: int = ACTIVITY_BYTES - _ENVELOPE_BYTES) -> bytes:
    """A payload that a hub takes. Of one that is too large the long texts are cut, and ``truncated`` says how large it was."""
    text = encode(data)
    if _DEPTH < text.count(b"[") + text.count(b"{") or _LONG_NUMBER.search(text):
        text = encode(Plain().copy(data))
    if len(text) <= limit:
        return text
    mark = {"truncated": {"bytes": len(text)}}
    value = Plain().copy(data)
    most = limit
    while 64 <= most:
        text = encode({**_cut(value, most), **mark})
        if len(text) <= limit:
            return text
        most //= 2
    return encode(mark)


def _cut(value: Any, most: int) -> Any:
    if isinstance(value, str) and most < len(value):
        return value[:most] + "…"
    if isinstance(value, dict):
        return {name: _cut(field, most) for name, field in value.items()}
    if isinstance(value, list):
        return [_cut(item, most) for item in value]
    return value


def _as_text(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, (bytes, bytearray)):
        return value.decode(errors="replace")
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


class Plain:
    """Copies of values that are certain to be JSON that a hub takes: no NaN, no loops, no depths, no endless numbers, no names that are
    not text."""

    def __init__(self) -> None:
        # A loop that branches has no end in depth alone.
        self._left = _VALUES

    def copy(self, value: Any, depth: int = 0) -> Any:
        """The copy; ``…`` stands for what is too deep or too much."""
        self._left -= 1
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, int):
            return value if value.bit_length() <= _NUMBER_BITS else hex(value)
        if isinstance(value, float):
            return value if value - value == 0 else str(value)
        if _DEPTH <= depth or self._left <= 0:
            return "…"
        if isinstance(value, Mapping):
            fields = itertools.islice(value.items(), self._left)
            return {str(_as_text(name)): self.copy(field, depth + 1) for name, field in fields}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.copy(item, depth + 1) for item in itertools.islice(value, self._left)]
        return _as_text(value)


def refusal(error: Mapping[str, Any]) -> Refusal:
    """A hub's word on one activity."""
    field = error.get("field")
    return Refusal(str(error["code"]), str(error.get("message", "")), None if field is None else str(field))


def result(raw: Any) -> Result:
    """One of ``results``. Raises if it is none of the forms that a hub gives."""
    if "error" in raw:
        return refusal(raw["error"])
    if "offset" in raw:
        return Receipt(str(raw["eventId"]), int(raw["offset"]), str(raw["cursor"]), bool(raw["duplicate"]))
    if "heartbeat" in raw:
        return Noted()
    raise ValueError("a result is a receipt, a heartbeat or an error")
