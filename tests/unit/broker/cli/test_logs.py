import json
import logging
import re
from collections.abc import Iterator

import pytest

from resonate_broker.cli.logs import log_nothing, log_to_stderr
from tests import logs

logger = logging.getLogger("resonate_broker.example")


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    with logs.restored():
        yield


def test_a_line_has_time_level_and_message(capsys):
    log_to_stderr("info", as_json=False)

    logger.info("task acquired task_id=%s", "a.1")
    logger.debug("not shown")

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    task acquired task_id=a\.1\n",
        capsys.readouterr().err,
    )


def test_a_line_may_be_json(capsys):
    log_to_stderr("DEBUG", as_json=True)

    logger.warning("task lost task_id=%s", "ü\n")

    line = json.loads(capsys.readouterr().err)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "resonate_broker.example",
        "message": "task lost task_id=ü\n",
        "task_id": "ü\n",
    }


def test_fields_of_a_message_are_fields_of_json(capsys):
    log_to_stderr("info", as_json=True)

    logger.info("%s is 100%% done task_id=%s version=%d reason=%r", "all", "a.1", 3, "no\nroom")

    line = json.loads(capsys.readouterr().err)
    assert (line["task_id"], line["version"], line["reason"]) == ("a.1", 3, "no\nroom")
    assert line["message"] == "all is 100% done task_id=a.1 version=3 reason='no\\nroom'"


def test_a_field_does_not_replace_what_every_line_has(capsys):
    log_to_stderr("info", as_json=True)

    logger.info("step taken level=%d message=%s", 7, "hello")
    logger.info("nothing to fill in: 100%")
    logger.info("by name task_id=%(id)s", {"id": "a"})

    first, second, third = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["message"]) == ("info", "step taken level=7 message=hello")
    assert second["message"] == "nothing to fill in: 100%"
    assert third["message"] == "by name task_id=a"


def test_an_exception_stays_on_the_line_of_json(capsys):
    log_to_stderr("info", as_json=True)

    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception("a bug")

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["traceback"].endswith("ValueError: boom")


@pytest.mark.parametrize(("level", "is_shown"), [("info", False), ("debug", True)])
def test_the_libraries_are_heard_by_those_who_debug(capsys, level, is_shown):
    log_to_stderr(level, as_json=False)

    logging.getLogger("aiormq").error("Cancelling cause reader exited abnormally")

    assert bool(capsys.readouterr().err) is is_shown


def test_client_commands_log_nothing(capsys):
    log_nothing()

    logging.getLogger("aiormq").critical("anything")

    assert capsys.readouterr().err == ""
