"""What no longer fits into memory waits on disk: one temporary file without a name, readable by its owner, bounded, gone with the process."""

import contextlib
import os
import tempfile
from typing import IO, Optional

from .activity import Outgoing

#: How much is read from the file at once.
_READ_BYTES = 256 * 1024


class Spill:
    """A queue of activities in a file. Not safe for threads by itself."""

    def __init__(self, limit: int, folder: Optional[str]) -> None:
        self._limit, self._folder = limit, folder
        self._file: Optional[IO[bytes]] = None
        self._written = self._read = 0
        self._rest = b""
        self._ready: list[Outgoing] = []
        #: How many activities wait.
        self.count = 0
        #: How many were lost because the disk did not give them back.
        self.lost = 0

    def push(self, item: Outgoing) -> bool:
        """Adds one at the end, unless there is no room or the disk does not take it."""
        line = (item.event_id or "").encode() + b" " + item.text + b"\n"
        if self._limit < self._written + len(line):
            return False
        try:
            if self._file is None:
                # Unbuffered: what a buffer holds at a fork would be written by the child as well.
                self._file = tempfile.TemporaryFile(prefix="tasklight-", dir=self._folder, buffering=0)  # noqa: SIM115
            self._file.seek(self._written)
            written = self._file.write(line)
        except OSError:
            return False
        if written != len(line):
            # The disk is full; the next line goes over what was written of this one.
            return False
        self._written += len(line)
        self.count += 1
        return True

    def pop(self) -> Optional[Outgoing]:
        """Takes the oldest."""
        while not self._ready and self._read < self._written:
            self._fill()
        if not self._ready:
            self._forget()
            return None
        self.count -= 1
        item = self._ready.pop()
        if not self.count:
            self._forget()
        return item

    def abandon(self) -> None:
        """Lets go of the file without touching what is in it: after a fork it is the parent's."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()

    def _fill(self) -> None:
        assert self._file is not None
        try:
            self._file.seek(self._read)
            chunk = self._file.read(min(_READ_BYTES, self._written - self._read))
        except OSError:
            chunk = b""
        if not chunk:
            self.lost += self.count
            self.count, self._read, self._rest = 0, self._written, b""
            return
        self._read += len(chunk)
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        pairs = (line.partition(b" ") for line in lines)
        self._ready = [Outgoing(name.decode() or None, text) for name, _, text in pairs]
        self._ready.reverse()

    def _forget(self) -> None:
        """All of it was taken: the file begins anew."""
        self._written = self._read = 0
        self._rest = b""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), 0)
