"""The image's files, compose and the unit: what they set is there, what they run is a command, and nothing is killed while it stops."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = os.environ["TASKLIGHT_BIN"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
UNIT = (ROOT / "docs" / "deploy" / "tasklight.service").read_text()


def config():
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TASKLIGHT")}
    done = subprocess.run([PROGRAM, "config", "--json"], capture_output=True, text=True, env=kept, cwd="/", timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m|min)", str(text)).groups()
    return int(number) * (1 if unit == "s" else 60)


def test_every_variable_is_a_key_of_the_program():
    keys = {"TASKLIGHT__" + key.upper().replace(".", "__") for key in config()}
    for name, text in {"Dockerfile": DOCKERFILE, "compose.yaml": yaml.safe_dump(COMPOSE), "tasklight.service": UNIT}.items():
        for variable in re.findall(r"TASKLIGHT__[A-Z_]+", text):
            assert variable in keys, f"{name}: {variable}"


def test_nothing_is_killed_while_it_stops():
    stop = seconds(config()["node.stop_timeout"]["value"])
    assert stop < seconds(COMPOSE["x-hub"]["stop_grace_period"])
    assert stop < seconds(re.search(r"^TimeoutStopSec=(.+)$", UNIT, re.MULTILINE)[1])


def test_hadolint_finds_nothing():
    done = subprocess.run(["hadolint", "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_image_runs_as_nobody_in_particular_and_has_no_shell_to_need():
    last = DOCKERFILE.split("\nFROM ")[-1]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE) and "distroless" in last.splitlines()[0]
    assert "RUN" not in re.findall(r"^[A-Z]+", last, re.MULTILINE)
    # The form that needs no shell.
    for word in ("CMD", "ENTRYPOINT"):
        for argument in re.findall(rf"\b{word} (.+)$", last, re.MULTILINE):
            json.loads(argument)
    assert json.loads(re.search(r"HEALTHCHECK .*CMD (\[.+\])", last)[1]) == ["tasklight", "ready"]
    uid = yaml.safe_load((ROOT / "helm/tasklight/values.yaml").read_text())["podSecurityContext"]["runAsUser"]
    assert f"USER {uid}:" in last


def test_secrets_and_history_are_not_sent_to_the_builder():
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", "data", "target"} <= set(ignored)


def test_hubs_of_compose_may_do_nothing_but_serve():
    for name in ("hub-1", "hub-2", "hub-3"):
        hub = COMPOSE["services"][name]
        assert hub["read_only"] is True and hub["cap_drop"] == ["ALL"] and hub["security_opt"] == ["no-new-privileges:true"]
        assert all(port.startswith("127.0.0.1:") for port in hub["ports"])


@pytest.fixture
def systemd_analyze(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("SYSTEMD: systemd-analyze is not here, so that the unit is not checked")
    # Its program and its page of the manual must be there.
    unit = UNIT.replace("/usr/local/bin/tasklight", PROGRAM).replace("Documentation=man:tasklight(1)\n", "")
    file = tmp_path / "tasklight.service"
    file.write_text(unit)

    def run(*arguments):
        return subprocess.run(["systemd-analyze", *arguments, file], capture_output=True, text=True, timeout=60)

    return run


def test_systemd_takes_the_unit(systemd_analyze):
    done = systemd_analyze("verify")
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_the_unit_may_do_next_to_nothing(systemd_analyze):
    done = systemd_analyze("security", "--offline=true", "--threshold=15")
    if "unrecognized option" in done.stderr or "Unknown" in done.stderr:
        pytest.skip("SYSTEMD: this systemd-analyze cannot judge a file")
    assert done.returncode == 0, done.stdout.splitlines()[-1]
