"""The programs in README.md run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from resonate_sdk import LocalServer, Resonate
from tests.acceptance.cli.programs import running
from tests.acceptance.seeds.conftest import Place, place as place  # a fixture
from tests.repository.sources import ROOT

PROGRAMS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
WAIT_S = 30


def test_the_first_example_goes_from_reservation_to_receipt():
    """The day passes in an instant here; the services that it calls are faked."""
    server, done = LocalServer(), []
    payments = Resonate.local(server=server, group="payments")
    payments.register(lambda ctx, item: f"receipt for one {item}", name="charge")
    client = Resonate.local(server=server, group="orders")
    program = PROGRAMS[0].replace('Resonate.local(path="orders.db")', "client")
    names = {
        "client": client,
        "reserve": lambda ctx, item: done.append(f"reserved one {item}"),
        "remind": lambda ctx, receipt: done.append(f"reminded of the {receipt}"),
    }

    module = {"__name__": "readme", **names}
    exec(program.replace("24 * 3600", "0.01"), module)

    assert client.get("order-1").result(WAIT_S) == "receipt for one teapot"
    assert done == ["reserved one teapot", "reminded of the receipt for one teapot"]
    for resonate in (client, payments):
        resonate.stop()
    server.close()


def test_the_worker_serves_the_caller(place: Place, tmp_path: Path):
    files = []
    for number, program in enumerate(PROGRAMS[1:3]):
        files.append(tmp_path / f"program_{number}.py")
        files[-1].write_text(program)
    worker, caller = files

    with running(env=place, program=[sys.executable, str(worker)]):
        called = subprocess.run(
            [sys.executable, str(caller)],
            env=dict(place),
            check=True,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )

    assert called.stdout == "charged for one kettle\n"


def test_the_test_passes():
    (program,) = (program for program in PROGRAMS if "explore(" in program)

    exec(program, {"__name__": "readme"})


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_is_python(program: str):
    compile(program, "README.md", "exec")
