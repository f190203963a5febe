"""The same for asyncio. What waits for a hub waits in a thread, so that the event loop never does."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Optional, TypeVar

from .activity import Result
from .client import Client
from .events import Event
from .follow import Follow
from .invocation import Invocation

_T = TypeVar("_T")

#: How many events wait for the program; then the hub is not asked for more.
_QUEUE = 256


class AsyncClient:
    """A :class:`tasklight.Client` for asyncio, made of the same arguments."""

    def __init__(self, hub: Optional[str] = None, token: Optional[str] = None, **options: Any) -> None:
        self._client = Client(hub, token, **options)

    def __repr__(self) -> str:
        return f"Async{self._client!r}"

    def invocation(self, task: Optional[str] = None, id: Optional[str] = None, **options: Any) -> Invocation:
        """A run, to be used in ``async with``."""
        return self._client.invocation(task, id, **options)

    async def publish(self, task: str, activities: Iterable[Mapping[str, Any]], *, patience: float = 30.0) -> list[Result]:
        """As :meth:`tasklight.Client.publish`."""
        return await _in_thread(lambda: self._client.publish(task, activities, patience=patience))

    async def task(self, task: str) -> dict[str, Any]:
        """As :meth:`tasklight.Client.task`."""
        return await _in_thread(lambda: self._client.task(task))

    async def describe(self, task: str, **fields: Any) -> dict[str, Any]:
        """As :meth:`tasklight.Client.describe`."""
        return await _in_thread(lambda: self._client.describe(task, **fields))

    async def tasks(self, **query: Any) -> dict[str, Any]:
        """As :meth:`tasklight.Client.tasks`."""
        return await _in_thread(lambda: self._client.tasks(**query))

    async def delete(self, task: str) -> None:
        """As :meth:`tasklight.Client.delete`."""
        await _in_thread(lambda: self._client.delete(task))

    def follow(self, task: str, **options: Any) -> "AsyncFollow":
        """As :meth:`tasklight.Client.follow`."""
        return AsyncFollow(self._client.follow(task, **options))


class AsyncFollow(AsyncIterator[Event]):
    """A viewer for ``async for``: a thread reads ahead by a bounded number of events. ``async with`` (or ``close``) lets go of it."""

    def __init__(self, follow: Follow) -> None:
        self._follow = follow
        self._cursor = follow.cursor
        self._room = threading.Semaphore(_QUEUE)
        # Made when it is first waited for: before Python 3.10 a queue belongs to the loop that there is.
        self._queue: Optional[asyncio.Queue[object]] = None
        self._ended = False

    @property
    def cursor(self) -> Optional[str]:
        """The last place that was given, to continue after."""
        return self._cursor

    async def __aenter__(self) -> "AsyncFollow":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> "AsyncFollow":
        return self

    async def __anext__(self) -> Event:
        """The next event. Nothing is lost if the wait is given up."""
        if self._ended:
            raise StopAsyncIteration
        if self._queue is None:
            loop, self._queue = asyncio.get_running_loop(), asyncio.Queue()
            parts = (self._follow, self._room, loop, self._queue)
            reader = threading.Thread(target=_read, args=parts, name="tasklight-follow", daemon=True)
            reader.start()
        found: Any = await self._queue.get()
        if not isinstance(found, tuple):
            self._ended = True
            if isinstance(found, BaseException):
                raise found
            raise StopAsyncIteration
        self._room.release()
        event: Event
        event, self._cursor = found
        return event

    def close(self) -> None:
        """Lets go; whoever waits for the next event is told that there is none."""
        self._follow.close()
        self._room.release()

    def __del__(self) -> None:
        self.close()


def _read(follow: Follow, room: threading.Semaphore, loop: asyncio.AbstractEventLoop, queue: "asyncio.Queue[object]") -> None:
    """The reader. It knows nothing of its viewer, so that one that is forgotten goes away and takes it along."""
    last: Optional[BaseException] = None
    try:
        for event in follow:
            room.acquire()
            loop.call_soon_threadsafe(queue.put_nowait, (event, follow.cursor))
    except Exception as error:
        last = error
    try:
        loop.call_soon_threadsafe(queue.put_nowait, last)
    except RuntimeError:
        # The loop is closed: nobody waits any more.
        follow.close()


async def _in_thread(call: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(None, call)
