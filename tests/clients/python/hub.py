"""A hub in its own process and directory, and the little HTTP that the tests need. Every wait has an end."""

import http.client
import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field

PATIENCE = 15.0


def eventually(check, seconds=PATIENCE, what="it did not happen in time"):
    """The first true value that `check` gives, asked again and again until the time is up."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, what
        time.sleep(0.02)


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Hub:
    directory: str
    env: dict = field(default_factory=dict)

    def __post_init__(self):
        self.store = os.path.join(self.directory, "t.db")
        self.process = None
        self.start()

    def command(self):
        store = f"sqlite://{self.store}"
        return [os.environ["TASKLIGHT_BIN"], "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--store", store]

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TASKLIGHT_")}
        return {**kept, "TASKLIGHT__LOG__FORMAT": "json", **self.env}

    def start(self):
        self.process = subprocess.Popen(
            self.command(), cwd=self.directory, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.log, self.output = [], []
        found = queue.Queue()
        self._drain(self.process.stdout, lambda line: self._output(line, found))
        self._drain(self.process.stderr, lambda line: self._log(line, found))
        known = {}
        try:
            while len(known) < 2:
                known.update(found.get(timeout=PATIENCE))
        except queue.Empty:
            self.stop()
            raise AssertionError(f"the hub did not start: {self.log}") from None
        self.port, self.admin_port = known["port"], known["admin"]

    def _drain(self, pipe, take):
        def run():
            for line in pipe:
                take(line.decode(errors="replace").rstrip("\n"))
            pipe.close()

        threading.Thread(target=run, daemon=True).start()

    def _output(self, line, found):
        self.output.append(line)
        look = re.match(r"look\s+https?://127\.0\.0\.1:(\d+)/$", line)
        if look:
            found.put({"port": int(look[1])})

    def _log(self, line, found):
        self.log.append(line)
        try:
            entry = json.loads(line)
        except ValueError:
            return
        entry = {**entry, **entry.get("fields", {})}
        if entry.get("message") == "listening":
            found.put({"admin": int(entry["admin"].rsplit(":", 1)[1])})

    @property
    def pid(self):
        return self.process.pid

    @property
    def ws_url(self):
        return f"ws://127.0.0.1:{self.port}/v1/ws"

    def request(self, method, path, body=None, headers=None, port=None, timeout=PATIENCE):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
            if isinstance(body, str):
                body = body.encode()
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def get(self, path, **more):
        answer = self.request("GET", path, **more)
        assert answer.status == 200, (path, answer)
        return answer.json

    def admin(self, path):
        return self.request("GET", path, port=self.admin_port)

    def post(self, task, body, headers=None):
        return self.request("POST", f"/v1/tasks/{task}/activities", body, headers)

    def publish(self, task, *items):
        """Publishes and gives the receipts; nothing may be refused."""
        answer = self.post(task, list(items))
        assert answer.status == 200, answer
        results = answer.json["results"]
        assert all("offset" in result for result in results), results
        return results

    def activities(self, task, query=""):
        """Everything of the log, page by page."""
        found, after = [], "start"
        while after:
            page = self.get(f"/v1/tasks/{task}/activities?after={after}&limit=1000{query}")
            found += page["activities"]
            after = page["next"]
        return found

    def rss(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=PATIENCE):
        return self.process.wait(seconds)

    def kill9(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def restart(self):
        self.terminate()
        assert self.wait(30) == 0
        self.start()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.kill9()


def message(text="hi", invocation="run-1", **more):
    return {"invocationId": invocation, "type": "message", "data": {"text": text}, **more}
