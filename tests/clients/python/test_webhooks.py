"""Webhooks as an independent implementation of Standard Webhooks checks them."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hub import PATIENCE
from standardwebhooks import Webhook, WebhookVerificationError

OLD, NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_bmV3IHNlY3JldCBvZiBhIHRlc3QsIDMyIGJ5dGVz"
OTHER = "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCwgbm90IG91cnM="


@pytest.fixture
def receiver():
    """A server on loopback, and what it gets: headers and body."""
    arrivals = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            arrivals.put((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, arrivals
    server.shutdown()
    server.server_close()


def test_a_request_is_signed_as_the_standard_says(start, receiver):
    port, arrivals = receiver
    endpoint = {"name": "ops", "url": f"http://127.0.0.1:{port}/", "secret": f"{OLD} {NEW}", "on": "failed"}
    hub = start(
        webhooks__endpoint=json.dumps([endpoint]),
        webhooks__allow_http="true",
        webhooks__allow_private="127.0.0.1",
        webhooks__interval="20ms",
    )
    data = {"status": "failed", "reason": "é \u2028 \U0001f4a5 \" \\ <&>"}
    hub.publish("build-42", {"invocationId": "r", "type": "status", "data": data})
    headers, body = arrivals.get(timeout=PATIENCE)
    for secret in (OLD, NEW):
        event = Webhook(secret).verify(body, headers)
        assert event["type"] == "invocation.failed" and event["invocation"]["reason"] == data["reason"]
    for changed_headers, changed_body, secret in [
        (headers, body, OTHER),
        (headers, body + b" ", OLD),
        ({**headers, "webhook-id": "another"}, body, OLD),
        ({**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}, body, OLD),
    ]:
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(changed_body, changed_headers)
