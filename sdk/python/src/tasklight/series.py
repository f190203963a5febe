"""Streaming text: tokens are joined to a few pieces a second, and closed by the whole text."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from .activity import event_id

#: The least time between two pieces, in seconds; a viewer joins them as they come.
PIECE_SECONDS = 0.25

#: The most characters of a piece.
PIECE_CHARS = 4_096

#: The most characters of the whole text; of a longer one the rest is only in the pieces.
WHOLE_CHARS = 15_000


class Series:
    """One text that grows. Closed by leaving ``with``."""

    def __init__(self, publish: Callable[[str, Mapping[str, Any]], None], type: str, more: Mapping[str, Any]) -> None:
        self._publish, self._type, self._more = publish, type, more
        self._id = event_id()
        self._parts: list[str] = []
        self._kept = 0
        self._waiting = ""
        self._said = time.monotonic()
        self._closed = False

    def __enter__(self) -> "Series":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, text: str) -> None:
        """The next token."""
        room = WHOLE_CHARS - self._kept
        if 0 < room:
            self._parts.append(text[:room])
            self._kept += len(text[:room])
        self._waiting += text
        if PIECE_SECONDS <= time.monotonic() - self._said or PIECE_CHARS <= len(self._waiting):
            self._say()

    def close(self) -> None:
        """The text is whole."""
        if self._closed:
            return
        self._closed = True
        if WHOLE_CHARS <= self._kept:
            self._say()
        self._publish(self._type, {"seriesId": self._id, "final": True, "text": "".join(self._parts), **self._more})

    def _say(self) -> None:
        for begin in range(0, len(self._waiting), PIECE_CHARS):
            piece = self._waiting[begin : begin + PIECE_CHARS]
            self._publish(self._type, {"seriesId": self._id, "delta": True, "text": piece, **self._more})
        self._waiting, self._said = "", time.monotonic()
