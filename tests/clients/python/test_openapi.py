"""docs/openapi.json against the hub: whatever schemathesis makes of it, valid and invalid, is answered as described, and never by a 5xx. A few requests of
each kind, with a token that grants everything and where no tokens are asked for; with SCHEMATHESIS_SECONDS (`make schemathesis`) again and again for so long."""

import http.client
import os
import pathlib
import re
import subprocess
import sys

import pytest
from heard import SECRET, token

SECONDS = int(os.environ.get("SCHEMATHESIS_SECONDS", "0"))

# How long the few requests may take on a machine that does much else.
PATIENCE_SECONDS = 600

# The few requests are the same each time. Of chance ones some are taken for wrong that are right once they are written as a query: `label=x` is a list of
# one, and an empty value is one that was not given.
SEED = 1

# What is not compared: a request that is valid by its form may still be refused for what it means (an unknown cursor, a run that has ended), and
# WebSocket needs a handshake that no such request is.
LEFT_OUT = "positive_data_acceptance"

CONFIG = """
# A body may also be refused as too large.
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 408, 409, 410, 413, 415, 422, 426, 429]
"""


def fuzz(hub, folder, seconds, phases, headers=()):
    (folder / "schemathesis.toml").write_text(CONFIG)
    program = pathlib.Path(sys.executable).parent / "schemathesis"
    flags = [f"--header={header}" for header in headers]
    # With a time it goes on until that is spent, without one it is done when each operation had its requests.
    flags += [f"--max-time={seconds}"] if seconds else [f"--phases={phases}", "--max-examples=10", f"--seed={SEED}"]
    done = subprocess.run(
        [
            program, "run", f"http://127.0.0.1:{hub.port}/openapi.json", *flags, f"--exclude-checks={LEFT_OUT}",
            # A stream has no end; test_asyncapi.py looks at it.
            "--exclude-path=/v1/tasks/{task}/stream",
            # It waits, too; the tests of the protocol's makers look at it (durable.test.mjs).
            "--exclude-path=/v1/ds/{task}",
            "--continue-on-failure", "--no-color", "--generation-database=none", "--request-timeout=10", "--suppress-health-check=all", "--warnings=off",
        ],
        cwd=folder, capture_output=True, text=True, timeout=seconds + PATIENCE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]
    count = re.search(r"(\d+) generated", done.stdout)
    assert count and int(count[1]) > 50, done.stdout[-2_000:]
    assert hub.process.poll() is None, "the hub ended"
    assert not [line for line in hub.log if "panicked" in line or '"level":"ERROR"' in line], hub.log


def test_with_a_token_that_grants_everything(start, tmp_path):
    hub = start(auth__hmac_secret=SECRET, limits__publishes_per_second=0, limits__cold_reads_per_second=0)
    grants = token("fuzzer", ["*"], expires=86_400, admin=True)
    fuzz(hub, tmp_path, SECONDS, "coverage,fuzzing,stateful", [f"Authorization: Bearer {grants}"])


def test_where_no_token_is_asked_for(start, tmp_path):
    fuzz(start(), tmp_path, SECONDS // 2, "fuzzing,stateful")


@pytest.mark.parametrize("path", ["", "?after=nonsense", "?last=-1", "?type=shout", "?series=all", "?surprise=1"])
def test_a_stream_is_described_as_it_begins(hub, task, path):
    """Its head; what comes in it is test_asyncapi.py's."""
    described = hub.get("/openapi.json")["paths"]["/v1/tasks/{task}/stream"]["get"]["responses"]
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=15)
    connection.request("GET", f"/v1/tasks/{task}/stream{path}")
    answer = connection.getresponse()
    kinds = described[str(answer.status)]["content"]
    assert answer.status == (400 if path else 200)
    assert answer.getheader("content-type").split(";")[0] in kinds
    connection.close()
