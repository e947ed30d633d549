"""The example of the documentation, as it is printed there: three services in three processes."""

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.acceptance.recovery.deployment import Deployment
from tests.processes import wait_until

MODULE = "resonate_sdk.examples.fan_out"
SERVICES = {"service-foo": "foo", "service-bar": "bar", "service-baz": "baz"}
CALL_SECONDS = 60
RESULT = "3\n"


class FanOut(Deployment):
    """The services of the example beside a server."""

    def serve(self, group: str) -> tuple[subprocess.Popen[bytes], Path]:
        return self._start(MODULE, group)

    def call(self, id: str) -> str:
        """Call `foo` from a process of its own, and return what that printed."""
        called = subprocess.run(
            [sys.executable, "-m", MODULE, "call", id],
            env=os.environ | self._environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
        )
        return called.stdout


@pytest.fixture
def fan_out(
    tmp_path: Path,
    amqp_server: str,
    database_url: str,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Generator[FanOut]:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")  # what the services print is read while they run
    deployment = FanOut(tmp_path, amqp_server, database_url, namespace)
    with deployment:
        deployment.migrate()
        deployment.start_server()
        yield deployment


def test_three_services_answer_a_call_with_three_and_run_each_function_once(fan_out: FanOut):
    logs = {group: fan_out.serve(group)[1] for group in SERVICES}

    first = fan_out.call("my-first-call")
    again = fan_out.call("my-first-call")

    assert (first, again) == (RESULT, RESULT)
    for group, function in SERVICES.items():
        printed = logs[group].read_text()
        # `foo` is replayed each time it goes on: it prints its line again.
        runs = printed.count(f"running function {function}")
        assert runs == 1 if function != "foo" else 1 <= runs <= 3, printed


def test_a_service_that_is_killed_and_started_again_takes_the_next_call(fan_out: FanOut):
    processes = {group: fan_out.serve(group)[0] for group in SERVICES}
    assert fan_out.call("before") == RESULT

    for victim, process in processes.items():
        fan_out.kill(process)
        log = fan_out.serve(victim)[1].read_bytes

        assert fan_out.call(f"after {victim}") == RESULT
        assert wait_until(lambda log=log: b"running function" in log(), seconds=CALL_SECONDS)


def test_without_arguments_the_example_runs_in_one_process():
    printed = subprocess.run(
        [sys.executable, "-m", MODULE],
        check=True,
        capture_output=True,
        text=True,
        timeout=CALL_SECONDS,
    ).stdout

    assert printed.endswith(RESULT)
