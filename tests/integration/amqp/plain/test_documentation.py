"""The examples of the documentation, run as they are printed."""

import re

import pytest

from resonate_broker.config import Config
from resonate_sdk import Context, Resonate
from tests.integration.amqp.server import ServerThread
from tests.repository.sources import ROOT

README = ROOT / "resonate_broker" / "integration" / "README.md"


def example(beginning: str, config: Config) -> str:
    """The snippet that begins so, for the servers of this test."""
    snippets = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (found,) = [snippet for snippet in snippets if snippet.startswith(beginning)]
    return found.replace("amqp://guest:guest@localhost:5672/", config.url).replace(
        '"resonate.', f'"{config.namespace}.'
    )


def test_the_client_of_the_tutorials(
    config: Config, server: ServerThread, capsys: pytest.CaptureFixture[str]
):
    with Resonate.remote(config.url, namespace=config.namespace, group="payments") as payments:

        def charge(ctx: Context, item: str) -> str:
            return f"charged for one {item}"

        payments.register(charge)
        payments.start()
        exec(compile(example("import json\n\nimport pika", config), str(README), "exec"), {})

    assert capsys.readouterr().out == "resolved charged for one teapot\n"
