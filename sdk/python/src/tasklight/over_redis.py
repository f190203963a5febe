"""Publishing over Redis, to whichever hub takes the task, without any way to the hub itself.

The acks are listened to before anything is published, and one message is on its way at a time, so that the order of a run's activities is
kept. What is not acked in time is published again under the same ``eventId``; the hub stores it once.
"""

import contextlib
import json
import time
import urllib.parse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from .activity import Acknowledged, Noted, Outgoing, Refusal, Result, refusal
from .backoff import Backoff
from .envelope import EnvelopeKey
from .errors import NoHub, RedisRefused, SetupError, TasklightError, Unconfirmed, Unreachable, printable
from .publisher import array, batches

if TYPE_CHECKING:
    import redis as redis_py

#: The most bytes and activities of a message.
MESSAGE_BYTES = 256 * 1024
MESSAGE_ACTIVITIES = 500

#: How long the next ack may take before what is not acked is published again: at first, and at most after it did not help. In seconds.
ACK_PATIENCE, ACK_PATIENCE_MOST = 5.0, 30.0

#: The bounds of the wait for a hub to begin to take the task that was announced to it, and how long it may take altogether.
ANNOUNCED_FIRST, ANNOUNCED_MOST, ANNOUNCED_PATIENCE = 0.01, 0.5, 2.0

#: How long connecting, one command, or subscribing may take.
TIMEOUT = 3.0


