"""Publishing to one task, by HTTP to a hub or over Redis: the same promises, the same answers."""

import json
import urllib.parse
from collections.abc import Sequence
from typing import Protocol

from .activity import Outgoing, Refusal, Result, result
from .connection import Hub
from .errors import InvalidAnswer, printable, refused

#: The most activities and bytes of one request; a hub with its defaults takes 1,000 and 4 MiB.
REQUEST_ACTIVITIES = 500
REQUEST_BYTES = 1 << 20


class Publisher(Protocol):
    """Who delivers a task's activities."""

    def publish(self, items: Sequence[Outgoing]) -> list[Result]:
        """One try. Answers with a result for each once all are stored or refused. After an error some may be stored; the same again are
        stored once."""

    def after_fork(self) -> None:
        """Connections are the parent's."""

    def close(self) -> None:
        """Lets go of connections."""


class HubPublisher:
    """Requests to a hub."""

    def __init__(self, hub: Hub, task: str) -> None:
        self._hub = hub
        self._path = f"/v1/tasks/{urllib.parse.quote(task, safe='')}/activities"

    def __repr__(self) -> str:
        return f"HubPublisher({self._hub.url!r})"

    def publish(self, items: Sequence[Outgoing]) -> list[Result]:
        """As :meth:`Publisher.publish`. May be more than one request."""
        results: list[Result] = []
        for batch in batches(items, REQUEST_ACTIVITIES, REQUEST_BYTES):
            results += self._request(batch)
        return results

    def after_fork(self) -> None:
        self._hub.after_fork()

    def close(self) -> None:
        """The hub's connections are shared, and close by themselves."""

    def _request(self, items: Sequence[Outgoing]) -> list[Result]:
        answer = self._hub.request("POST", self._path, array(items))
        # When all of them were refused, the results come with a problem.
        if not answer.is_success and answer.status != 422:
            if answer.status != 413:
                raise refused(answer.status, answer.retry_after, answer.body)
            return self._too_large(items, refused(answer.status, None, answer.body).detail)
        try:
            results = [result(raw) for raw in json.loads(answer.body)["results"]]
        except (ValueError, KeyError, TypeError) as error:
            if not answer.is_success:
                raise refused(answer.status, answer.retry_after, answer.body) from None
            raise InvalidAnswer(f"the hub's answer is not understood: {printable(repr(error))}") from None
        if len(results) != len(items):
            raise InvalidAnswer(f"{len(results)} results for {len(items)} activities")
        return results

    def _too_large(self, items: Sequence[Outgoing], detail: str) -> list[Result]:
        """The hub, or a gateway before it, takes less at once than others do."""
        if len(items) == 1:
            return [Refusal("activity_too_large", detail)]
        half = len(items) // 2
        return self._request(items[:half]) + self._request(items[half:])


def array(items: Sequence[Outgoing]) -> bytes:
    """Always an array, so that one refused activity by itself is a result like any other and not the request's problem."""
    return b"[" + b",".join(item.text for item in items) + b"]"


def batches(items: Sequence[Outgoing], count: int, size: int) -> list[list[Outgoing]]:
    """The activities in order, in parts of at most so many and so large."""
    parts: list[list[Outgoing]] = []
    room = 0
    for item in items:
        need = len(item.text) + 1
        if not parts or count <= len(parts[-1]) or room < need:
            parts.append([])
            room = size - 2
        parts[-1].append(item)
        room -= need
    return parts
