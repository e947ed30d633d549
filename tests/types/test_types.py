"""What type checkers infer of programs that use the SDK."""

import re
import subprocess
import sys
from pathlib import Path

from tests.repository.sources import ROOT

PROGRAM = Path(__file__).parent / "program.py"
SECONDS_MAX = 100


def pyright(*files: Path) -> subprocess.CompletedProcess[str]:
    """Check files by the settings of the repository."""
    return subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *map(str, files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )


def test_arguments_and_results_are_inferred_and_mistakes_refused(tmp_path: Path):
    """One run for both: a program that is right, and a line in it that is wrong."""
    broken = tmp_path / "broken.py"
    broken.write_text(PROGRAM.read_text() + 'assert_type(plain.run("id", 1), str)\n')

    checked = pyright(PROGRAM, broken)

    complaints = [line for line in checked.stdout.splitlines() if " - error: " in line]
    assert len(complaints) == 1, checked.stdout
    assert "broken.py" in complaints[0]
    assert 'expected "str" but received "Order"' in complaints[0]


def test_mypy_infers_and_refuses_the_same():
    """Where it knows less than pyright, a generator is annotated otherwise than as `Workflow`."""
    options = ("--strict", "--follow-imports", "silent", "--cache-dir", "/dev/null")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(PROGRAM)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )

    lines = PROGRAM.read_text().splitlines()
    refused = {lines[int(n) - 1] for n in re.findall(r":(\d+): error: ", checked.stdout)}
    wrong = {line for line in lines if "# pyright: ignore" in line}
    assert all("spelled" in line for line in refused ^ wrong), checked.stdout
    assert len(refused & wrong) > 30, checked.stdout + checked.stderr


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "resonate_sdk" / "py.typed").is_file()
