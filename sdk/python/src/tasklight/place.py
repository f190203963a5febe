"""Where a viewer stands in a log, and whether what it hears is whole. Pure: it is told what the hub says, and says what that means."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional


class Meaning(enum.Enum):
    """What a message means for the viewer's place."""

    NEWS = "news"
    REPEAT = "repeat"
    LOSS = "loss"
    """Something before it never came: the connection must be made anew, after the cursor."""


@dataclass(frozen=True)
class Start:
    """Where to begin: after a cursor, with the last so many, at the ``end``, or, with none of them, at the ``start``."""

    after: Optional[str] = None
    last: Optional[int] = None

    def query(self) -> dict[str, str]:
        """The parameters that ask a hub for it."""
        if self.after is not None:
            return {"after": self.after}
        return {} if self.last is None else {"last": str(self.last)}


class Place:
    """A viewer's place in one log. ``whole`` if no filter leaves anything out."""

    def __init__(self, start: Start, whole: bool) -> None:
        self._start, self._whole = start, whole
        self._cursor: Optional[tuple[str, int]] = None
        if start.after not in (None, "start", "end"):
            epoch, _, offset = str(start.after).rpartition("-")
            # What is no cursor is left for the hub to refuse, in its words.
            self._cursor = (epoch, int(offset)) if offset.isascii() and offset.isdigit() else None
        # Whether the offset after the cursor's is the next to come. After a reset it may be any.
        self._adjoining = False
        # The task did not exist when following it began: the first offset to come is 1.
        self._awaits_first = False

    @property
    def cursor(self) -> Optional[str]:
        """The last place that is known to be seen, to continue after."""
        return None if self._cursor is None else f"{self._cursor[0]}-{self._cursor[1]}"

    def resume(self) -> Start:
        """Where to begin on the next connection."""
        return self._start if self._cursor is None else Start(after=self.cursor)

    def forget(self) -> None:
        """The task was deleted: should it come again, everything in it is new."""
        self._start, self._cursor, self._adjoining, self._awaits_first = Start(), None, False, False

    def hear(self, message: Mapping[str, Any]) -> Meaning:
        """Takes note of a message."""
        op = message.get("op")
        if op == "activity":
            epoch, _, offset = message["cursor"].rpartition("-")
            return self._advance(epoch, int(offset))
        if op == "subscribed":
            self._subscribed(message)
        elif op in ("live", "cursor"):
            return self._skip(message["offset"])
        elif op == "truncated" and self._cursor is not None:
            self._move_to(self._cursor[0], message["floor"] - 1, adjoining=True)
        elif op == "reset":
            self._move_to(message["epoch"], 0, adjoining=False)
        return Meaning.NEWS

    def _subscribed(self, message: Mapping[str, Any]) -> None:
        if message["epoch"] is None:
            # Whatever the task will hold once it exists is new, wherever we meant to begin.
            self._start, self._awaits_first = Start(), True
            return
        self._awaits_first = False
        epoch, _, offset = (message.get("after") or "").rpartition("-")
        # Of a log whose epoch is not the cursor's a reset tells next.
        if epoch == message["epoch"]:
            self._move_to(epoch, int(offset), adjoining=True)

    def _advance(self, epoch: str, offset: int) -> Meaning:
        if self._cursor is not None:
            if self._cursor[0] != epoch:
                return Meaning.LOSS
            if offset <= self._cursor[1]:
                return Meaning.REPEAT
            if self._whole and self._adjoining and self._cursor[1] + 1 < offset:
                return Meaning.LOSS
        elif self._whole and self._awaits_first and offset != 1:
            return Meaning.LOSS
        self._move_to(epoch, offset, adjoining=True)
        return Meaning.NEWS

    def _skip(self, offset: int) -> Meaning:
        """Told that everything wanted up to here was sent."""
        if self._cursor is None or offset <= self._cursor[1]:
            return Meaning.NEWS
        if self._whole and self._adjoining:
            return Meaning.LOSS
        self._move_to(self._cursor[0], offset, adjoining=True)
        return Meaning.NEWS

    def _move_to(self, epoch: str, offset: int, adjoining: bool) -> None:
        self._cursor, self._adjoining = (epoch, offset), adjoining
