"""Log records as activities."""

import logging

from hub import Hub

import tasklight


def logger(name: str, handler: logging.Handler) -> logging.Logger:
    log = logging.getLogger(name)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.handlers = [handler]
    return log


def test_records_are_output_with_their_level(hub: Hub, task: str) -> None:
    with tasklight.invocation(task, hub=hub.url) as run:
        handler = tasklight.LogHandler(run, logging.INFO)
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        log = logger("shop.cart", handler)
        log.debug("too small")
        log.info("%d items", 3)
        log.warning("nearly out")
        try:
            raise KeyError("apple")
        except KeyError:
            log.exception("broken")
    said = [activity["data"] for activity in hub.activities(task) if activity["type"] == "output"]
    assert said[0] == {"stream": "stdout", "text": "INFO 3 items\n", "level": "INFO", "logger": "shop.cart"}
    assert (said[1]["stream"], said[1]["level"]) == ("stderr", "WARNING")
    assert "KeyError: 'apple'" in said[2]["text"] and said[2]["text"].startswith("ERROR broken\nTraceback")
    assert len(said) == 3


def test_records_can_be_parts(hub: Hub, task: str) -> None:
    with tasklight.invocation(task, hub=hub.url) as run:
        logger("shop", tasklight.LogHandler(run, structured=True)).error("it is %s", "red")
    (said,) = [activity["data"] for activity in hub.activities(task) if activity["type"] == "custom"]
    assert {"kind": "log", "level": "ERROR", "logger": "shop", "message": "it is red"}.items() <= said.items()
    assert said["file"].endswith("test_log.py")


def test_what_the_sender_logs_is_not_published(task: str) -> None:
    with tasklight.invocation(task, hub="http://127.0.0.1:9", close_timeout=0.5) as run:
        root = logging.getLogger()
        handler = tasklight.LogHandler(run)
        root.addHandler(handler)
        try:
            run.message("hi")
            run.flush(0.5)
            assert run.waiting == 2, "the words about a hub that is away would be words for that hub"
        finally:
            root.removeHandler(handler)


def test_a_handler_may_publish_what_this_package_logs(task: str) -> None:
    class Naive(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            run.message(record.getMessage())

    handler = Naive()
    logging.getLogger("tasklight").addHandler(handler)
    try:
        run = tasklight.invocation(task, hub="http://127.0.0.1:9", memory_bytes=0, spill_bytes=0)
        run.message("dropped")
        assert run.dropped == 2
    finally:
        logging.getLogger("tasklight").removeHandler(handler)
        run.close(0)


def test_a_record_that_cannot_be_formatted_breaks_nothing(hub: Hub, task: str, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with tasklight.invocation(task, hub=hub.url) as run:
        logger("shop", tasklight.LogHandler(run)).info("%d items", "three")
    assert hub.statuses(task) == {run.id: "completed"}
