"""The way to the hub: proxies of the environment, TLS, and connections that are kept."""

import base64
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hub import Hub
from stand_in import Answers

import tasklight

ACTIVITY = {"invocationId": "r", "type": "message", "data": {"text": "hi"}}


def test_a_proxy_of_the_environment_is_used_but_for_this_machine(hub: Hub, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Answers((200, {}, None))
    monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://user:p%40ss@"))
    monkeypatch.setenv("no_proxy", "")
    client = tasklight.Client("http://hub.example/below", "tok")
    assert len(client.publish("t", [ACTIVITY])) == 1
    _, _, headers = proxy.next()
    assert headers["path"] == "http://hub.example:80/below/v1/tasks/t/activities"
    assert headers["Host"] == "hub.example:80" and headers["Authorization"] == "Bearer tok"
    assert base64.b64decode(headers["Proxy-Authorization"].split()[1]) == b"user:p@ss"
    assert isinstance(tasklight.Client(hub.url).publish(task, [ACTIVITY])[0], tasklight.Receipt)
    proxy.close()


def test_tls_is_verified(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=hub", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject, *files]
    subprocess.run(made, check=True, capture_output=True)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    hub = Answers((200, {}, None), tls=serving)
    with pytest.raises(tasklight.Unreachable, match="certificate verify failed"):
        tasklight.Client(hub.url).publish("t", [ACTIVITY], patience=0)
    trusting = ssl.create_default_context(cafile=str(certificate))
    assert len(tasklight.Client(hub.url, ssl_context=trusting).publish("t", [ACTIVITY])) == 1
    hub.close()


def test_a_kept_connection_that_died_is_replaced_without_a_word(start: Callable[..., Hub]) -> None:
    hub = start()
    client = tasklight.Client(hub.url)
    for _ in range(3):
        assert isinstance(client.publish("t", [ACTIVITY], patience=0)[0], tasklight.Receipt)
        hub.kill()
        hub.start()
    assert client.task("t")["head"] == 3
