"""HTTP/1.1 to one hub over the standard library: kept connections, bounded answers, proxies, and a token that is never shown.

No HTTP package is used: this code runs inside other people's programs, where a dependency can clash with theirs, log into their handlers,
or not survive their fork.
"""

import base64
import codecs
import contextlib
import http.client
import json
import os
import socket
import ssl
import threading
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any, Optional, Union

from .errors import InvalidAnswer, SetupError, TasklightError, Unreachable, printable, refused

#: How long a connection may take to open, in seconds.
CONNECT_TIMEOUT = 5.0

#: The most bytes of an answer.
ANSWER_BYTES = 16 << 20

#: How many unused connections are kept.
_IDLE_CONNECTIONS = 2

VERSION = "0.1.0"

# Codecs are imported when they are first used. A fork in the middle of that, in another thread, would leave the child without them.
for _name in ("ascii", "idna", "iso-8859-1", "latin-1", "utf-8"):
    codecs.lookup(_name)

_Connection = Union[http.client.HTTPConnection, http.client.HTTPSConnection]


@dataclass(frozen=True)
class Answer:
    """A hub's answer, read whole."""

    status: int
    retry_after: Optional[str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The answer's JSON, unless it is a problem."""
        if not self.is_success:
            raise refused(self.status, self.retry_after, self.body)
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise InvalidAnswer(f"the hub's answer is not understood: {error}") from None


class Hub:
    """A hub and the right to use it. May be used from many threads, and in a forked process."""

    def __init__(self, url: str, token: Optional[str], timeout: float, ssl_context: Optional[ssl.SSLContext]) -> None:
        self._scheme, self._host, self._port, self._base = _parsed(url)
        if token is not None and not (token and token.isascii() and all("!" <= c <= "~" for c in token)):
            raise SetupError("token: it must be printable ASCII without spaces")
        self._token = token
        self._timeout = timeout
        self._ssl = ssl_context
        self._proxy = _proxy(self._scheme, self._host)
        self.after_fork()

    def __repr__(self) -> str:
        return f"Hub({self.url!r})"

    @property
    def url(self) -> str:
        """The hub's URL, without a slash at its end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._scheme}://{host}:{self._port}{self._base}"

    def after_fork(self) -> None:
        """Connections are the parent's; the child makes its own."""
        self._lock = threading.Lock()
        self._idle: list[_Connection] = []
        self._process = os.getpid()

    def request(self, method: str, path: str, body: Optional[bytes] = None, kind: str = "application/json") -> Answer:
        """Sends a request and reads its whole answer. Every call of the API may be made twice, and is if a kept connection turns out dead."""
        while True:
            connection, kept = self._take()
            try:
                return self._exchange(connection, method, path, body, kind)
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                if not kept or isinstance(error, socket.timeout):
                    raise self._unreachable(error) from None
            except TasklightError:
                connection.close()
                raise

    def open(self, path: str, timeout: float) -> "Stream":
        """Opens a stream of Server-Sent Events, in which nothing may be silent for longer than ``timeout``."""
        connection = self._connection()
        try:
            connection.request("GET", self._target(path), headers=self._headers({"Accept": "text/event-stream"}))
            # An answer that ends with its connection takes the socket away from it.
            sock: socket.socket = connection.sock
            response = connection.getresponse()
            if response.status == 200:
                sock.settimeout(timeout)
                return Stream(connection, response, sock)
            answer = self._read(response)
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            raise self._unreachable(error) from None
        connection.close()
        raise refused(answer.status, answer.retry_after, answer.body)

    def _exchange(self, connection: _Connection, method: str, path: str, body: Optional[bytes], kind: str) -> Answer:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = kind
        connection.request(method, self._target(path), body, self._headers(headers))
        response = connection.getresponse()
        answer = self._read(response)
        if response.will_close:
            connection.close()
        else:
            self._keep(connection)
        return answer

    def _read(self, response: http.client.HTTPResponse) -> Answer:
        body = response.read(ANSWER_BYTES + 1)
        if ANSWER_BYTES < len(body):
            raise InvalidAnswer(f"the hub's answer is longer than {ANSWER_BYTES} bytes")
        location = response.getheader("Location")
        # Not followed: the token is for the hub that was named, and a redirected POST becomes a GET.
        if 300 <= response.status < 400 and location:
            raise InvalidAnswer(f"the hub at {self.url} sends elsewhere: use {printable(location)} instead")
        return Answer(response.status, response.getheader("Retry-After"), body)

    def _take(self) -> tuple[_Connection, bool]:
        if self._process != os.getpid():
            self.after_fork()
        with self._lock:
            if self._idle:
                return self._idle.pop(), True
        return self._connection(), False

    def _keep(self, connection: _Connection) -> None:
        with self._lock:
            if len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def _connection(self) -> _Connection:
        host, port = (self._proxy.hostname or "", self._proxy.port or 80) if self._proxy else (self._host, self._port)
        connection: _Connection
        if self._scheme == "https":
            self._ssl = self._ssl or ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_TIMEOUT, context=self._ssl)
            if self._proxy:
                connection.set_tunnel(self._host, self._port, self._proxy_headers())
        else:
            connection = http.client.HTTPConnection(host, port, timeout=CONNECT_TIMEOUT)
        try:
            connection.connect()
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            raise self._unreachable(error) from None
        connection.sock.settimeout(self._timeout)
        with contextlib.suppress(OSError):
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _target(self, path: str) -> str:
        if self._proxy and self._scheme == "http":
            return self.url + path
        return self._base + path

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        headers = {"User-Agent": f"tasklight-python/{VERSION}", **more}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._proxy and self._scheme == "http":
            headers.update(self._proxy_headers())
        return headers

    def _proxy_headers(self) -> dict[str, str]:
        if not self._proxy or not self._proxy.username:
            return {}
        pair = f"{urllib.parse.unquote(self._proxy.username)}:{urllib.parse.unquote(self._proxy.password or '')}"
        return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def _unreachable(self, error: Exception) -> TasklightError:
        if isinstance(error, TasklightError):
            return error
        if isinstance(error, socket.timeout):
            reason = "it did not answer in time"
        else:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unreachable(f"the hub at {self.url} cannot be reached: {printable(str(reason))}")


class Stream:
    """An answer without end."""

    def __init__(self, connection: _Connection, response: http.client.HTTPResponse, sock: socket.socket) -> None:
        self._connection, self._response, self._sock = connection, response, sock

    def read(self) -> bytes:
        """What has come, waiting until something has; nothing at the end."""
        return self._response.read1(64 * 1024)

    def close(self) -> None:
        """Ends it, also while another thread reads."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def _parsed(url: str) -> tuple[str, str, int, str]:
    def bad(reason: str) -> SetupError:
        return SetupError(f"hub: {reason}, such as http://127.0.0.1:8080")

    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        raise bad("it must be a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise bad("it must be an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise bad("it must not hold a user or password (access is by token)")
    if parts.query or parts.fragment:
        raise bad("it must be a URL without '?' and '#'")
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), parts.path.rstrip("/")


def _proxy(scheme: str, host: str) -> Optional[urllib.parse.SplitResult]:
    """The proxy for the outside world, if the environment names one. It cannot reach this machine's own loopback."""
    loopback = host in ("localhost", "::1") or host.startswith("127.") or host.endswith(".localhost")
    found = urllib.request.getproxies().get(scheme)
    if loopback or not found or urllib.request.proxy_bypass(host):
        return None
    return urllib.parse.urlsplit(found if "://" in found else f"http://{found}")
