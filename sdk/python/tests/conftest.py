import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub import Hub


def pytest_configure(config: pytest.Config) -> None:
    if not os.access(os.environ.get("TASKLIGHT_BIN", ""), os.X_OK):
        raise pytest.UsageError("TASKLIGHT_BIN must be the path of the tasklight program")
    for name in ("TASKLIGHT_HUB", "TASKLIGHT_TOKEN", "TASKLIGHT_REDIS", "TASKLIGHT_REDIS_PREFIX", "TASKLIGHT_TASK"):
        os.environ.pop(name, None)


@pytest.fixture(autouse=True)
def leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run leaves behind, it leaves in the test's folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    """Starts hubs with settings of their own. All are gone after the test."""
    hubs: list[Hub] = []

    def run(**env: str) -> Hub:
        folder = tmp_path / f"hub-{len(hubs)}"
        folder.mkdir()
        hubs.append(Hub(folder, **env))
        return hubs[-1]

    yield run
    for hub in hubs:
        hub.end()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One hub for all the tests that leave it as they found it, but for tasks of their own."""
    hub = Hub(tmp_path_factory.mktemp("shared"), TASKLIGHT__SESSION__HEARTBEAT="1s")
    yield hub
    hub.end()


@pytest.fixture
def hub(shared: Hub) -> Hub:
    return shared


@pytest.fixture
def task() -> str:
    return f"task-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The Redis of tests/services.sh. Without one these tests are skipped, unless they must not be."""
    url = os.environ.get("TASKLIGHT_TEST_REDIS_URL", "")
    if not url:
        pytest.skip("TASKLIGHT_TEST_REDIS_URL is not set: run beside tests/services.sh")
    return url


@pytest.fixture(scope="session")
def clustered(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with a Redis, and with Postgres where there is one."""
    prefix = f"py{os.getpid()}:"
    postgres = os.environ.get("TASKLIGHT_TEST_POSTGRES_URL")
    if postgres is None:
        pytest.skip("TASKLIGHT_TEST_POSTGRES_URL is not set: run beside tests/services.sh")
    env = {
        "TASKLIGHT__STORE__URL": postgres,
        "TASKLIGHT__BROKER__URL": redis_url,
        "TASKLIGHT__BROKER__PREFIX": prefix,
        "TASKLIGHT__SESSION__HEARTBEAT": "1s",
    }
    hub = Hub(tmp_path_factory.mktemp("clustered"), **env)
    yield hub
    hub.end()
