"""The scripts do no harm, and say the truth."""

import shutil
import subprocess
from pathlib import Path

from scripts.benchmark.machine import stolen_share

ROOT = Path(__file__).parents[2]


def test_an_environment_that_is_a_link_is_left_alone(tmp_path: Path):
    checkout, other = tmp_path / "checkout", tmp_path / "other"
    shutil.copytree(ROOT / "scripts", checkout / "scripts")
    (other / "bin").mkdir(parents=True)
    (checkout / ".venv").symlink_to(other)

    ended = subprocess.run(
        [checkout / "scripts" / "test"], capture_output=True, text=True, check=False, timeout=60
    )

    assert ended.returncode == 1
    assert ended.stderr == (
        f"test: {checkout}/.venv is a link, and what it points to would be emptied: "
        "remove the link\n"
    )
    assert [path.name for path in other.iterdir()] == ["bin"]


def test_what_the_host_takes_is_a_share_of_all_the_time():
    before = "cpu  100 0 50 800 10 0 5 20 7 0"

    assert stolen_share(before, "cpu  130 10 70 820 10 0 5 40 9 0") == 0.2
    assert stolen_share(before, before) == 0.0
