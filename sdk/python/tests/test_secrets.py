"""What goes wrong never says the token, or the password of a Redis."""

import logging
import os
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hub import Hub
from stand_in import Answers

import tasklight

ACTIVITY = {"invocationId": "r", "type": "message", "data": {"text": "hi"}}


def told(what: Callable[..., Any], *args: Any, **options: Any) -> str:
    """Everything that is said of what goes wrong, with its causes, as a log would show it. Lines of source are ours, not what was said."""
    try:
        return repr(what(*args, **options))
    except Exception as error:
        said = []
        at: Any = error
        while at is not None:
            said += [str(at), repr(at), repr(at.args)]
            at = at.__cause__ or at.__context__
        said += traceback.format_exception_only(type(error), error)
        return "\n".join(said)


def publish(*args: Any, **options: Any) -> Any:
    return tasklight.Client(*args, **options).publish("t", [ACTIVITY], patience=0.1)


def look(*args: Any) -> Any:
    return tasklight.Client(*args).task("nothing")


@pytest.mark.parametrize("token", ["PLANTED-token", "PLANTED\nin two lines", "PLANTED…", "PLANTED with spaces", "PLANTED\0"])
def test_no_error_holds_the_token(hub: Hub, token: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    refusing = Answers((401, {}, {"code": "unauthorized", "detail": "no"}))
    for url in (hub.url, "http://127.0.0.1:1", refusing.url):
        assert "PLANTED" not in told(tasklight.Client, url, token)
        assert "PLANTED" not in told(publish, url, token)
        assert "PLANTED" not in told(look, url, token)
    assert "PLANTED" not in caplog.text
    refusing.close()


@pytest.mark.parametrize(
    "hub", ["http://u:PLANTED@127.0.0.1:1", "http://127.0.0.1:1/?token=PLANTED", "ftp://u:PLANTED@h", "http://u:PLANTED@h:x"]
)
def test_no_error_holds_the_password_of_a_url(hub: str) -> None:
    assert "hub: " in told(tasklight.Client, hub) and "PLANTED" not in told(tasklight.Client, hub)


def test_no_error_holds_the_password_of_redis(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    real = os.environ["TASKLIGHT_TEST_REDIS_URL"].split("://", 1)[1].split("@")[-1]
    for url in (
        "redis://:PLANTED@127.0.0.1:1",
        "redis://:PLANTED@nobody.invalid:1",
        "redis://u:PLANTED@127.0.0.1:99999",
        "redis://u:PLANTED@127.0.0.1:x",
        "http://:PLANTED@h",
        f"redis://PLANTED:PLANTED@{real}",
    ):
        said = told(publish, "http://127.0.0.1:1", redis=url)
        assert "PLANTED" not in said, said
        assert "Receipt" not in said
    assert "PLANTED" not in caplog.text
