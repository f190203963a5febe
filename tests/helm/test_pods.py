"""What pods may do, how they are watched, and how they end."""

import pytest
from chart import WAYS, hub, one, pods, render

each_way = pytest.mark.parametrize("way", WAYS)


@each_way
def test_no_pod_may_do_anything_that_it_does_not_need(way):
    for name, _, spec in pods(render(way=way)):
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True and 0 < pod["runAsUser"], name
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume], name
        for container in spec["containers"]:
            rights = container["securityContext"]
            assert rights == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            for amounts in ("requests", "limits"):
                assert {"cpu", "memory"} <= container["resources"][amounts].keys(), name


@each_way
def test_no_account_gives_a_token(way):
    accounts = [each for each in render(way=way) if each["kind"] == "ServiceAccount"]
    assert len(accounts) == 1 and accounts[0]["automountServiceAccountToken"] is False


@each_way
def test_every_pod_is_under_a_network_policy(way):
    objects = render(way=way)
    policies = [each["spec"] for each in objects if each["kind"] == "NetworkPolicy"]
    for name, metadata, _ in pods(objects):
        if name.startswith("Pod/"):
            continue  # that of `helm test`, which asks one question and ends
        found = [policy for policy in policies if policy["podSelector"]["matchLabels"].items() <= metadata["labels"].items()]
        assert len(found) == 1 and set(found[0]["policyTypes"]) == {"Ingress", "Egress"}, name


def test_ready_is_quick_to_say_no_and_alive_is_slow_to():
    container = hub(render())["containers"][0]

    def patience(probe):
        return container[probe]["periodSeconds"] * container[probe]["failureThreshold"]

    paths = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths["readinessProbe"] == {"path": "/readyz", "port": "admin"}
    assert paths["startupProbe"] == paths["livenessProbe"] == {"path": "/healthz", "port": "admin"}
    assert patience("readinessProbe") <= 10 and 60 <= patience("livenessProbe")
    # The hub itself waits for half a minute for a Postgres before it gives up.
    assert 60 <= patience("startupProbe")
    # The hub asks its store for a second at most.
    assert 1 < container["readinessProbe"]["timeoutSeconds"]


@pytest.mark.parametrize("shutdown", [{}, {"stopTimeoutSeconds": 90}, {"preStopSeconds": 0}, {"preStopSeconds": 30, "marginSeconds": 5}])
def test_a_pod_has_more_time_than_an_orderly_stop_takes(shutdown):
    spec = hub(render({"shutdown": shutdown}))
    before = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    stop = shutdown.get("stopTimeoutSeconds", 20)
    assert before == shutdown.get("preStopSeconds", 5)
    assert before + stop + 5 <= spec["terminationGracePeriodSeconds"]
    config = one(render({"shutdown": shutdown}), "ConfigMap")["data"]["tasklight.toml"]
    assert f'stop_timeout = "{stop}s"' in config


def test_several_hubs_change_one_by_one_and_are_spread_and_protected():
    objects = render(way="ha")
    deployment = one(objects, "Deployment")["spec"]
    assert deployment["replicas"] == 3
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    spread = hub(objects)["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for each in spread:
        assert each["labelSelector"]["matchLabels"] == deployment["selector"]["matchLabels"]
    budget = one(objects, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1 and budget["selector"] == deployment["selector"]


def test_one_hub_on_sqlite_ends_before_the_next_begins():
    objects = render()
    deployment = one(objects, "Deployment")["spec"]
    assert deployment["strategy"] == {"type": "Recreate"} and deployment["replicas"] == 1
    # With one pod a budget would only keep nodes from being emptied.
    assert not [each for each in objects if each["kind"] in ("PodDisruptionBudget", "HorizontalPodAutoscaler", "Job")]
    claim = one(objects, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_a_claim_of_yours_is_used_and_none_is_made():
    objects = render(way="sqlite")
    assert not [each for each in objects if each["kind"] == "PersistentVolumeClaim"]
    claims = [volume["persistentVolumeClaim"] for volume in hub(objects)["volumes"] if "persistentVolumeClaim" in volume]
    assert claims == [{"claimName": "tasklight-data"}]


def test_the_autoscaler_looks_at_sessions_and_cpu_and_takes_hubs_away_slowly():
    objects = render(way="autoscaled")
    assert "replicas" not in one(objects, "Deployment")["spec"]
    scaler = one(objects, "HorizontalPodAutoscaler")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 20)
    cpu, sessions = scaler["metrics"]
    assert cpu["resource"]["name"] == "cpu"
    assert sessions["pods"]["metric"]["name"] == "tasklight_sessions_open"
    assert sessions["pods"]["target"] == {"type": "AverageValue", "averageValue": "4000"}
    down = scaler["behavior"]["scaleDown"]
    assert 300 <= down["stabilizationWindowSeconds"] and down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 300}]


