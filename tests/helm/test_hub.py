"""The real program with what the chart renders: it understands every key, starts, asks for tokens, and answers the probes."""

import datetime
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import time
import tomllib

import pytest
import yaml
from chart import CHART, WAYS, hub, one, render, toml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PROGRAM = os.environ["TASKLIGHT_BIN"]
PATIENCE = 30
CANARY = "canary-7f3b9c51d2-and-so-on-until-it-is-long-enough"
SECRETS = "/etc/tasklight/secrets"


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TASKLIGHT")}
    return {**kept, **more}


def knows_tls():
    done = subprocess.run([PROGRAM, "config", "--json"], capture_output=True, text=True, env=environment(), cwd="/", timeout=PATIENCE)
    return "tls.cert_file" in json.loads(done.stdout)


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def key_pair(folder):
    """A key and a certificate of its own; gives the public half."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tls.key").write_bytes(secret)
    for file in ("tls.crt", "client-ca.crt"):
        (folder / file).write_bytes(certificate.public_bytes(pem))
    return key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def mounted(tmp_path, way):
    """The configuration of this way with everything that is mounted beside it, below a folder that we may write to."""
    text = toml(render(way=way))
    for mount in (SECRETS, "/mnt/vault"):
        text = text.replace(mount, str(tmp_path / "secrets"))
    secrets = tmp_path / "secrets"
    public = key_pair(secrets / "tls")
    for name in ("ci.pem", "people.pem"):
        write(secrets / "public", name, public)
    write(secrets, "hmac-secret", CANARY)
    write(secrets, "store-url", f"postgres://hub:{CANARY}@localhost/x")
    write(secrets, "broker-url", f"redis://hub:{CANARY}@localhost")
    write(secrets, "broker-ca.pem", (secrets / "tls" / "tls.crt").read_text())
    write(secrets, "keys.toml", "")
    write(secrets, "envelopes.toml", "")
    write(secrets, "client-grants.toml", "")
    return text.replace("/var/lib/tasklight", str(tmp_path))


@pytest.mark.parametrize("way", WAYS)
def test_the_program_understands_every_way_and_shows_no_secret(tmp_path, way):
    if way == "tls" and not knows_tls():
        pytest.skip("TLS: this program has no [tls] yet, so that its keys cannot be tried")
    file = write(tmp_path, "tasklight.toml", mounted(tmp_path, way))
    arguments = [PROGRAM, "config", "--json", "--config", str(file)]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment(), cwd=tmp_path, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert CANARY not in done.stdout + done.stderr
    shown = json.loads(done.stdout)
    assert shown["node.stop_timeout"]["value"] == "20s" and shown["admin_listen"]["value"] == "0.0.0.0:9090"
    # The API is only open where the values say so.
    assert shown["insecure_listen"]["value"] is (way == "development")
    named = [key for key in ("auth.hmac_secret_file", "auth.key_file", "auth.public_keys", "auth.jwks_url") if shown[key]["value"] not in ("", [])]
    assert bool(named) is (way != "development")


def test_numbers_of_values_arrive_as_they_are(tmp_path):
    values = {"config": {"http": {"connections": 1000000}, "limits": {"request": "8MiB"}, "store": {"readers": 9}, "redact": {"enabled": False}}}
    text = toml(render(values)).replace(SECRETS, str(tmp_path))
    file = write(tmp_path, "tasklight.toml", text)
    arguments = [PROGRAM, "config", "--json", "--config", str(file)]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment(), cwd=tmp_path, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    shown = {key: each["value"] for key, each in json.loads(done.stdout).items()}
    assert (shown["http.connections"], shown["limits.request"], shown["store.readers"], shown["redact.enabled"]) == (1000000, "8MiB", 9, False)


def test_tables_and_lists_of_tables_are_written_as_toml_reads_them():
    rules = [{"label": "ci", "max_age": "1day"}, {"label": "a=b", "max_activities": 5, "deeper": {"x": True}}]
    config = {"retention": {"interval": "5m", "rules": rules}, "x": {"empty": [], "none": None, "text": 'a "<b>" \\ \n'}, "y": {}}
    read = tomllib.loads(toml(render({"config": config})))
    assert read["retention"] == config["retention"]
    assert read["x"] == {"empty": [], "text": config["x"]["text"]} and "y" not in read


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_hub_of_the_chart_s_configuration_asks_for_tokens_and_answers_its_probes(tmp_path):
    objects = render()
    container = hub(objects)["containers"][0]
    api, admin = free_port(), free_port()
    text = mounted(tmp_path, "default").replace("0.0.0.0:8080", f"127.0.0.1:{api}").replace("0.0.0.0:9090", f"127.0.0.1:{admin}")
    file = write(tmp_path, "tasklight.toml", text)
    arguments = [str(file) if argument.startswith("/etc/") else argument for argument in container["args"]]
    variables = {variable["name"]: variable.get("value", "t-tasklight-0") for variable in container["env"]}
    process = subprocess.Popen(
        [PROGRAM, *arguments], env=environment(**variables), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        process.stdout.readline()  # it says where it listens once it does
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert get(admin, container[probe]["httpGet"]["path"]) == 200
        assert get(api, "/v1/tasks") == 401
        assert get(api, "/metrics") == 404 and get(api, "/readyz") == 404
        asked = subprocess.run([PROGRAM, "ready", "--admin", f"http://127.0.0.1:{admin}"], capture_output=True, text=True, timeout=PATIENCE)
        assert (asked.returncode, asked.stdout) == (0, "ready\n")
        metrics = http.client.HTTPConnection("127.0.0.1", admin, timeout=5)
        metrics.request("GET", "/metrics")
        scraped = metrics.getresponse().read().decode()
        metrics.close()
        assert_every_metric_of_the_chart_is_there(scraped)
        begun = time.monotonic()
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert time.monotonic() - begun < hub(objects)["terminationGracePeriodSeconds"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def assert_every_metric_of_the_chart_is_there(scraped):
    """What alerts, the dashboard and the autoscaler look at is counted by the program."""
    there = set(re.findall(r"^# TYPE (\w+)", scraped, re.MULTILINE)) | set(re.findall(r"^(tasklight_\w+)", scraped, re.MULTILINE))
    looked_at = {one(render(way="autoscaled"), "HorizontalPodAutoscaler")["spec"]["metrics"][1]["pods"]["metric"]["name"]}
    for file in ("alerts.yaml", "dashboard.json"):
        looked_at |= expressions(yaml.safe_load((CHART / "files" / file).read_text()))
    bases = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in looked_at}
    # It is counted by rule, and there once a rule has found something; tests/it/metrics_table sees to it.
    bases.discard("tasklight_secrets_redacted")
    assert looked_at and bases <= {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in there}


def expressions(node):
    """The names of our metrics in all `expr` below."""
    if isinstance(node, dict):
        own = set(re.findall(r"\btasklight_\w+", str(node.get("expr", ""))))
        return own.union(*(expressions(each) for each in node.values()))
    if isinstance(node, list):
        return set().union(*(expressions(each) for each in node))
    return set()


def test_the_migration_is_a_command_of_the_program(tmp_path):
    container = one(render(way="csi"), "Job", "-migrate")["spec"]["template"]["spec"]["containers"][0]
    url = write(tmp_path, "url", f"sqlite://{tmp_path}/x.db\n")
    variables = {variable["name"]: str(url) for variable in container["env"]}
    done = subprocess.run([PROGRAM, *container["args"]], env=environment(**variables), cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert pathlib.Path(tmp_path, "x.db").exists()
