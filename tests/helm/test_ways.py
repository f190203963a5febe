"""Every way to use the chart renders to what Kubernetes takes, and to what belongs together."""

import pytest
import yaml
from chart import CHART, FOREIGN, VERSIONS, WAYS, helm, hub, one, pods, render, template, validator

each_way = pytest.mark.parametrize("way", WAYS)


@each_way
def test_lint_finds_nothing(way):
    values = ["-f", str(WAYS[way])] if WAYS[way] else []
    done = helm("lint", "--strict", str(CHART), *values)
    assert done.returncode == 0 and "0 chart(s) failed" in done.stdout, done.stdout + done.stderr


@each_way
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object(way, version):
    objects = render(way=way, version=version)
    assert objects
    for each in objects:
        if each["kind"] in FOREIGN:
            continue
        wrong = list(validator(each["kind"], each["apiVersion"], version).iter_errors(each))
        assert not wrong, f"{each['kind']}: {wrong[0].json_path}: {wrong[0].message}"


def test_the_schemas_would_find_a_wrong_field():
    deployment = one(render(), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["sleeep"] = {}
    assert not validator("Deployment", "apps/v1", VERSIONS[0]).is_valid(deployment)


@each_way
def test_names_are_unique_and_short_enough(way):
    names = [(each["kind"], each["metadata"]["name"]) for each in render(way=way)]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for _, name in names)


@each_way
def test_selectors_find_the_pods_that_they_are_for(way):
    objects = render(way=way)
    labels = [metadata["labels"] for _, metadata, _ in pods(objects)]
    chosen = []
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "Service":
            chosen.append((each, spec["selector"]))
        elif each["kind"] == "NetworkPolicy":
            chosen.append((each, spec["podSelector"]["matchLabels"]))
        elif each["kind"] in ("Deployment", "PodDisruptionBudget"):
            chosen.append((each, spec["selector"]["matchLabels"]))
    assert chosen
    for each, selector in chosen:
        found = [pod for pod in labels if selector.items() <= pod.items()]
        assert len(found) == 1, f"{each['kind']}/{each['metadata']['name']} selects {len(found)} kinds of pods"


@each_way
def test_what_is_mounted_is_there(way):
    for name, _, spec in pods(render(way=way)):
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        mounts = {mount["name"] for container in spec["containers"] for mount in container.get("volumeMounts", [])}
        assert mounts == volumes, name


def test_an_old_kubernetes_is_refused():
    done = template(version="1.29.0")
    assert done.returncode != 0 and "1.30" in done.stderr


def test_long_names_leave_room_for_what_is_put_behind_them():
    done = helm("template", "r" * 53, str(CHART), "-f", str(WAYS["development"]))
    assert done.returncode == 0, done.stderr
    names = [each["metadata"]["name"] for each in yaml.safe_load_all(done.stdout) if each]
    assert all(len(name) <= 63 for name in names)


def test_the_notes_say_what_is_missing():
    if "v3." in helm("version", "--short").stdout:
        pytest.skip("HELM 3: it does not show notes without a cluster")
    done = helm("install", "t", str(CHART), "--dry-run=client", "--set", "store.persistence.enabled=false")
    assert done.returncode == 0, done.stderr
    for text in ["Secret tasklight-auth", "--from-file=hmac-secret", "image.digest is empty", "store.persistence.enabled is false"]:
        assert text in done.stdout


def test_a_foreign_object_has_what_its_operator_reads():
    objects = render(way="autoscaled")
    monitor = one(objects, "ServiceMonitor")
    service = one(objects, "Service", "-admin")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    ports = {port["name"] for port in service["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    public = one(objects, "Service")
    assert not monitor["spec"]["selector"]["matchLabels"].items() <= public["metadata"]["labels"].items()
    rules = one(objects, "PrometheusRule")["spec"]
    assert rules == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    assert all(rule["expr"] for group in rules["groups"] for rule in group["rules"])


def test_the_dashboard_is_the_file():
    dashboard = one(render(way="autoscaled"), "ConfigMap", "-dashboard")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert yaml.safe_load(dashboard["data"]["tasklight.json"]) == yaml.safe_load((CHART / "files" / "dashboard.json").read_text())


def test_a_changed_configuration_restarts_the_hubs():
    def checksum(values):
        return one(render(values), "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert checksum({}) != checksum({"config": {"session": {"heartbeat": "10s"}}})
    assert checksum({}) == checksum({"podLabels": {"team": "a"}})


def test_an_image_is_named_by_its_digest_if_there_is_one():
    digest = "sha256:" + "ab" * 32
    assert hub(render({"image": {"digest": digest, "tag": "x"}}))["containers"][0]["image"] == f"tasklight@{digest}"
    assert hub(render({"image": {"tag": "x"}}))["containers"][0]["image"] == "tasklight:x"
