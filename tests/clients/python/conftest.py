import itertools
import os

import pytest
from hub import Hub

names = itertools.count(1)


@pytest.fixture
def start(tmp_path):
    """Starts hubs with settings of their own: `start(session__heartbeat="1s")`. All are gone after the test."""
    hubs = []

    def run(**settings):
        directory = tmp_path / f"hub-{len(hubs)}"
        directory.mkdir()
        env = {f"TASKLIGHT__{name.upper()}": str(value) for name, value in settings.items()}
        hubs.append(Hub(str(directory), env))
        return hubs[-1]

    yield run
    for hub in hubs:
        hub.stop()


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """One hub for all the tests that leave it as they found it, but for tasks of their own."""
    hub = Hub(str(tmp_path_factory.mktemp("shared")))
    yield hub
    hub.stop()


@pytest.fixture
def hub(shared):
    assert shared.process.poll() is None, "an earlier test ended the hub"
    return shared


@pytest.fixture
def task():
    return f"task-{next(names)}"


def pytest_configure(config):
    if not os.access(os.environ.get("TASKLIGHT_BIN", ""), os.X_OK):
        raise pytest.UsageError("TASKLIGHT_BIN must be the path of the tasklight program")
