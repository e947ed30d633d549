"""The log of a process whose commands end with it, for commands that tests run in their own."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

from resonate_broker.cli.logs import LIBRARIES


@contextmanager
def restored() -> Generator[None]:
    """Leave the log as it was."""
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, LIBRARIES)]
    levels, handlers = [logger.level for logger in loggers], root.handlers[:]
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        root.handlers[:] = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
