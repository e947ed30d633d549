"""The scripts do no harm."""

import shutil
import subprocess
from pathlib import Path

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
