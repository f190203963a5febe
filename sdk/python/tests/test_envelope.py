"""Signed envelopes over Redis: the form of the protocol, and a hub that asks for it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub import Hub

import tasklight

KEY = "tle_agent7_000102030405060708090a0b0c0d0e0f"
CHANNEL = "tasklight:task:agent-7-build"
BODY = '{"invocationId":"run-7","type":"message","data":{"text":"hi"},"eventId":"0190c6a4-7c1e-7000-8000-5f3a9c1e0001"}'


SHARED = json.loads((Path(__file__).parents[2] / "conformance" / "envelopes.json").read_text())


@pytest.mark.parametrize("vector", SHARED["envelopes"], ids=lambda vector: vector["name"])
def test_every_client_seals_alike(vector: dict[str, Any]) -> None:
    assert SHARED["version"] == 1
    key = tasklight.EnvelopeKey(vector["key"])
    signed = json.loads(key.seal(vector["channel"], vector["body"], vector["at"]))["signed"]
    assert signed == {"key": key.id, "at": vector["at"], "body": vector["body"], "mac": vector["mac"]}


@pytest.mark.parametrize("text", SHARED["no_keys"])
def test_what_no_client_takes_for_a_key(text: str) -> None:
    with pytest.raises(tasklight.SetupError):
        tasklight.EnvelopeKey(text)


def test_the_example_of_the_protocol() -> None:
    document = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
    sealed = json.loads(tasklight.EnvelopeKey(KEY).seal(CHANNEL, BODY, 1764000000123))
    assert (sealed["signed"]["key"], sealed["signed"]["at"], sealed["signed"]["body"]) == ("agent7", 1764000000123, BODY)
    assert sealed["signed"]["mac"] in document


@pytest.mark.parametrize("text", ["", "tle_a", f"tlk{KEY[3:]}", f"{KEY}\n", KEY.replace("_00", "_é0"), "tle__" + "a" * 40])
def test_what_is_no_key_is_refused_without_showing_it(text: str, tmp_path: Path) -> None:
    with pytest.raises(tasklight.SetupError) as raised:
        tasklight.EnvelopeKey(text)
    assert not text or text not in str(raised.value)
    with pytest.raises(tasklight.SetupError):
        tasklight.EnvelopeKey.read(tmp_path / "nothing")
    assert KEY[12:] not in repr(tasklight.EnvelopeKey(KEY))


def test_a_hub_takes_what_is_sealed_and_says_why_not(
    start: Callable[..., Hub], redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(f'[[key]]\nkey = "{KEY}"\nsubject = "agent-7"\npublish = ["agent-7-*"]\n')
    prefix = f"sealed-{tmp_path.name}:"
    hub = start(
        TASKLIGHT__BROKER__URL=redis_url,
        TASKLIGHT__BROKER__PREFIX=prefix,
        TASKLIGHT__INGEST__ENVELOPES="required",
        TASKLIGHT__INGEST__ENVELOPE_KEYS=str(keys),
    )
    activity = {"invocationId": "r", "type": "message", "data": {"text": "grüß\ngott"}}
    key_file = tmp_path / "agent7.key"
    key_file.write_text(f"{KEY}\n")
    bare = tasklight.Client(redis=redis_url, redis_prefix=prefix)
    refused = bare.publish("agent-7-build", [activity])[0]
    assert isinstance(refused, tasklight.Refusal) and refused.code == "envelope_missing"
    monkeypatch.setenv("TASKLIGHT_ENVELOPE_KEY", str(key_file))
    sealing = tasklight.Client(redis=redis_url, redis_prefix=prefix)
    assert isinstance(sealing.publish("agent-7-build", [activity])[0], tasklight.Acknowledged)
    refused = sealing.publish("agent-8-build", [activity])[0]
    assert isinstance(refused, tasklight.Refusal) and refused.code == "envelope_forbidden"
    log = tasklight.Client(hub.url).activities("agent-7-build")
    assert [one.data["text"] for one in log] == ["grüß\ngott"]
