"""The chart as Helm renders it, and what is looked for in it."""

import functools
import json
import os
import pathlib
import subprocess
import tempfile

import jsonschema
import kubernetes_validate
import referencing
import yaml
from kubernetes_validate.utils import schema_contents

ROOT = pathlib.Path(__file__).parents[2]
CHART = ROOT / "helm" / "tasklight"
HELM = os.environ["TASKLIGHT_HELM"]

# The oldest that the chart is for, one in between, and the newest that there are schemas of.
VERSIONS = ["1.30", "1.34", "1.37"]

# Every way to use the chart that is shown in its folder, and that of its defaults.
WAYS = {"default": None} | {file.name.removesuffix("-values.yaml"): file for file in sorted(CHART.glob("ci/*-values.yaml"))}

# Kinds of others, of which Kubernetes has no schema.
FOREIGN = {"ServiceMonitor", "PrometheusRule"}


def helm(*arguments):
    """Runs Helm with folders of its own."""
    with tempfile.TemporaryDirectory() as home:
        places = {f"HELM_{name}_HOME": home for name in ("CACHE", "CONFIG", "DATA")}
        return subprocess.run([HELM, *arguments], capture_output=True, text=True, env={**os.environ, **places}, timeout=60)


def template(values=None, way="default", version=VERSIONS[-1], flags=()):
    """What `helm template` does with the way's values and these on top."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values or {}, file)
        file.flush()
        ways = ["-f", str(WAYS[way])] if WAYS[way] else []
        return helm("template", "t", str(CHART), "--kube-version", version, *ways, "-f", file.name, *flags)


@functools.cache
def _rendered(way, version, values):
    done = template(json.loads(values), way, version)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(values=None, way="default", version=VERSIONS[-1]):
    """The objects, as they would be applied. Raises if there are none."""
    text = _rendered(way, version, json.dumps(values or {}))
    return [document for document in yaml.safe_load_all(text) if document]


def refusal(values, way="default"):
    """What Helm says when it refuses these values."""
    done = template(values, way)
    assert done.returncode != 0, f"{values} were taken"
    return done.stderr


def one(objects, kind, suffix=""):
    """The only object of this kind whose name ends so."""
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == f"t-tasklight{suffix}"]
    assert len(found) == 1, f"{len(found)} of {kind} t-tasklight{suffix}"
    return found[0]


def pods(objects):
    """The name and the specification of every pod that any of the objects makes."""
    for each in objects:
        name = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Pod":
            yield name, each["metadata"], each["spec"]
        elif "template" in each.get("spec", {}):
            yield name, each["spec"]["template"]["metadata"], each["spec"]["template"]["spec"]


def hub(objects):
    """The pod of the hubs."""
    return one(objects, "Deployment")["spec"]["template"]["spec"]


def toml(objects):
    """The text of tasklight.toml."""
    return one(objects, "ConfigMap")["data"]["tasklight.toml"]


@functools.cache
def _schemas(version):
    full = [each for each in kubernetes_validate.utils.all_versions() if each.startswith(f"{version}.")][-1]
    folder = f"kubernetes-json-schema/v{full}-local-strict"
    return folder, full, referencing.Resource.from_contents(schema_contents(f"{folder}/_definitions.json", full))


@functools.cache
def validator(kind, api_version, version):
    """What Kubernetes of this version takes as such an object, and nothing more."""
    folder, full, definitions = _schemas(version)
    group, _, name = api_version.rpartition("/")
    file = "-".join(filter(None, [kind.lower(), group.split(".")[0], name]))
    schema = schema_contents(f"{folder}/{file}.json", full)
    registry = definitions @ (referencing.Resource.from_contents(schema) @ referencing.Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)
