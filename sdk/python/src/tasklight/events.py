"""What a viewer is given, in order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union


@dataclass(frozen=True)
class Activity:
    """The next activity of the log."""

    task_id: str
    offset: int
    cursor: str
    """Where a viewer who has seen it stands: keep it, and go on with ``follow(task, after=cursor)``."""
    invocation_id: str
    event_id: str
    timestamp: int
    """When it happened, by the publisher's clock, in epoch milliseconds."""
    received_at: int
    """When the hub took it."""
    type: str
    """One of the protocol's types, or one that is newer than this package."""
    data: Mapping[str, Any]

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> "Activity":
        """An activity in the form in which every answer of a hub has it."""
        return cls(
            raw["taskId"],
            raw["offset"],
            raw["cursor"],
            raw["invocationId"],
            raw["eventId"],
            raw["timestamp"],
            raw["receivedAt"],
            raw["type"],
            raw["data"],
        )


@dataclass(frozen=True)
class Subscribed:
    """A connection is made and the log's state known. Comes again after each reconnect."""

    epoch: Optional[str]
    """The log's life; none while the task does not exist."""
    floor: int
    head: int


@dataclass(frozen=True)
class Live:
    """Everything up to here was given; what comes next comes as it happens."""

    offset: int


@dataclass(frozen=True)
class Skipped:
    """A filter left out everything up to here."""

    offset: int


@dataclass(frozen=True)
class Truncated:
    """What was between the last activity and this offset is no longer kept: it goes on with this one."""

    floor: int


@dataclass(frozen=True)
class Reset:
    """The log is another one than before (deleted and made again, or restored): it starts over."""

    epoch: str


@dataclass(frozen=True)
class Deleted:
    """The task was deleted. Asked for more, the viewer waits for it to be made again."""


@dataclass(frozen=True)
class Reconnecting:
    """The connection is gone, or could not be made; it is made anew after a wait."""

    reason: str
    wait: float
    """How long until the next try, in seconds."""


Event = Union[Activity, Subscribed, Live, Skipped, Truncated, Reset, Deleted, Reconnecting]