def test_the_schema_is_changed_by_its_owner_before_anything_else():
    objects = render(way="ha")
    job = one(objects, "Job", "-migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    spec = job["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert container["args"] == ["migrate", "--grant-to", "tasklight_hub"]
    assert [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume] == ["tasklight-owner"]
    assert "tasklight-owner" not in str(hub(objects)), "hubs must not have what the owner has"
    # Nothing of the release is there yet when it runs for the first time.
    assert spec["serviceAccountName"] == "default" and "configMap" not in str(spec["volumes"])
    policy = one(objects, "NetworkPolicy", "-migrate")["metadata"]["annotations"]
    assert policy["helm.sh/hook"] == job["metadata"]["annotations"]["helm.sh/hook"]
    assert int(policy["helm.sh/hook-weight"]) < int(job["metadata"]["annotations"]["helm.sh/hook-weight"])
    assert container["image"] == hub(objects)["containers"][0]["image"]


def test_without_the_job_hubs_bring_the_schema_up_to_date():
    objects = render({"migrate": {"job": False}}, "ha")
    assert not [each for each in objects if each["kind"] == "Job"]
    assert "migrate = false" in one(render(way="ha"), "ConfigMap")["data"]["tasklight.toml"]
    assert "migrate" not in one(objects, "ConfigMap")["data"]["tasklight.toml"]


@pytest.mark.parametrize(
    ("way", "annotations"),
    [
        ("nginx", {"proxy-buffering": "off", "proxy-read-timeout": "3600", "proxy-send-timeout": "3600", "backend-protocol": "HTTP"}),
        ("tls", {"proxy-buffering": "off", "backend-protocol": "HTTPS"}),
        ("traefik", {"router.entrypoints": "websecure"}),
    ],
)
def test_an_ingress_neither_buffers_nor_ends_streams(way, annotations):
    objects = render(way=way)
    ingress = one(objects, "Ingress")
    found = {key.split("/")[1]: value for key, value in ingress["metadata"]["annotations"].items()}
    assert annotations.items() <= found.items()
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    ports = {port["port"] for port in one(objects, "Service")["spec"]["ports"]}
    assert backend == {"name": "t-tasklight", "port": {"number": 80}} and ports == {80}


def test_what_asks_for_no_token_is_on_no_public_service():
    for way in WAYS:
        ports = one(render(way=way), "Service")["spec"]["ports"]
        assert [port["targetPort"] for port in ports] == ["http"]


def test_hubs_reach_what_they_need_and_nothing_else():
    def egress(way):
        return one(render(way=way), "NetworkPolicy")["spec"]["egress"]

    def ports(way):
        return sorted({port["port"] for rule in egress(way) for port in rule["ports"]})

    assert ports("default") == [53]
    assert ports("autoscaled") == [53, 5432, 6379]
    assert ports("ha") == [53, 5432, 6379, 26379]
    assert ports("nginx") == [53, 443]
    assert [rule["to"] for rule in egress("ha")[1:]] == 2 * [[{"ipBlock": {"cidr": "10.1.0.0/16"}}]]
    config = {"telemetry": {"otlp_endpoint": "http://collector:4318"}, "retention": {"archive": "s3://logs/x"}}
    rules = one(render({"config": config}), "NetworkPolicy")["spec"]["egress"]
    assert [port["port"] for rule in rules[1:] for port in rule["ports"]] == [4318, 443]
    mine = [rule["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for rule in egress("development")[1:]]
    assert mine == ["postgres", "redis"]


def test_further_labels_do_not_take_the_place_of_the_chart_s_own():
    metadata = one(render({"podLabels": {"team": "a", "app.kubernetes.io/component": "x"}}), "Deployment")["spec"]["template"]["metadata"]
    assert metadata["labels"]["team"] == "a" and metadata["labels"]["app.kubernetes.io/component"] == "hub"
