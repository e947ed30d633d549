"""`resonate dev`: everything starts, serves, and goes away."""

import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.cli.programs import environment, run_here, running
from tests.processes import processes_of
from tests.services import private_folder

EXPORTED = (
    "RESONATE_URL",
    "RESONATE_DATABASE_URL",
    "RESONATE_MANAGEMENT_URL",
    "RESONATE_NAMESPACE",
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the user of PostgreSQL can reach."""
    with private_folder() as folder:
        yield folder


def test_everything_runs_until_ctrl_c_and_leaves_nothing_behind(folder):
    env = environment(TMPDIR=str(folder), RESONATE_URL="nonsense of another project")

    with running("dev", "--json", env=env) as command:
        ready = json.loads(command.wait_for('^{"url"'))
        started = processes_of(folder)
        with urllib.request.urlopen(ready["metrics_url"], timeout=5) as response:
            metrics = response.read().decode()
        used = run_here(
            *("promises", "create", "a", "-t", "1h", "--url", ready["url"], "--json"), env=env
        )
        code = command.end(signal.SIGINT)

    assert used.code == 0
    assert used.document["created"] is True
    assert ready["folder"].startswith(str(folder))
    assert len(started) > 4
    assert "resonate_server_info{" in metrics
    assert code == 0
    assert len(command.out) == 1
    assert command.err == []
    assert processes_of(folder) == set()
    assert list(folder.iterdir()) == []


def test_with_a_folder_the_data_is_there_the_next_time(folder):
    home, env = folder / "deep" / "dev", environment(RESONATE_NAMESPACE="mine")

    with running("dev", "--folder", str(home), env=env) as command:
        command.wait_for("Ctrl-C ends everything.$")
        exports = [command.wait_for(f"^export {name}=") for name in EXPORTED]  # another output
        exported = dict(line.removeprefix("export ").split("=", 1) for line in exports)
        created = run_here("promises", "create", "a", "-t", "1h", env={**env, **exported})
        code = command.end(signal.SIGTERM)
    left = processes_of(folder)
    with running("dev", "--folder", str(home), env=env) as command:
        command.wait_for("Ctrl-C ends everything.$")
        found = run_here("promises", "get", "a", env={**env, **exported})
        code_again = command.end(signal.SIGHUP)

    assert created.code == found.code == 0
    assert code == code_again == 0
    assert len(command.out) == len(EXPORTED)
    assert left == set()
    assert processes_of(folder) == set()


def test_who_stops_it_while_it_starts_leaves_nothing_behind(folder):
    env = environment(TMPDIR=str(folder))

    with running("dev", env=env) as command:
        command.wait_for("^Starting PostgreSQL")
        code = command.end(signal.SIGINT)

    assert code == 0
    assert command.out == []
    assert command.err[-1] == "Stopping in a moment"
    assert processes_of(folder) == set()
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    result = run_here("dev", "--folder", str(tmp_path / "file" / "dev"), env=environment())

    assert result.code == 2
    assert result.err == (
        f"Error: the folder {tmp_path}/file/dev cannot be made: Not a directory\n"
    )


def test_a_folder_with_something_else_in_it_is_refused(folder):
    (folder / "postgres").mkdir()
    (folder / "postgres" / "thesis.txt").write_text("years of work")

    result = run_here("dev", "--folder", str(folder), "--json", env=environment())

    assert result.code == 3
    assert result.out == ""
    assert "is not empty: a private server needs its own folder" in result.error["error"]
    assert (folder / "postgres" / "thesis.txt").exists()
