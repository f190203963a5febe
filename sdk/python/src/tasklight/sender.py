"""Sends in the background what a program publishes. The program never waits for a hub: it only waits, if it wants to, in ``flush`` and at
the end, and never longer than it says."""

import atexit
import contextlib
import logging
import os
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Optional

from .activity import Noted, Outgoing, Refusal
from .backoff import Backoff
from .errors import TasklightError
from .outbox import MEMORY_BYTES, SPILL_BYTES, Outbox
from .publisher import REQUEST_ACTIVITIES, REQUEST_BYTES, Publisher

#: How often the hub hears that a run is alive while it has nothing to say, in seconds.
HEARTBEAT = 10.0

#: The bounds of the wait between tries.
RETRY_FIRST, RETRY_MOST = 0.2, 5.0

#: How long activities wait for others that come at the same time.
LINGER = 0.02

#: How long the end waits for what is on its way, as a rule.
CLOSE_TIMEOUT = 5.0

#: The most refusals of different kinds that are said.
_SAID = 20

log = logging.getLogger("tasklight")

#: The threads of senders: what they log is never published.
threads: set[int] = set()


class Sender:
    """A queue to one task and the thread that empties it. Safe to use from many threads, and after a fork."""

    def __init__(
        self,
        publisher: Publisher,
        task: str,
        *,
        memory_bytes: int = MEMORY_BYTES,
        spill_bytes: int = SPILL_BYTES,
        spill_folder: Optional[str] = None,
        heartbeat: Optional[bytes] = None,
        note: Callable[[int], Outgoing],
    ) -> None:
        """``note`` makes the activity that says how many are missing."""
        self._publisher, self._task = publisher, task
        self._bounds = (memory_bytes, spill_bytes, spill_folder)
        self._heartbeat = heartbeat
        self._note = note
        self._begin()
        _open.add(self)

    def _begin(self) -> None:
        """Everything that a fork must not inherit."""
        # May be entered again: a signal's handler may say something while the program does.
        self._changed = threading.Condition(threading.RLock())
        self._outbox = Outbox(*self._bounds)
        self._on_its_way: list[Outgoing] = []
        self._thread: Optional[threading.Thread] = None
        self._closing = self._hurry = self._abandoned = False
        self._gap = self._dropped = self._left = 0
        self._refused: dict[str, int] = {}
        self._away = ""
        self._heard = time.monotonic()

    @property
    def dropped(self) -> int:
        """How many activities were dropped for want of room."""
        with self._changed:
            return self._dropped + self._outbox.lost

    @property
    def refused(self) -> dict[str, int]:
        """How many activities the hub refused, by code."""
        with self._changed:
            return dict(self._refused)

    @property
    def waiting(self) -> int:
        """How many activities are not confirmed yet."""
        with self._changed:
            return len(self._outbox) + len(self._on_its_way) + self._left

    def push(self, item: Outgoing, must: bool = False) -> None:
        """Takes an activity, or drops and counts it when there is no room. Never waits for a hub."""
        if not self._push(item, must):
            log.warning("there is no more room for what waits for the hub: the newest is dropped")

    def _push(self, item: Outgoing, must: bool) -> bool:
        """False for the first that is dropped."""
        with self._changed:
            if self._abandoned:
                self._dropped += 1
                return True
            if self._gap and (must or self._outbox.has_ease()):
                self._outbox.push(self._note(self._gap), must=True)
                self._gap = 0
            # Once something was dropped, what follows is dropped as well until that was said: a hole is in one place.
            if self._gap or not self._outbox.push(item, must):
                self._gap += 1
                self._dropped += 1
                return self._dropped != 1
            self._ensure_thread()
            self._changed.notify_all()
            return True

    def flush(self, timeout: float) -> bool:
        """Waits until everything taken so far is answered; says whether it is."""
        end = time.monotonic() + timeout
        with self._changed:
            if self._gap:
                self._outbox.push(self._note(self._gap), must=True)
                self._gap = 0
                self._ensure_thread()
            self._hurry = True
            self._changed.notify_all()
            while self._outbox or self._on_its_way:
                left = end - time.monotonic()
                if left <= 0 or self._abandoned or self._thread is None:
                    return False
                self._changed.wait(left)
            return True

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Sends what is left, within this time, and ends the thread. What could not be sent is kept in a file, and that is said."""
        done = False
        try:
            done = self.flush(timeout)
        finally:
            # Also after another Ctrl-C.
            self._close(done)
        return done

    def after_fork(self) -> None:
        """In the child: what waits is the parent's, who sends it; the child has a queue, a connection and a thread of its own."""
        self._outbox.abandon()
        self._begin()
        self._heartbeat = None
        self._publisher.after_fork()

    def _close(self, done: bool) -> None:
        _open.discard(self)
        with self._changed:
            left = not done and not self._closing
            self._closing = self._abandoned = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and done:
            thread.join(1.0)
        if left:
            self._leave()
        self._publisher.close()

    def _ensure_thread(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        thread = threading.Thread(target=self._run, name="tasklight-sender", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The interpreter ends and starts no more threads: what waits goes into the file.
            return
        self._thread = thread

    def _run(self) -> None:
        threads.add(threading.get_ident())
        try:
            backoff = Backoff(RETRY_FIRST, RETRY_MOST)
            while self._wait():
                with self._changed:
                    if self._closing:
                        return
                    if not self._on_its_way:
                        self._on_its_way = self._outbox.take(REQUEST_ACTIVITIES, REQUEST_BYTES)
                    batch = list(self._on_its_way)
                self._send(batch, backoff) if batch else self._beat()
        finally:
            threads.discard(threading.get_ident())

    def _wait(self) -> bool:
        """Until there is something to send, or a heartbeat is due. False at the end."""
        with self._changed:
            while not self._closing:
                if self._on_its_way or self._outbox:
                    self._linger()
                    return not self._closing
                due = None if self._heartbeat is None else self._heard + HEARTBEAT - time.monotonic()
                if due is not None and due <= 0:
                    return True
                self._hurry = False
                self._changed.wait(due)
            return False

    def _linger(self) -> None:
        end = time.monotonic() + LINGER
        while not self._hurry and not self._closing:
            left = end - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)

    def _send(self, batch: list[Outgoing], backoff: Backoff) -> None:
        try:
            results = self._publisher.publish(batch)
        except Exception as error:
            # Even a defect of ours must not end the sending; it is said, and tried again.
            self._pause(error, backoff)
            return
        backoff.reset()
        refusals = [result for result in results if isinstance(result, Refusal)]
        with self._changed:
            new = [refusal for refusal in refusals if refusal.code not in self._refused and len(self._refused) < _SAID]
            for refusal in refusals:
                self._refused[refusal.code] = self._refused.get(refusal.code, 0) + 1
            self._on_its_way = []
            self._heard = time.monotonic()
            back, self._away = self._away, ""
            self._changed.notify_all()
        for refusal in {refusal.code: refusal for refusal in new}.values():
            log.warning("the hub refused an activity of task %s: %s (%s)", self._task, refusal.message, refusal.code)
        if back:
            log.info("task %s is published again", self._task)

    def _pause(self, error: Exception, backoff: Backoff) -> None:
        """Says why, once, and waits. A hub that says no is asked again too: the grant may be mended, and until the end nothing is given up."""
        code = error.code if isinstance(error, TasklightError) else type(error).__name__
        wait = backoff.next(error.retry_after if isinstance(error, TasklightError) else None)
        if code != self._away and not self._abandoned:
            log.warning("task %s is not published at present, and kept: %s", self._task, error)
        self._away = code
        end = time.monotonic() + wait
        with self._changed:
            # Somebody who begins to wait for the end is worth one try at once.
            hurried = self._hurry
            while not self._closing and (hurried or not self._hurry):
                left = end - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def _beat(self) -> None:
        """One try: the next heartbeat, or the next activity, says it again."""
        if self._heartbeat is None:
            return
        self._heard = time.monotonic()
        with contextlib.suppress(Exception):
            results = self._publisher.publish([Outgoing(None, self._heartbeat, is_heartbeat=True)])
            if not all(isinstance(result, Noted) for result in results):
                log.debug("a heartbeat of task %s was refused", self._task)

    def _leave(self) -> None:
        """Writes everything that is not confirmed into a new file that only its owner can read; all of it, or else it is dropped and counted."""
        count, lost, path = self.waiting, self._outbox.lost, None
        try:
            number, path = tempfile.mkstemp(prefix=f"tasklight-{os.getpid()}-", suffix=".ndjson", dir=self._bounds[2])
            with os.fdopen(number, "wb") as file, self._changed:
                batch = self._on_its_way or self._outbox.take(REQUEST_ACTIVITIES, REQUEST_BYTES)
                while batch:
                    file.writelines(item.text + b"\n" for item in batch)
                    batch = self._outbox.take(REQUEST_ACTIVITIES, REQUEST_BYTES)
                self._left, self._on_its_way = count, []
        except OSError as error:
            # Half of it would be taken for all of it.
            if path is not None:
                Path(path).unlink(missing_ok=True)
            with self._changed:
                self._outbox, self._on_its_way = Outbox(*self._bounds), []
                self._dropped += count + lost
            log.warning("%d activities of task %s were not confirmed, and cannot be kept: %s", count, self._task, error)
            return
        words = "%d activities of task %s were not confirmed. They are kept: tasklight publish %s < %s"
        log.warning(words, count, self._task, self._task, path)


_open: "weakref.WeakSet[Sender]" = weakref.WeakSet()


def _after_fork() -> None:
    threads.clear()
    for sender in list(_open):
        sender.after_fork()


def _at_exit() -> None:
    """All of them together have the time of one."""
    end = time.monotonic() + CLOSE_TIMEOUT
    for sender in list(_open):
        sender.close(max(0.0, end - time.monotonic()))


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
