"""Log records as activities of a run."""

import logging
import threading

from .invocation import Invocation
from .sender import threads


class LogHandler(logging.Handler):
    """Publishes records: as ``output`` with their formatted text (from ``WARNING`` on as standard error), or with ``structured`` as ``custom``
    with their parts. Either way ``level`` and ``logger`` are fields of ``data``. What this package logs itself is left out."""

    def __init__(self, run: Invocation, level: int = logging.NOTSET, *, structured: bool = False) -> None:
        super().__init__(level)
        self._run, self._structured = run, structured

    def emit(self, record: logging.LogRecord) -> None:
        """Publishes one record, without waiting for a hub."""
        if threading.get_ident() in threads or record.name.split(".")[0] == "tasklight":
            return
        try:
            where = {"level": record.levelname, "logger": record.name}
            if self._structured:
                self._run.publish("custom", {"kind": "log", **where, **self._parts(record)})
            else:
                stream = "stderr" if logging.WARNING <= record.levelno else "stdout"
                self._run.output(self.format(record) + "\n", stream, **where)
        except Exception:
            self.handleError(record)

    def _parts(self, record: logging.LogRecord) -> dict[str, object]:
        parts: dict[str, object] = {"message": record.getMessage(), "file": record.pathname, "line": record.lineno}
        if record.exc_info:
            parts["exception"] = (self.formatter or logging.Formatter()).formatException(record.exc_info)
        return parts
