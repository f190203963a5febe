"""Activities on their way: in memory, then in a bounded file, then counted and said to be missing. Their order is kept."""

from collections import deque
from typing import Optional

from .activity import Outgoing
from .spill import Spill

#: The most that waits in memory beside the request that is on its way, as a rule.
MEMORY_BYTES = 4 << 20

#: The most that waits on disk, as a rule.
SPILL_BYTES = 64 << 20

#: The most activities that are kept although there is no room: there are only a few of these in the life of a run.
MUST_KEEP = 1_000

#: Room that there must be again before dropping ends, so that it does not start again at once.
_EASE_BYTES = 64 * 1024


class Outbox:
    """A bounded queue. Not safe for threads by itself: the sender's lock is around it."""

    def __init__(self, memory_bytes: int, spill_bytes: int, folder: Optional[str]) -> None:
        self._most = memory_bytes
        self._memory: deque[Outgoing] = deque()
        self._bytes = 0
        self._spill = Spill(spill_bytes, folder)
        self._tail: deque[Outgoing] = deque()

    def __len__(self) -> int:
        return len(self._memory) + self._spill.count + len(self._tail)

    @property
    def lost(self) -> int:
        """How many the disk did not give back."""
        return self._spill.lost

    def push(self, item: Outgoing, must: bool = False) -> bool:
        """Adds an activity at the end. Gives false if there was no room and it was dropped."""
        if not self._tail:
            if not self._spill.count and self._bytes + len(item.text) <= self._most:
                self._memory.append(item)
                self._bytes += len(item.text)
                return True
            if self._spill.push(item):
                return True
        if must and len(self._tail) < MUST_KEEP:
            self._tail.append(item)
            return True
        return False

    def has_ease(self) -> bool:
        """Whether there is room again, and some to spare."""
        return not self._tail and not self._spill.count and self._bytes + _EASE_BYTES <= max(self._most, _EASE_BYTES)

    def take(self, count: int, size: int) -> list[Outgoing]:
        """The oldest activities, as many as fit."""
        taken: list[Outgoing] = []
        total = 0
        while len(taken) < count:
            if not self._memory and not self._refill():
                break
            total += len(self._memory[0].text)
            if taken and size < total:
                break
            item = self._memory.popleft()
            self._bytes -= len(item.text)
            taken.append(item)
        return taken

    def abandon(self) -> None:
        """After a fork: everything in it is the parent's."""
        self._spill.abandon()

    def _refill(self) -> bool:
        item = self._spill.pop() or (self._tail.popleft() if self._tail else None)
        if item is None:
            return False
        self._memory.append(item)
        self._bytes += len(item.text)
        return True
