"""`resonate topology export`: it asks nobody."""

import json

import pytest
from typer.testing import CliRunner

from resonate_broker.cli.program import app

PERMISSIONS = ("--format", "permissions", "--json")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)


def export(*arguments: str, **settings: str):
    environment = {f"RESONATE_{name}": text for name, text in settings.items()}
    return CliRunner().invoke(app, ["topology", "export", *arguments], env=environment)


@pytest.mark.parametrize(
    ("path", "vhost"), [("", "/"), ("/", "/"), ("/%2F", "/"), ("/shop", "shop"), ("/a%2Fb", "a/b")]
)
def test_the_virtual_host_is_that_of_the_url(path: str, vhost: str):
    url = f"amqp://me:s3cret@rabbit{path}"

    definitions = json.loads(export(URL=url).stdout)
    permissions = json.loads(export(*PERMISSIONS, URL=url).stdout)

    assert definitions["vhosts"] == [{"name": vhost}]
    assert {user["vhost"] for user in permissions} == {vhost}


def test_events_are_exported_where_they_are_told():
    told = {"EVENTS__ENABLED": "true", "EVENTS__LOG_DAYS": "7"}

    without = json.loads(export().stdout)
    whole = json.loads(export(**told).stdout)

    def more(kind: str) -> set[str]:
        return {each["name"] for each in whole[kind]} - {each["name"] for each in without[kind]}

    assert more("exchanges") == {"resonate.events"}
    assert more("queues") == {"resonate.events.log"}


def test_the_server_may_use_exchanges_that_are_named():
    server, *others = json.loads(export(*PERMISSIONS, "--exchange", "shop").stdout)

    assert "shop" in server["write"]
    assert "shop" in server["read"]
    assert not any("shop" in user["read"] + user["write"] for user in others)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    file = tmp_path / "nowhere" / "definitions.json"

    result = export("--output", str(file), "--json")

    assert result.exit_code == 2
    assert json.loads(result.stderr) == {
        "error": f"cannot write {file}: No such file or directory",
        "exit_code": 2,
    }
