"""The files for containers name what there is: commands, settings, folders."""

import re

import pytest
from typer.main import get_command

from resonate_broker.cli.program import app
from resonate_broker.config import load_config
from tests.repository.sources import ROOT

INFRA = ROOT / "infra"
COMPOSE = (INFRA / "compose.yaml").read_text()
DOCKERFILE = (INFRA / "Dockerfile").read_text()
OWN_COMMANDS = re.findall(r'^    command: \["(\w+)"\]$', COMPOSE, re.MULTILINE)


def test_the_services_run_commands_that_there_are():
    commands = getattr(get_command(app), "commands", {})

    assert OWN_COMMANDS == ["migrate", "serve"]
    assert set(OWN_COMMANDS) <= set(commands)
    assert 'ENTRYPOINT ["resonate"]' in DOCKERFILE


def test_their_variables_are_settings():
    variables = dict(re.findall(r"^      (RESONATE_\w+): (\S+)$", COMPOSE, re.MULTILINE))

    config = load_config({}, environment=variables)

    assert (config.url, config.database_url) == (
        variables["RESONATE_URL"],
        variables["RESONATE_DATABASE_URL"],
    )
    port = config.http.listen.rpartition(":")[2]
    assert f"http://127.0.0.1:{port}/ready" in COMPOSE


@pytest.mark.parametrize("path", re.findall(r"^      - (\./[^:]+):", COMPOSE, re.MULTILINE))
def test_what_is_mounted_is_there(path: str):
    assert (INFRA / path).is_file()


def test_the_image_is_built_of_what_is_there():
    sources = [
        name
        for line in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE, re.MULTILINE)
        for name in line.split()[:-1]
    ]

    assert {"pyproject.toml", "README.md", "resonate_sdk", "resonate_broker"} <= set(sources)
    assert [name for name in sources if not (ROOT / name).exists()] == []
