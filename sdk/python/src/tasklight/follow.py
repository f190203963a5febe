"""Following a task through whatever happens to the connection: it is made anew, after the last cursor, until the caller lets go."""

import http.client
import json
import socket
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Optional

from .backoff import Backoff
from .connection import Hub, Stream
from .errors import InvalidAnswer, SetupError, TasklightError, printable
from .events import Activity, Deleted, Event, Live, Reconnecting, Reset, Skipped, Subscribed, Truncated
from .place import Meaning, Place, Start
from .sse import Events

#: The bounds of the wait before a connection is made anew, in seconds.
RECONNECT_FIRST, RECONNECT_MOST = 0.25, 5.0

#: The longest wait that a hub may ask for when it stops.
LONGEST_DRAIN = 60.0

#: A connection that held for so long was a good one: the next failure starts with a short wait again.
STEADY = 10.0

#: How long a stream may be silent. A hub with its defaults says something every 25 seconds.
SILENCE = 60.0


class Follow(Iterator[Event]):
    """A viewer's place in one task's log, kept across connections. Every activity is given once, in order; what cannot be continued is said.

    It has no end of its own: break out of it, or close it from any thread.
    """

    def __init__(
        self,
        hub: Hub,
        task: str,
        start: Start,
        types: Sequence[str] = (),
        invocation: Optional[str] = None,
        series: Optional[str] = None,
    ) -> None:
        if isinstance(types, str):
            raise SetupError("types: it is a list, such as ['message', 'error']")
        self._hub, self._task = hub, task
        filters = [("type", kind) for kind in types]
        filters += [("invocation", invocation)] if invocation is not None else []
        filters += [("series", series)] if series is not None else []
        self._filters = filters
        self._place = Place(start, whole=not filters)
        self._backoff = Backoff(RECONNECT_FIRST, RECONNECT_MOST)
        self._closed = threading.Event()
        self._stream: Optional[Stream] = None
        self._events = Events()
        self._waiting: deque[bytes] = deque()
        self._due = self._since = time.monotonic()
        self._drain: Optional[float] = None

    def __repr__(self) -> str:
        return f"Follow({self._task!r}, cursor={self.cursor!r})"

    @property
    def cursor(self) -> Optional[str]:
        """The last place that is known to be seen: a viewer that starts after it misses nothing."""
        return self._place.cursor

    def __enter__(self) -> "Follow":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> "Follow":
        return self

    def __next__(self) -> Event:
        """The next event. Waits as long as it takes. Raises what trying again would not mend."""
        while not self._closed.is_set():
            event = self._step()
            if event is not None:
                return event
        raise StopIteration

    def close(self) -> None:
        """Lets go; whoever waits for the next event is told that there is none."""
        self._closed.set()
        stream = self._stream
        if stream is not None:
            stream.close()

    def _step(self) -> Optional[Event]:
        if self._stream is None:
            self._closed.wait(max(0.0, self._due - time.monotonic()))
            return None if self._closed.is_set() else self._connect()
        if self._waiting:
            return self._hear(self._waiting.popleft())
        try:
            chunk = self._stream.read()
        except (http.client.HTTPException, OSError, ValueError, AttributeError) as error:
            # The last two are what a stream says that was closed meanwhile.
            silent = isinstance(error, socket.timeout)
            return self._leave(f"nothing was heard for {SILENCE:.0f} s" if silent else "the connection broke")
        if not chunk:
            return self._leave("the hub is stopping" if self._drain is not None else "the hub ended the stream")
        self._waiting.extend(self._events.feed(chunk))
        return None

    def _connect(self) -> Optional[Event]:
        """One try. Says only that it failed: that it worked is said by the hub."""
        query = [*self._place.resume().query().items(), *self._filters]
        path = f"/v1/tasks/{urllib.parse.quote(self._task, safe='')}/stream"
        self._drain = None
        try:
            self._stream = self._hub.open(f"{path}?{urllib.parse.urlencode(query)}" if query else path, SILENCE)
        except TasklightError as error:
            if not error.transient:
                raise
            return self._leave(str(error), error.retry_after)
        self._events, self._since = Events(), time.monotonic()
        self._waiting.clear()
        if self._closed.is_set():
            self._stream.close()
        return None

    def _hear(self, data: bytes) -> Optional[Event]:
        try:
            message = json.loads(data)
            meaning = self._place.hear(message)
            if meaning is Meaning.LOSS:
                return self._leave("activities were lost on the way")
            return self._event(message) if meaning is Meaning.NEWS else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidAnswer(f"a message of the hub cannot be read: {printable(repr(error))}") from None

    def _event(self, message: dict[str, Any]) -> Optional[Event]:
        op = message.get("op")
        if op == "activity":
            return Activity.read(message)
        if op == "subscribed":
            return Subscribed(message["epoch"], message["floor"], message["head"])
        if op == "live":
            return Live(message["offset"])
        if op == "cursor":
            return Skipped(message["offset"])
        if op == "truncated":
            return Truncated(message["floor"])
        if op == "reset":
            return Reset(message["epoch"])
        if op == "unsubscribed":
            self._place.forget()
            self._leave("the task was deleted")
            self._due = time.monotonic()
            return Deleted()
        if op == "drain":
            # Activities still come until the hub ends the stream; only then is it time to go.
            self._drain = min(message["reconnectAfterMs"] / 1000, LONGEST_DRAIN)
        return None

    def _leave(self, reason: str, asked: Optional[float] = None) -> Reconnecting:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
            if STEADY <= time.monotonic() - self._since:
                self._backoff.reset()
        wait = self._backoff.next(asked if asked is not None else self._drain)
        self._due = time.monotonic() + wait
        return Reconnecting(reason, wait)


def start(after: Optional[str], last: Optional[int]) -> Start:
    """Where to begin, as a caller says it."""
    if after is not None and last is not None:
        raise SetupError("after, last: give one of them")
    return Start(None if after == "start" else after, last)
