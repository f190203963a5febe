"""One run of an agent on a task: what it does, said in the hub's words, and how it ended."""

import asyncio
import os
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Optional

from .activity import Outgoing, encode, event_id, fitted, now
from .errors import SetupError
from .outbox import MEMORY_BYTES, SPILL_BYTES
from .publisher import Publisher
from .sender import CLOSE_TIMEOUT, Sender
from .series import Series

#: The most characters of an output activity; more of it becomes several.
_OUTPUT_CHARS = 15_000

#: The most characters of how a run ended.
_REASON_CHARS = 4_000
_TRACEBACK_CHARS = 16_000


class Invocation:
    """A run, to be used in ``with`` or ``async with``: ``running`` at the beginning; at the end ``completed``, ``failed`` with the exception,
    or ``cancelled`` after Ctrl-C or the cancellation of the asyncio task.

    Nothing that is said here waits for a hub or raises because of one: a thread sends it, as soon as possible, and again until it is confirmed.
    What no longer fits into the bounds is dropped, counted, and said to be missing. Secrets are taken out by the hub, before anything is stored.
    """

    def __init__(
        self,
        publisher: Publisher,
        task: str,
        id: Optional[str] = None,
        *,
        agent: Optional[str] = None,
        title: Optional[str] = None,
        close_timeout: float = CLOSE_TIMEOUT,
        memory_bytes: int = MEMORY_BYTES,
        spill_bytes: int = SPILL_BYTES,
        spill_folder: Optional[str] = None,
    ) -> None:
        self.task = _checked_task(task)
        #: Unique within the task.
        self.id = _checked_id(id) if id is not None else f"run-{event_id()}"
        self._agent, self._title = agent, title
        self._close_timeout = close_timeout
        self._owner = os.getpid()
        self._begun = self._ended = False
        self._sender = Sender(
            publisher,
            task,
            memory_bytes=memory_bytes,
            spill_bytes=spill_bytes,
            spill_folder=spill_folder,
            heartbeat=encode({"invocationId": self.id, "type": "heartbeat"}),
            note=self._missing,
        )

    def __repr__(self) -> str:
        return f"Invocation({self.task!r}, {self.id!r})"

    # The beginning and the end.

    def __enter__(self) -> "Invocation":
        self.begin()
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._end(error)
        self.close()

    async def __aenter__(self) -> "Invocation":
        self.begin()
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._end(error)
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self.close))

    def begin(self) -> None:
        """Says that it runs. Without ``with``: then one of ``complete``, ``fail`` and ``cancel``, and ``close``, are the caller's to call."""
        if not self._begun:
            self._begun = True
            self._status("running", agent=self._agent, title=self._title)

    def complete(self, exit_code: Optional[int] = None, reason: Optional[str] = None) -> None:
        """It ended well."""
        self._finish("completed", exit_code, reason)

    def fail(self, reason: Optional[str] = None, exit_code: Optional[int] = None) -> None:
        """It ended badly."""
        self._finish("failed", exit_code, reason)

    def cancel(self, reason: Optional[str] = None) -> None:
        """Somebody wanted it to end."""
        self._finish("cancelled", None, reason)

    def flush(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Waits until everything said so far is confirmed (or refused), at most so many seconds; says whether it is."""
        return self._sender.flush(timeout)

    async def aflush(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """As :meth:`flush`, without holding up the event loop."""
        return await asyncio.get_running_loop().run_in_executor(None, self.flush, timeout)

    def close(self, timeout: Optional[float] = None) -> bool:
        """Sends what is left, and ends the sending; says whether everything was confirmed. What was not is kept in a file, and that is logged."""
        return self._sender.close(self._close_timeout if timeout is None else timeout)

    # What it does.

    def message(self, text: str, *, role: str = "agent", **more: Any) -> None:
        """Something said by or to the agent."""
        self.publish("message", {"role": role, "text": text, **more})

    def thinking(self, text: str, **more: Any) -> None:
        """The agent's reasoning."""
        self.publish("thinking", {"text": text, **more})

    def tool_call(self, name: str, input: Any = None, *, tool_call_id: Optional[str] = None, **more: Any) -> str:
        """A tool was called. Gives the id that its result names."""
        tool_call_id = tool_call_id or event_id()
        self.publish("tool_call", {"toolCallId": tool_call_id, "name": name, "input": {} if input is None else input, **more})
        return tool_call_id

    def tool_result(self, tool_call_id: str, output: Any = None, *, is_error: bool = False, **more: Any) -> None:
        """What a tool gave back."""
        self.publish("tool_result", {"toolCallId": tool_call_id, "output": output, "isError": is_error, **more})

    def output(self, text: str, stream: str = "stdout", **more: Any) -> None:
        """Text from a process. Long text becomes several activities."""
        for begin in range(0, max(len(text), 1), _OUTPUT_CHARS):
            self.publish("output", {"stream": stream, "text": text[begin : begin + _OUTPUT_CHARS], **more})

    def progress(
        self,
        text: Optional[str] = None,
        *,
        percent: Optional[float] = None,
        current: Optional[float] = None,
        total: Optional[float] = None,
    ) -> None:
        """How far something has come."""
        fields = {"percent": percent, "current": current, "total": total, "text": text}
        self.publish("progress", {name: value for name, value in fields.items() if value is not None})

    def error(self, message: str, code: Optional[str] = None, **more: Any) -> None:
        """Something went wrong. The run goes on."""
        self.publish("error", {"message": message, **({} if code is None else {"code": code}), **more})

    def usage(self, **figures: Any) -> None:
        """Tokens and cost so far: ``inputTokens``, ``outputTokens``, ``costUsd``, … Each replaces the one before."""
        self.publish("usage", figures)

    def custom(self, **data: Any) -> None:
        """Anything else."""
        self.publish("custom", data)

    def series(self, type: str = "message", **more: Any) -> Series:
        """Text that comes in tokens: ``with run.series() as text: text.add(token)``."""
        return Series(self.publish, type, more)

    def publish(self, type: str, data: Mapping[str, Any]) -> None:
        """An activity of any type."""
        self._sender.push(self._encoded(type, data))

    # What became of it.

    @property
    def waiting(self) -> int:
        """How many activities are not confirmed yet."""
        return self._sender.waiting

    @property
    def dropped(self) -> int:
        """How many activities were dropped for want of room."""
        return self._sender.dropped

    @property
    def refused(self) -> dict[str, int]:
        """How many activities the hub refused, by its codes."""
        return self._sender.refused

    def _end(self, error: Optional[BaseException]) -> None:
        if error is None:
            self.complete()
        elif isinstance(error, (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit)):
            self.cancel("interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__)
        elif isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            reason = error.code if isinstance(error.code, str) else None
            self.fail(reason, code) if code else self.complete(0)
        else:
            words = "".join(traceback.format_exception_only(type(error), error)).strip()[:_REASON_CHARS]
            trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))[-_TRACEBACK_CHARS:]
            if not self._ended and self._owner == os.getpid():
                self.error(words, type(error).__name__, traceback=trace)
            self.fail(words)

    def _finish(self, status: str, exit_code: Optional[int], reason: Optional[str]) -> None:
        # A forked child says what it does; how the run ends is the parent's to say.
        if self._ended or self._owner != os.getpid():
            return
        self._ended = True
        self._status(status, exitCode=exit_code, reason=None if reason is None else reason[:_REASON_CHARS])

    def _status(self, status: str, **fields: Any) -> None:
        data = {"status": status, **{name: value for name, value in fields.items() if value is not None}}
        self._sender.push(self._encoded("status", data), must=True)

    def _missing(self, count: int) -> Outgoing:
        words = f"{count} activities are missing here: the hub was away for so long that there was no more room to keep them"
        return self._encoded("error", {"code": "activities_dropped", "message": words})

    def _encoded(self, type: str, data: Mapping[str, Any]) -> Outgoing:
        name = event_id()
        head = encode({"invocationId": self.id, "type": type, "eventId": name, "timestamp": now()})
        return Outgoing(name, head[:-1] + b',"data":' + fitted(data) + b"}")


def _checked_task(task: str) -> str:
    first, rest = task[:1], task.replace(".", "").replace("_", "").replace("-", "")
    if not (first.isalnum() and (not rest or rest.isalnum()) and task.isascii() and len(task) <= 128):
        words = "a task id is 1 to 128 letters, digits, '.', '_' or '-', and starts with a letter or digit"
        raise SetupError(f"task: {words}")
    return task


def _checked_id(id: str) -> str:
    control = any(c < " " or "\x7f" <= c <= "\x9f" for c in id)
    if not 1 <= len(id) <= 128 or control:
        raise SetupError("id: an invocation id is 1 to 128 characters without control characters")
    return id
