"""What stands in for a hub that says what the test wants: an HTTP server with answers given in advance, and a listener in Redis."""

import http.server
import json
import queue
import ssl
import threading
import time
from typing import Any, Optional

import redis
from hub import PATIENCE


class Answers:
    """Answers requests with what it was told, in order; the last answer stays. Notes when what came."""

    def __init__(self, *answers: tuple[int, dict[str, str], Any], tls: Optional[ssl.SSLContext] = None) -> None:
        self.requests: queue.Queue[tuple[float, bytes, dict[str, str]]] = queue.Queue()
        left = list(answers)
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                requests.put((time.monotonic(), body, {**self.headers, "path": self.path}))
                status, headers, answer = left.pop(0) if len(left) > 1 else left[0]
                if answer is None:
                    answer = receipts(json.loads(body))
                text = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def next(self) -> tuple[float, list[dict[str, Any]], dict[str, str]]:
        when, body, headers = self.requests.get(timeout=PATIENCE)
        return when, json.loads(body), headers

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def receipts(items: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer that stores everything."""
    stored = [
        {"eventId": item["eventId"], "offset": n, "cursor": f"aaaaaaaa-{n}", "duplicate": False}
        if item["type"] != "heartbeat"
        else {"heartbeat": True}
        for n, item in enumerate(items, 1)
    ]
    return {"results": stored}


def connected(url: str) -> Any:
    """A client whose every method may be called: not all of them have types."""
    return redis.Redis.from_url(url)


class Listener:
    """Somebody who listens in Redis as a hub does, and answers when the test says so."""

    def __init__(self, url: str, prefix: str, task: str) -> None:
        self.redis = connected(url)
        self._prefix, self._task = prefix, task
        self._heard = self.redis.pubsub(ignore_subscribe_messages=True)
        self._subscribe(f"{prefix}tasks")

    def _subscribe(self, channel: str) -> None:
        self._heard.subscribe(channel)
        before = self.redis.execute_command("PUBSUB", "NUMSUB", channel)[1]
        end = time.monotonic() + PATIENCE
        while before < 1 and time.monotonic() < end:
            before = self.redis.execute_command("PUBSUB", "NUMSUB", channel)[1]

    def take(self) -> None:
        """Begins to take the task."""
        self._subscribe(f"{self._prefix}task:{self._task}")

    def next(self) -> Any:
        """What is heard next."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            message = self._heard.get_message(timeout=1)
            if message:
                return json.loads(message["data"])
        raise AssertionError("nothing was heard")

    def ack(self, items: list[dict[str, Any]]) -> None:
        self.say({"invocationId": items[0]["invocationId"], "eventIds": [item["eventId"] for item in items]})

    def say(self, words: Any) -> None:
        self.redis.publish(f"{self._prefix}ack:{self._task}", json.dumps(words))

    def close(self) -> None:
        self._heard.close()
        self.redis.close()
