"""A hub in its own process and folder, that can be killed and started again at the same port. Every wait has an end."""

import http.client
import json
import os
import queue
import re
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional, TypeVar

PATIENCE = 30.0

T = TypeVar("T")


def eventually(check: Callable[[], T], what: str = "it did not happen in time", seconds: float = PATIENCE) -> T:
    """The first true value that ``check`` gives."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, what
        time.sleep(0.02)


class Hub:
    """One hub. ``env`` are settings, such as ``TASKLIGHT__SESSION__HEARTBEAT``."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.store = folder / "t.db"
        self._env = env
        self._process: Optional[subprocess.Popen[bytes]] = None
        #: What the names in its Redis begin with.
        self.prefix = env.get("TASKLIGHT__BROKER__PREFIX", "")
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, at the port that it had before."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TASKLIGHT_")}
        listen = ["--listen", f"127.0.0.1:{self.port}", "--admin-listen", "127.0.0.1:0"]
        command = [os.environ["TASKLIGHT_BIN"], "serve", *listen]
        env = {**kept, "TASKLIGHT__STORE__URL": f"sqlite://{self.store}", "TASKLIGHT__LOG__FORMAT": "json", **self._env}
        self._process = subprocess.Popen(
            command, cwd=self.store.parent, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.log: list[str] = []
        found: queue.Queue[int] = queue.Queue()
        for pipe in (self._process.stdout, self._process.stderr):
            threading.Thread(target=self._drain, args=(pipe, found), daemon=True).start()
        try:
            self.port = found.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"the hub did not start: {self.log}") from None

    def _drain(self, pipe: Any, found: "queue.Queue[int]") -> None:
        for line in pipe:
            text = line.decode(errors="replace").rstrip()
            self.log.append(text)
            look = re.match(r"look\s+http://127\.0\.0\.1:(\d+)/$", text)
            if look:
                found.put(int(look[1]))
        pipe.close()

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)

    def stop(self) -> None:
        """SIGTERM, and waits for the end."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(PATIENCE)

    def end(self) -> None:
        """Whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def trim(self, floor: int) -> None:
        """Raises the floor of every task, while the hub is stopped."""
        with sqlite3.connect(self.store) as store:
            store.execute('DELETE FROM activities WHERE "offset" < ?', (floor,))
            store.execute("UPDATE tasks SET floor = ?", (floor,))
        store.close()

    def request(self, method: str, path: str, body: Optional[str] = None, **headers: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, None if body is None else body.encode(), names)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read().decode()
        finally:
            connection.close()

    def activities(self, task: str) -> list[dict[str, Any]]:
        """Everything in the log."""
        status, _, body = self.request("GET", f"/v1/tasks/{task}/activities", Accept="application/x-ndjson")
        assert status in (200, 404), body
        return [json.loads(line) for line in body.splitlines()] if status == 200 else []

    def statuses(self, task: str) -> dict[str, str]:
        """How each run of a task stands."""
        _, _, body = self.request("GET", f"/v1/tasks/{task}")
        return {run["invocationId"]: run["status"] for run in json.loads(body)["invocations"]}
