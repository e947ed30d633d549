"""`resonate history export`."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from resonate_broker.api.history import HistoryRecorder
from resonate_broker.cli import history
from resonate_broker.cli.program import app
from resonate_broker.kernel.recording import Caller, Run
from resonate_sdk.protocol.requests import PromiseGet
from resonate_sdk.protocol.responses import Answer


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A recording of one request."""
    file = tmp_path / "recorded.jsonl"
    recorder = HistoryRecorder(file)
    recorder.refuse(Run(PromiseGet(id="a"), Caller("queue", "c1", 7), Answer(404, "no"), 5))
    recorder.close()
    return file


def run(*arguments: str):
    return CliRunner().invoke(app, ["history", "export", *arguments], prog_name="resonate")


def test_a_history_is_printed(recorded: Path):
    result = run(str(recorded))

    assert result.exit_code == 0
    assert json.loads(result.stdout)["req"] == {"id": "a"}


def test_a_history_is_written_to_a_file(recorded: Path, tmp_path: Path):
    result = run(str(recorded), "--output", str(tmp_path / "history.jsonl"))

    assert result.exit_code == 0
    assert result.stdout == f"Wrote 1 requests to {tmp_path}/history.jsonl\n"
    assert json.loads((tmp_path / "history.jsonl").read_text())["req"] == {"id": "a"}


def test_a_long_recording_shows_how_far_it_has_been_read(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
):
    steps: list[int] = []

    @contextmanager
    def bar(title: str, total: int) -> Generator[Callable[[], None]]:
        steps.append(total)
        yield lambda: steps.append(1)

    monkeypatch.setattr(history, "progress", bar)
    recorded.write_text("\n" * (3 * history.RECORDS_PER_STEP) + recorded.read_text())

    assert run(str(recorded)).exit_code == 0
    assert steps == [3, 1, 1, 1]


def test_a_recording_that_is_not_there_is_named(tmp_path: Path):
    result = run(str(tmp_path / "nothing"))

    assert result.exit_code == 2
    assert f"cannot read {tmp_path}/nothing: No such file or directory" in result.stderr


def test_a_file_that_is_no_recording_is_refused_with_its_line(recorded: Path):
    recorded.write_text("nonsense\n" + recorded.read_text())

    result = run(str(recorded))

    assert result.exit_code == 2
    assert "line 1 is no record of ours" in result.stderr
