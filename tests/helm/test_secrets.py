"""No value is a secret, and no secret is anywhere but in files."""

import json
import re

import pytest
import yaml
from chart import CHART, WAYS, hub, one, pods, refusal, render, toml

CANARY = "canary-7f3b9c51d2"

each_way = pytest.mark.parametrize("way", WAYS)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"config": {"store": {"url": f"postgres://u:{CANARY}@db/x"}}}, "store.existingSecret"),
        ({"config": {"broker": {"url": f"redis://u:{CANARY}@db"}}}, "broker.existingSecret"),
        ({"config": {"auth": {"hmac_secret": CANARY}}}, "auth.hmac.existingSecret"),
        ({"config": {"telemetry": {"endpoint": f"https://u:{CANARY}@collector"}}}, "telemetry.endpoint has a password"),
        ({"config": {"telemetry": {"nested": {"url": f"https://u:{CANARY}@collector"}}}}, "telemetry.nested has a password"),
        ({"config": {"http": {"origins": [f"https://u:{CANARY}@a.io"]}}}, "http.origins has a password"),
        ({"config": {"telemetry": {"api_token": CANARY}}}, "telemetry.api_token looks like a secret"),
        ({"config": {"x": {"pem": f"-----BEGIN PRIVATE KEY-----\n{CANARY}"}}}, "x.pem has a password or a key"),
        ({"extraEnv": [{"name": "TASKLIGHT__STORE__URL", "value": f"postgres://u:{CANARY}@db/x"}]}, "TASKLIGHT__STORE__URL"),
        (
            {"extraEnv": [{"name": "TASKLIGHT__BROKER__URL", "valueFrom": {"secretKeyRef": {"name": CANARY, "key": "url"}}}]},
            "TASKLIGHT__BROKER__URL",
        ),
        ({"extraEnv": [{"name": "TASKLIGHT__AUTH__HMAC_SECRET", "value": CANARY}]}, "TASKLIGHT__AUTH__HMAC_SECRET"),
        ({"extraEnv": [{"name": "AWS_SECRET_ACCESS_KEY", "value": CANARY}]}, "AWS_SECRET_ACCESS_KEY looks like a secret"),
        ({"config": {"retention": {"rules": [{"label": f"https://u:{CANARY}@a"}]}}}, "retention.rules has a password"),
        ({"extraEnv": [{"name": "HTTPS_PROXY", "value": f"http://u:{CANARY}@proxy"}]}, "HTTPS_PROXY has a password"),
        ({"store": {"url": f"postgres://u:{CANARY}@db/x"}}, "url"),
        ({"auth": {"hmac": {"secret": CANARY}}}, "secret"),
    ],
)
def test_a_secret_in_a_value_is_refused_and_not_repeated(values, says):
    message = refusal(values)
    assert says in message and CANARY not in message, message


@each_way
def test_no_environment_argument_or_configmap_has_a_secret_or_makes_one_seen(way):
    objects = render(way=way)
    assert not [each for each in objects if each["kind"] == "Secret"]
    for name, _, spec in pods(objects):
        for container in spec["containers"]:
            assert "envFrom" not in container, name
            for variable in container.get("env", []):
                assert "secretKeyRef" not in json.dumps(variable), f"{name}: {variable['name']}"
    text = yaml.safe_dump_all(objects)
    assert not re.search(r"://[^/@\s:]*:[^/@\s]+@", text)
    assert "BEGIN " not in text


@each_way
def test_secrets_are_files_that_only_the_hub_reads(way):
    for name, _, spec in pods(render(way=way)):
        for volume in spec.get("volumes", []):
            for kind in ("secret", "projected"):
                if kind in volume:
                    assert volume[kind]["defaultMode"] == 0o440, name
        for container in spec["containers"]:
            for mount in container.get("volumeMounts", []):
                if mount["name"] in ("secrets", "config"):
                    assert mount["readOnly"] is True, name


@each_way
def test_every_file_that_is_named_is_mounted(way):
    objects = render(way=way)
    spec = hub(objects)
    there = set()
    for volume in spec["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            there |= {f"/etc/tasklight/secrets/{item['path']}" for item in source["secret"]["items"]}
    named = set(re.findall(r"/etc/tasklight/secrets/[^\"]+", toml(objects)))
    assert named == there
    elsewhere = set(re.findall(r"\"(/mnt/[^\"]+)\"", toml(objects)))
    mounts = [mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]]
    assert all(any(file.startswith(f"{mount}/") for mount in mounts) for file in elsewhere)


def test_what_has_no_file_form_may_come_from_a_secret():
    variable = {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "bucket", "key": "secret"}}}
    assert variable in hub(render({"extraEnv": [variable]}))["containers"][0]["env"]


def test_secrets_of_a_vault_need_no_secret_of_kubernetes():
    objects = render(way="csi")
    assert "secretName" not in yaml.safe_dump_all(objects)
    for name in ("hub", "migrate"):
        spec = hub(objects) if name == "hub" else one(objects, "Job", "-migrate")["spec"]["template"]["spec"]
        assert [volume["csi"]["driver"] for volume in spec["volumes"] if "csi" in volume] == ["secrets-store.csi.k8s.io"]
    job = one(objects, "Job", "-migrate")["spec"]["template"]["spec"]["containers"][0]
    assert job["env"] == [{"name": "TASKLIGHT__STORE__URL_FILE", "value": "/mnt/vault/owner-url"}]


def test_the_default_values_have_nothing_that_looks_like_a_secret():
    text = (CHART / "values.yaml").read_text()
    assert not re.search(r"^\s*\w*(password|token)\w*:", text, re.IGNORECASE | re.MULTILINE)
