"""What can go wrong, by what the caller can do about it. No error's text ever holds a token or a password."""

import json
from typing import Optional, Union

#: The longest ``Retry-After`` that is believed, in seconds.
LONGEST_RETRY_AFTER = 60.0

#: The most characters of somebody else's words that are passed on.
_DETAIL_CHARS = 500


class TasklightError(Exception):
    """Something was not done. ``code`` is stable and meant to be branched on; the text is for people."""

    code: str = "error"
    #: Whether the same call may succeed a little later.
    transient: bool = False
    #: How long the hub asked to wait before the next try, in seconds.
    retry_after: Optional[float] = None


class SetupError(TasklightError, ValueError):
    """Something cannot be made as asked: the text names it and what would be right."""

    code = "setup"


class Unreachable(TasklightError):
    """The hub, or Redis, did not answer: it may have got what was sent, or not."""

    code = "unreachable"
    transient = True


class Refused(TasklightError):
    """The hub said no, by a problem document (RFC 9457)."""

    def __init__(
        self, code: str, detail: str, field: Optional[str] = None, status: int = 0, retry_after: Optional[float] = None
    ) -> None:
        super().__init__(f"{detail} ({code}{f', field {field}' if field else ''})")
        #: The hub's stable code; ``http_<status>`` when what answered is no hub.
        self.code = code
        self.detail = detail
        #: The field or parameter at fault, if there is one.
        self.field = field
        #: The HTTP status; 0 if the hub was not asked.
        self.status = status
        self.retry_after = retry_after
        self.transient = status in (408, 429, 500, 502, 503, 504)


class RedisRefused(TasklightError):
    """Redis does not let us in, or not do what is needed."""

    code = "redis_refused"


class NoHub(TasklightError):
    """No hub listens to the task's channel in Redis."""

    code = "no_hub"
    transient = True


class Unconfirmed(TasklightError):
    """A hub heard activities over Redis and has not confirmed them."""

    code = "unconfirmed"
    transient = True


class InvalidAnswer(TasklightError):
    """What answered is no hub that this client understands."""

    code = "invalid_answer"


def printable(text: str) -> str:
    """Words from outside, fit to be printed: bounded, and without control characters."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:_DETAIL_CHARS])


def refused(status: int, retry_after: Optional[str], body: bytes) -> Refused:
    """A hub's answer that is no success."""
    wait = _seconds(retry_after)
    try:
        document = json.loads(body)
        code, detail = document["code"], document.get("detail", "")
        field: Union[str, None] = document.get("field")
    except (ValueError, KeyError, TypeError, AttributeError):
        detail = f"HTTP {status}, with an answer that is not a hub's: is the hub's URL right?"
        return Refused(f"http_{status}", detail, None, status, wait)
    field = printable(str(field)) if field is not None else None
    return Refused(printable(str(code)), printable(str(detail)), field, status, wait)


def _seconds(text: Optional[str]) -> Optional[float]:
    """The seconds of ``Retry-After``; its form with a date is not used by hubs."""
    text = (text or "").strip()
    if not text.isascii() or not text.isdigit():
        return None
    return min(float(text), LONGEST_RETRY_AFTER)