class RedisPublisher:
    """Publishes one task's activities over Redis. ``where`` is a URL, or a ``redis.Redis`` made by the caller (for Sentinel, or TLS of one's
    own); ``prefix`` is that of the hubs (``broker.prefix``); with a ``key`` every message is sealed."""

    def __init__(
        self,
        where: Union[str, "redis_py.Redis"],
        task: str,
        prefix: str = "tasklight:",
        key: Optional[EnvelopeKey] = None,
    ) -> None:
        try:
            import redis  # noqa: PLC0415 - only who publishes over Redis needs the package
        except ImportError:
            raise SetupError("redis: the package redis is missing: pip install 'tasklight[redis]'") from None
        self._redis, self._task, self._prefix = redis, task, prefix
        self._where, self._client = _client(redis, where)
        self._patience = ACK_PATIENCE
        self._key = key
        self.after_fork()

    def __repr__(self) -> str:
        return f"RedisPublisher({self._where!r}, {self._task!r})"

    def after_fork(self) -> None:
        """The pool of redis-py sees a fork by itself; the subscription is the parent's."""
        self._acks: Any = None
        self._answers: dict[str, Result] = {}
        self._wanted: set[str] = set()

    def close(self) -> None:
        """Ends the subscription."""
        acks, self._acks = self._acks, None
        if acks is not None:
            with contextlib.suppress(Exception):
                acks.close()

    def publish(self, items: Sequence[Outgoing]) -> list[Result]:
        """As :meth:`tasklight.publisher.Publisher.publish`. What is known to be answered of an earlier try is not sent again."""
        self._wanted = {item.event_id for item in items if item.event_id}
        self._answers = {name: answer for name, answer in self._answers.items() if name in self._wanted}
        results: dict[int, Result] = {}
        for index, item in enumerate(items):
            fault = _fault(item)
            if fault:
                results[index] = fault
        try:
            self._listen()
            open_ones = [item for index, item in enumerate(items) if index not in results and not self._known(item)]
            for message in batches(open_ones, MESSAGE_ACTIVITIES, MESSAGE_BYTES):
                self._send(array(message))
                self._hear({item.event_id for item in message if item.event_id})
        except (self._redis.exceptions.RedisError, OSError) as error:
            self.close()
            raise self._failed(error) from None
        except TasklightError:
            # An open connection may be deaf: the next try listens on a new one.
            self.close()
            raise
        answers = (results.get(index) or self._known(item) or Noted() for index, item in enumerate(items))
        return list(answers)

    def _known(self, item: Outgoing) -> Optional[Result]:
        return self._answers.get(item.event_id) if item.event_id else None

    def _name(self, rest: str) -> str:
        return self._prefix + rest

    def _listen(self) -> None:
        """Waits until acks are heard, having noted those that came since the last time."""
        channel = self._name(f"ack:{self._task}")
        if self._acks is None:
            self._acks = self._client.pubsub()
            self._acks.subscribe(channel)
            end = time.monotonic() + TIMEOUT
            while True:
                left = end - time.monotonic()
                if left <= 0:
                    raise Unreachable(f"Redis at {self._where} does not confirm a subscription to {channel}")
                message = self._acks.get_message(timeout=left)
                if message is not None and message["type"] == "subscribe":
                    break
        while self._note(self._acks.get_message(timeout=0)):
            pass

    def _send(self, payload: bytes) -> None:
        """Publishes until somebody hears it; announces the task while nobody does."""
        announcement = json.dumps({"taskId": self._task})
        backoff = Backoff(ANNOUNCED_FIRST, ANNOUNCED_MOST)
        end = time.monotonic() + ANNOUNCED_PATIENCE
        channel = self._name(f"task:{self._task}")
        while self._client.publish(channel, self._sealed(channel, payload)) == 0:
            hubs = self._client.publish(self._name("tasks"), announcement)
            wait = backoff.next()
            if not hubs or end < time.monotonic() + wait:
                raise NoHub(f"no hub takes the task {self._task}: the PUBLISH reached 0 receivers, and its announcement {hubs}")
            time.sleep(wait)

    def _sealed(self, channel: str, payload: bytes) -> bytes:
        return payload if self._key is None else self._key.seal(channel, payload.decode())

    def _hear(self, wanted: set[str]) -> None:
        """Waits until all of these are answered, as long as answers come."""
        end = time.monotonic() + self._patience
        left = len(wanted - self._answers.keys())
        while left:
            wait = end - time.monotonic()
            if wait <= 0:
                waited, self._patience = self._patience, min(self._patience * 2, ACK_PATIENCE_MOST)
                raise Unconfirmed(
                    f"a hub was reached over Redis, but has not confirmed {left} of the activities within {waited:g} s"
                )
            self._note(self._acks.get_message(timeout=wait))
            before, left = left, len(wanted - self._answers.keys())
            if left < before:
                self._patience = ACK_PATIENCE
                end = time.monotonic() + self._patience

    def _note(self, message: Any) -> bool:
        """Takes what was heard. Acks of others come on the same channel, and other programs may speak on it."""
        if message is None:
            return False
        if message["type"] != "message":
            return True
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            answer = json.loads(message["data"])
            for name in answer.get("eventIds", ()):
                if name in self._wanted:
                    self._answers.setdefault(name, Acknowledged(name))
            for rejected in answer.get("rejected", ()):
                name = rejected.get("eventId")
                if name in self._wanted:
                    self._answers.setdefault(name, refusal(rejected))
        return True

    def _failed(self, error: Exception) -> TasklightError:
        kinds = self._redis.exceptions
        reason = printable(str(error)) or type(error).__name__
        if isinstance(error, (kinds.AuthenticationError, kinds.NoPermissionError)):
            return RedisRefused(f"Redis at {self._where} refuses: {reason}")
        return Unreachable(f"Redis at {self._where} cannot be reached: {reason}")


def _fault(item: Outgoing) -> Optional[Refusal]:
    """What no hub would answer is not sent."""
    if MESSAGE_BYTES < len(item.text) + 2:
        words = f"{len(item.text)} bytes; over Redis an activity has at most {MESSAGE_BYTES - 2}"
        return Refusal("activity_too_large", words)
    if item.event_id is None and not item.is_heartbeat:
        return Refusal(
            "invalid_event_id", "over Redis an activity needs an eventId that is a UUID: its answer names it", "eventId"
        )
    return None


def _client(redis: Any, where: Any) -> tuple[str, Any]:
    """The address without its password, and a client for it."""
    if not isinstance(where, str):
        return "the client's address", where
    parts = urllib.parse.urlsplit(where)
    if parts.scheme not in ("redis", "rediss", "unix"):
        words = "it must be a redis://, rediss:// or unix:// URL, or a redis.Redis (for Sentinel: Sentinel(…).master_for(name))"
        raise SetupError(f"redis: {words}")
    shown = f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
    return shown, redis.Redis.from_url(where, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
