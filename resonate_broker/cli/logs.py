"""The log of the commands that serve; the other commands have none."""

import logging
import re
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


_PLACEHOLDER = re.compile(r"(?:\b(?P<name>\w+)=)?%(?:[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]|%)")


class LineFormatter(logging.Formatter):
    """Time in UTC, level, message."""

    def __init__(self) -> None:
        """Take no options."""
        super().__init__(
            "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
        self.converter = time.gmtime


class JsonFormatter(LineFormatter):
    """The same as one JSON object per line, with the fields of the message beside it."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, object] = {
            "time": f"{self.formatTime(record, self.datefmt)}.{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in _fields(record).items() if name not in line}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What a message says in the form `name=value`; messages are constants with such fields."""
    if not isinstance(record.args, tuple):
        return {}
    placeholders = [found for found in _PLACEHOLDER.finditer(str(record.msg)) if found[0] != "%%"]
    return {
        found["name"]: value if isinstance(value, int | float | None) else str(value)
        for found, value in zip(placeholders, record.args, strict=False)
        if found["name"]
    }


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
    of_libraries = logging.NOTSET if level.lower() == "debug" else logging.CRITICAL
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(of_libraries)


def log_nothing() -> None:
    """Keep quiet: a command says by itself, in one sentence, what went wrong."""
    logging.disable(logging.CRITICAL)
