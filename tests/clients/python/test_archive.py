"""What retention archives to a bucket of a real S3 server, and what comes back of it."""

import gzip
import json
import os
import re
import socket
import subprocess
import sys

import boto3
import pytest
from hub import PATIENCE, eventually


class Bucket:
    """A server of S3's API in a process of its own."""

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self.answers, 4 * PATIENCE, "the S3 server does not start")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def answers(self):
        assert self.process.poll() is None, "the S3 server ended"
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except OSError:
            return False

    @property
    def client(self):
        secrets = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **secrets)

    def make(self, name):
        self.client.create_bucket(Bucket=name)

    def keys(self, name):
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=name).get("Contents", [])]

    def read(self, name, key):
        return self.client.get_object(Bucket=name, Key=key)["Body"].read()

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def server():
    bucket = Bucket()
    yield bucket
    bucket.stop()


@pytest.fixture
def archiving(start, server, monkeypatch):
    """Starts a hub that deletes what is over at once, into this bucket."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    def run(name):
        return start(
            retention__finished_max_age="1ms",
            retention__interval="100ms",
            retention__archive=f"s3://{name}/some/where",
            retention__archive_endpoint=server.url,
            cluster__lease_timeout="1s",
        )

    return run


DATA = '{"b": 1.50, "a":"\\u00e9\\/", "snow":"☃"}'


def over(hub, task):
    lines = [
        '{"invocationId": "r", "type": "custom", "data": %s}' % DATA,
        '{"invocationId": "r", "type": "status", "data": {"status": "completed", "exitCode": 0}}',
    ]
    answer = hub.post(task, "\n".join(lines))
    assert answer.status == 200, answer
    return [result["eventId"] for result in answer.json["results"]]


def gone(hub, task):
    return eventually(lambda: hub.request("GET", f"/v1/tasks/{task}").status == 404, what="it does not go")


def test_a_task_goes_to_a_bucket_and_comes_back(archiving, server, start, tmp_path):
    server.make("attic")
    hub = archiving("attic")
    events = over(hub, "t")
    gone(hub, "t")
    # The two may have gone one by one, if a look came between.
    keys = server.keys("attic")
    assert keys and all(key.startswith("some/where/t/") and key.endswith(".ndjson.gz") for key in keys), keys
    files, activities = [], []
    for number, key in enumerate(sorted(keys)):
        body = server.read("attic", key)
        manifest, *lines = gzip.decompress(body).decode().splitlines()
        assert json.loads(manifest)["taskId"] == "t"
        activities += lines
        files.append(str(tmp_path / f"{number}.ndjson.gz"))
        with open(files[-1], "wb") as file:
            file.write(body)
    assert [json.loads(line)["eventId"] for line in activities] == events
    assert f'"data":{DATA}' in activities[0]

    other = start()
    command = [os.environ["TASKLIGHT_BIN"], "import", "--hub", f"http://127.0.0.1:{other.port}", "--archive", *files]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, text=True)
    assert done.returncode == 0, done
    back = other.request("GET", "/v1/tasks/t/activities").body.decode()
    assert f'"data":{DATA}' in back
    assert [activity["eventId"] for activity in json.loads(back)["activities"]][1:] == events, "after the mark"
    run = other.get("/v1/tasks/t/invocations/r")
    assert (run["status"], run["exitCode"], run["backfilled"]) == ("completed", 0, True)


def test_what_a_bucket_does_not_take_stays_until_it_does(archiving, server):
    hub = archiving("not-there-yet")
    over(hub, "t")

    def failed():
        text = hub.admin("/metrics").body.decode()
        return re.search(r"^tasklight_retention_archive_failures_total [1-9]", text, re.MULTILINE)

    eventually(failed, what="it does not fail")
    assert hub.get("/v1/tasks/t")["floor"] == 1
    assert len(hub.activities("t")) == 2
    assert any("NoSuchBucket" in line and "could not be archived" in line for line in hub.log)
    assert not any("secret" in line or "X-Amz" in line for line in hub.log)
    server.make("not-there-yet")
    gone(hub, "t")
    assert len(server.keys("not-there-yet")) == 1
