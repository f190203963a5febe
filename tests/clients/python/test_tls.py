"""TLS as Python's own library speaks it: answers, sockets, a certificate of the client's, and an end with a goodbye."""

import http.client
import json
import ssl
import subprocess
from socket import create_connection

import pytest
from hub import PATIENCE, Hub, message
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

GRANTS = '[[client]]\nsubject = "agent-7"\npublish = ["t"]\nread = ["t"]\n'


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def sign(folder, name, extensions):
    """A key and a certificate that the folder's authority has signed, as docs/tls.md says."""
    openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr")
    (folder / f"{name}.ext").write_text(extensions)
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "1",
            "-extfile", f"{name}.ext", "-out", f"{name}.pem")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
            "-subj", "/CN=My CA", "-keyout", "ca.key", "-out", "ca.pem")
    sign(folder, "hub", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    sign(folder, "agent-7", "extendedKeyUsage=clientAuth\n")
    return folder


@pytest.fixture
def secure(start, certificates):
    return start(tls__cert_file=certificates / "hub.pem", tls__key_file=certificates / "hub.key")


def context(certificates, name=None):
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    if name:
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return context


def request(hub, context, method, path, body=None):
    connection = http.client.HTTPSConnection("127.0.0.1", hub.port, timeout=PATIENCE, context=context)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def socket(hub, context):
    return connect(f"wss://localhost:{hub.port}/v1/ws", subprotocols=["tasklight.v1"], ssl=context, proxy=None)


def test_answers_and_sockets_come_by_tls(secure, certificates):
    trusting = context(certificates)
    with socket(secure, trusting) as viewer:
        assert json.loads(viewer.recv(PATIENCE))["op"] == "hello"
        viewer.send(json.dumps({"op": "subscribe", "task": "t"}))
        texts = ["one", "x" * 60_000, "three"]
        status, _ = request(secure, trusting, "POST", "/v1/tasks/t/activities", json.dumps([message(text) for text in texts]))
        assert status == 200
        seen = []
        while len(seen) < len(texts):
            heard = json.loads(viewer.recv(PATIENCE))
            if heard["op"] == "activity":
                seen.append(heard["data"]["text"])
        assert seen == texts


def test_whoever_does_not_know_the_authority_goes_away(secure):
    with pytest.raises(ssl.SSLCertVerificationError):
        request(secure, ssl.create_default_context(), "GET", "/v1/tasks")


def test_the_end_of_a_session_and_of_its_connection_are_both_said(secure, certificates):
    with socket(secure, context(certificates)) as viewer:
        viewer.recv(PATIENCE)
        secure.terminate()
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                viewer.recv(PATIENCE)
        assert closed.value.rcvd.code == 1012
    assert secure.wait() == 0


def test_a_connection_ends_with_a_goodbye(secure, certificates):
    # Without one Python raises an error here: the answer might have been cut.
    trusting = context(certificates)
    with trusting.wrap_socket(create_connection(("127.0.0.1", secure.port), PATIENCE), server_hostname="localhost",
                              suppress_ragged_eofs=False) as wire:
        wire.sendall(b"GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := wire.recv(65_536):
            answer += part
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_certificate_says_who_comes(start, certificates, tmp_path):
    grants = tmp_path / "grants.toml"
    grants.write_text(GRANTS)
    hub: Hub = start(
        tls__cert_file=certificates / "hub.pem",
        tls__key_file=certificates / "hub.key",
        tls__client_auth="optional",
        tls__client_ca_file=certificates / "ca.pem",
        tls__client_grants=grants,
    )
    body = json.dumps(message("mine"))
    for name, task, expected in [("agent-7", "t", 200), ("agent-7", "u", 403), ("hub", "t", 401), (None, "t", 401)]:
        status, answer = request(hub, context(certificates, name), "POST", f"/v1/tasks/{task}/activities", body)
        assert status == expected, (name, task, answer)
