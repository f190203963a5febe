"""Tasklight: publish what your agent, job or script does, and watch tasks live.

    import tasklight

    with tasklight.invocation("build-42", agent="me") as run:
        run.message("hello")

Everything that is not given comes from the environment, as for the command line: ``TASKLIGHT_HUB``, ``TASKLIGHT_TOKEN``, ``TASKLIGHT_REDIS``.
Secrets are taken out by the hub, before anything is stored or shown; this package sends what it is given.
"""

from typing import TYPE_CHECKING, Any, Optional, Union

from .activity import Acknowledged, Noted, Receipt, Refusal, Result
from .aio import AsyncClient, AsyncFollow
from .client import Client
from .connection import VERSION as __version__
from .envelope import EnvelopeKey
from .errors import (
    InvalidAnswer,
    NoHub,
    RedisRefused,
    Refused,
    SetupError,
    TasklightError,
    Unconfirmed,
    Unreachable,
)
from .events import Activity, Deleted, Event, Live, Reconnecting, Reset, Skipped, Subscribed, Truncated
from .follow import Follow
from .invocation import Invocation
from .log import LogHandler
from .series import Series

if TYPE_CHECKING:
    import redis as redis_py


def invocation(
    task: Optional[str] = None,
    id: Optional[str] = None,
    *,
    hub: Optional[str] = None,
    token: Optional[str] = None,
    redis: "Union[str, redis_py.Redis, None]" = None,
    redis_prefix: Optional[str] = None,
    envelope_key: Optional[EnvelopeKey] = None,
    **options: Any,
) -> Invocation:
    """A run on a task, by a client of its own: see :class:`Client` and :class:`Invocation`."""
    client = Client(hub, token, redis=redis, redis_prefix=redis_prefix, envelope_key=envelope_key)
    return client.invocation(task, id, **options)


__all__ = [
    "Acknowledged",
    "Activity",
    "AsyncClient",
    "AsyncFollow",
    "Client",
    "Deleted",
    "EnvelopeKey",
    "Event",
    "Follow",
    "InvalidAnswer",
    "Invocation",
    "Live",
    "LogHandler",
    "NoHub",
    "Noted",
    "Receipt",
    "Reconnecting",
    "RedisRefused",
    "Refusal",
    "Refused",
    "Reset",
    "Result",
    "Series",
    "SetupError",
    "Skipped",
    "Subscribed",
    "TasklightError",
    "Truncated",
    "Unconfirmed",
    "Unreachable",
    "__version__",
    "invocation",
]
