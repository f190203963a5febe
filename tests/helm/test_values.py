"""Values that make no sense are refused by name; the schema and the README know every one that there is."""

import json
import subprocess
import sys

import pytest
import yaml
from chart import CHART, ROOT, refusal, template


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"replica": 2}, "replica"),
        ({"store": {"existingsecret": {"name": "a"}}}, "/store"),
        ({"replicas": 0}, "/replicas"),
        ({"replicas": "two"}, "/replicas"),
        ({"image": {"digest": "sha256:12"}}, "/image/digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
        ({"ingress": {"controller": "apache"}}, "/ingress/controller"),
        ({"auth": {"jwksUrl": "http://id.example.com"}}, "/auth/jwksUrl"),
        ({"auth": {"hmac": {"algorithm": "none"}}}, "/auth/hmac/algorithm"),
        ({"store": {"urlFile": "secrets/url"}}, "/store/urlFile"),
        ({"store": {"existingSecret": {"name": "Not A Name"}}}, "/store/existingSecret/name"),
        ({"config": {"Store": {}}}, "Store"),
        ({"shutdown": {"marginSeconds": 0}}, "/shutdown/marginSeconds"),
        ({"resources": {"limits": {"cpu": "1", "memory": None}}}, "/resources/limits"),
        ({"securityContext": {"readOnlyRootFilesystem": False}}, "/securityContext/readOnlyRootFilesystem"),
        ({"securityContext": {"privileged": True}}, "/securityContext/privileged"),
        ({"securityContext": {"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}}, "/securityContext/capabilities"),
        ({"podSecurityContext": {"runAsNonRoot": False}}, "/podSecurityContext/runAsNonRoot"),
        ({"podSecurityContext": {"runAsUser": 0}}, "/podSecurityContext/runAsUser"),
        ({"podSecurityContext": {"seccompProfile": {"type": "Unconfined"}}}, "/podSecurityContext/seccompProfile/type"),
        # What no schema can say.
        ({"replicas": 2}, "SQLite serves one hub only"),
        ({"autoscaling": {"enabled": True}}, "SQLite serves one hub only"),
        ({"auth": {"hmac": {"existingSecret": {"name": ""}}}}, "no key for tokens is named"),
        ({"auth": {"insecure": True, "jwksUrl": "https://id.example.com"}}, "auth.insecure"),
        ({"auth": {"publicKeys": {"existingSecret": {"name": "a"}}}}, "auth.publicKeys.existingSecret.keys"),
        ({"store": {"existingSecret": {"name": "a"}, "urlFile": "/b"}}, "store.existingSecret and store.urlFile"),
        ({"envelopes": {"mode": "required"}}, "envelopes.existingSecret"),
        ({"tls": {"clientAuth": "required"}}, "tls.existingSecret"),
        ({"tls": {"existingSecret": {"name": "a"}, "clientAuth": "required"}}, "tls.existingSecret.clientCaKey"),
        ({"tls": {"existingSecret": {"name": "a"}, "clientGrants": {"file": "/a"}}}, "tls.clientGrants"),
        ({"ingress": {"enabled": True}}, "ingress.hosts"),
        ({"development": {"redis": {"enabled": True}}, "broker": {"urlFile": "/a"}}, "development.redis"),
        ({"autoscaling": {"minReplicas": 5, "maxReplicas": 4}}, "autoscaling.maxReplicas"),
        ({"config": {"listen": "127.0.0.1:80"}}, "listenAddress"),
        ({"config": {"node": {"stop_timeout": "60s"}}}, "shutdown.stopTimeoutSeconds"),
        ({"config": {"tls": {"key_file": "/x"}}}, "tls.existingSecret"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(values, says):
    message = refusal(values)
    # Helm 3 writes a place as a.b, Helm 4 as /a/b.
    assert says in message or says.strip("/").replace("/", ".") in message, message


def test_any_one_key_is_enough():
    none = {"hmac": {"existingSecret": {"name": ""}}}
    tls = {"existingSecret": {"name": "a", "clientCaKey": "ca.crt"}, "clientAuth": "required", "clientGrants": {"file": "/grants.toml"}}
    for values in [
        {"auth": none | {"jwksUrl": "https://id.example.com"}},
        {"auth": none | {"apiKeys": {"existingSecret": {"name": "a"}}}},
        {"auth": none, "tls": tls},
        {"auth": {"hmac": {"existingSecret": {"name": ""}, "file": "/secret"}}},
    ]:
        assert template(values).returncode == 0, values


def test_secrets_are_refused_without_the_schema_too():
    values = {"config": {"store": {"url": "postgres://db/x"}}}
    done = template(values, flags=["--skip-schema-validation"])
    assert done.returncode != 0 and "store.existingSecret" in done.stderr


def test_the_schema_has_every_value_and_no_other():
    schema = json.loads((CHART / "values.schema.json").read_text())

    def same(values, schema, path):
        if "properties" not in schema or path == "config" or path.endswith("ecurityContext"):
            return
        known = schema["properties"].keys() - ({"global"} if not path else set())
        assert values.keys() == known, f"{path or 'values.yaml'}: {values.keys() ^ known}"
        for key, value in values.items():
            if isinstance(value, dict):
                same(value, schema["properties"][key], f"{path}.{key}" if path else key)

    same(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "")


def test_the_readme_has_the_table_that_is_made_of_the_values():
    done = subprocess.run([sys.executable, ROOT / "helm" / "values_table.py", "--check"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_the_chart_is_of_the_program_s_version():
    cargo = (ROOT / "Cargo.toml").read_text()
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert f'\nversion = "{version}"\n' in cargo
