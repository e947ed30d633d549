"""The log of the commands that serve; the other commands have none."""

import logging
import sys
import time

import msgspec

from resonate_broker.config import ConfigError

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
# They tell of every broken connection with a traceback; what it means to us, we log ourselves.
LIBRARIES = ("aio_pika", "aiormq", "tenacity")


class LineFormatter(logging.Formatter):
    """Time in UTC, level, message."""

    def __init__(self) -> None:
        """Take no options."""
        super().__init__(
            "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
        self.converter = time.gmtime


class JsonFormatter(LineFormatter):
    """The same as one JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line = {
            "time": f"{self.formatTime(record, self.datefmt)}.{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def log_to_stderr(level: str, *, as_json: bool) -> None:
    """Log from a level on.

    Raises:
        ConfigError: there is no such level.
    """
    if level.lower() not in LEVELS:
        raise ConfigError(f"setting 'log_level' is one of {', '.join(LEVELS)}, found {level!r}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else LineFormatter())
    logging.basicConfig(level=LEVELS[level.lower()], handlers=[handler], force=True)
    if level.lower() != "debug":
        for library in LIBRARIES:
            logging.getLogger(library).setLevel(logging.CRITICAL)


def log_nothing() -> None:
    """Keep quiet: a command says by itself, in one sentence, what went wrong."""
    logging.disable(logging.CRITICAL)
