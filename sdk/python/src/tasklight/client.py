"""A hub as a program sees it: publish, describe, read and follow."""

import os
import ssl
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from .activity import Result, encode, outgoing
from .backoff import Backoff
from .connection import Hub
from .envelope import EnvelopeKey
from .errors import TasklightError
from .events import Activity
from .follow import Follow, start
from .invocation import Invocation
from .over_redis import RedisPublisher
from .publisher import HubPublisher, Publisher

if TYPE_CHECKING:
    import redis as redis_py

#: Where a hub listens when nothing else is said.
DEFAULT_HUB = "http://127.0.0.1:8080"

#: How long one request may take, with its answer, in seconds. A hub whose store is busy may hold a publish for a while before it refuses it.
REQUEST_TIMEOUT = 30.0

#: The bounds of the wait between the tries of a publish.
_RETRY_FIRST, _RETRY_MOST = 0.2, 5.0


class Client:
    """A hub and the right to use it. What is not given is taken from ``TASKLIGHT_HUB``, ``TASKLIGHT_TOKEN``, ``TASKLIGHT_REDIS``,
    ``TASKLIGHT_REDIS_PREFIX`` and, a file's name, ``TASKLIGHT_ENVELOPE_KEY``. Opens no connection yet; may be used from many threads."""

    def __init__(
        self,
        hub: Optional[str] = None,
        token: Optional[str] = None,
        *,
        redis: "Union[str, redis_py.Redis, None]" = None,
        redis_prefix: Optional[str] = None,
        envelope_key: Optional[EnvelopeKey] = None,
        timeout: float = REQUEST_TIMEOUT,
        ssl_context: Optional[ssl.SSLContext] = None,
    ) -> None:
        """With ``redis`` publishing goes over the hubs' Redis; reading and following goes to the hub."""
        # A hub that is named here is meant, whatever Redis the environment names.
        named = hub is not None
        self._hub = Hub(
            hub or os.environ.get("TASKLIGHT_HUB") or DEFAULT_HUB,
            token or os.environ.get("TASKLIGHT_TOKEN") or None,
            timeout,
            ssl_context,
        )
        self._redis = redis or (None if named else os.environ.get("TASKLIGHT_REDIS")) or None
        self._prefix = redis_prefix or os.environ.get("TASKLIGHT_REDIS_PREFIX") or "tasklight:"
        key_file = os.environ.get("TASKLIGHT_ENVELOPE_KEY") if self._redis else None
        self._key = envelope_key or (EnvelopeKey.read(key_file) if key_file else None)

    def __repr__(self) -> str:
        return f"Client({self._hub.url!r}{', redis' if self._redis else ''})"

    def invocation(self, task: Optional[str] = None, id: Optional[str] = None, **options: Any) -> Invocation:
        """A run on a task; without one, on ``TASKLIGHT_TASK``, which ``tasklight run`` sets for its command."""
        name = task or os.environ.get("TASKLIGHT_TASK") or ""
        return Invocation(self._publisher(name), name, id, **options)

    def publish(self, task: str, activities: Iterable[Mapping[str, Any]], *, patience: float = 30.0) -> list[Result]:
        """Publishes activities as the protocol has them, in order, and gives a result for each once all are stored or refused. Each gets an
        ``eventId`` if it has none, so that trying again, for as long as ``patience`` lasts, stores nothing twice."""
        items = [outgoing(activity) for activity in activities]
        publisher = self._publisher(task)
        backoff, end = Backoff(_RETRY_FIRST, _RETRY_MOST), time.monotonic() + patience
        try:
            while True:
                try:
                    return publisher.publish(items)
                except TasklightError as error:
                    wait = backoff.next(error.retry_after)
                    if not error.transient or end < time.monotonic() + wait:
                        raise
                    time.sleep(wait)
        finally:
            publisher.close()

    def follow(
        self,
        task: str,
        *,
        after: Optional[str] = None,
        last: Optional[int] = None,
        types: Sequence[str] = (),
        invocation: Optional[str] = None,
        series: Optional[str] = None,
    ) -> Follow:
        """Follows a task's log from ``after``: a cursor, ``"start"`` (as without it) or ``"end"``; or the ``last`` so many. The task need not
        exist yet."""
        return Follow(self._hub, task, start(after, last), types, invocation, series)

    def activities(self, task: str, **query: Any) -> Iterator[Activity]:
        """What the log holds now, page by page: ``after=``, ``type=``, ``invocation=``, ``series=``."""
        after = query.pop("after", "start")
        while after is not None:
            page = self._get(self._path(task, "activities"), {**query, "after": after})
            yield from (Activity.read(raw) for raw in page["activities"])
            after = page["next"]

    def task(self, task: str) -> dict[str, Any]:
        """A task with its runs, as the hub describes it."""
        found: dict[str, Any] = self._get(self._path(task))
        return found

    def describe(self, task: str, *, title: Optional[str] = None, labels: Optional[Mapping[str, str]] = None) -> dict[str, Any]:
        """Creates a task, or describes one that there is."""
        fields = {"title": title, "labels": None if labels is None else dict(labels)}
        body = {name: value for name, value in fields.items() if value is not None}
        answer: dict[str, Any] = self._hub.request("PUT", self._path(task), encode(body)).json()
        return answer

    def tasks(self, **query: Any) -> dict[str, Any]:
        """One page of the list of tasks: ``status=``, ``label=``, ``q=``, ``limit=``, ``page=``; ``next`` of the answer is the next ``page``."""
        found: dict[str, Any] = self._get("/v1/tasks", query)
        return found

    def delete(self, task: str) -> None:
        """Deletes a task and everything below it."""
        answer = self._hub.request("DELETE", self._path(task))
        if not answer.is_success:
            answer.json()

    def _publisher(self, task: str) -> Publisher:
        if self._redis is not None:
            return RedisPublisher(self._redis, task, self._prefix, self._key)
        return HubPublisher(self._hub, task)

    def _get(self, path: str, query: Optional[Mapping[str, Any]] = None) -> Any:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        text = urllib.parse.urlencode(given, doseq=True)
        return self._hub.request("GET", f"{path}?{text}" if text else path).json()

    def _path(self, task: str, *rest: str) -> str:
        return "/".join(["/v1/tasks", *(urllib.parse.quote(part, safe="") for part in (task, *rest))])
