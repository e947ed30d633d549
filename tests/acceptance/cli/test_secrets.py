"""Passwords of URLs are shown by no command, whatever goes wrong."""

import json
import signal
from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest

from tests.acceptance.cli.programs import environment, run_here, running

SECRET = "s3cr3t"
CLOSED = f"u:{SECRET}@127.0.0.1:1"
UNREADABLE = (f"u:{SECRET}@127.0.0.1:port", f"u:{SECRET}/x@127.0.0.1", f"u:{SECRET}@[::1")

CLIENTS = (
    ("promises", "get", "a"),
    ("invoke", "a", "--func", "f", "--target", "g"),
    ("schedules", "search"),
    ("tasks", "search"),
    ("tree", "a"),
    ("dlq", "list"),
    ("workers",),
    ("why", "a"),
    ("topology", "doctor"),
    ("topology", "apply"),
    ("history", "export", "nowhere.jsonl"),
)
SERVERS = (("serve",), ("migrate",))


def said(*command: str, **variables: str) -> str:
    result = run_here(*command, env=environment(**variables))
    assert result.code != 0
    return result.out + result.err


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("place", [CLOSED, *UNREADABLE], ids=["closed", "port", "slash", "bracket"])
@pytest.mark.parametrize("command", [*CLIENTS, *SERVERS], ids=" ".join)
def test_no_command_repeats_the_password_of_what_it_cannot_reach(
    command: tuple[str, ...], place: str, form: str
):
    shown = said(
        *(*command, *(["--json"] if form == "json" else [])),
        RESONATE_URL=f"amqp://{place}/",
        RESONATE_DATABASE_URL=f"postgresql://{place}/db",
        RESONATE_MANAGEMENT_URL=f"http://{place}/",
    )

    assert SECRET not in shown


@pytest.mark.parametrize(
    "variables",
    [
        {"RESONATE_URL": f"u:{SECRET}@host"},
        {"RESONATE_URL": f"http://u:{SECRET}@host/"},
        {"RESONATE_DATABASE_URL": f"postgresql://{CLOSED}/db?password={SECRET}"},
        {"RESONATE_DATABASE_URL": f"postgresql://127.0.0.1:1/db?sslpassword={SECRET}"},
        {"RESONATE_DATABASE_URL": f"mysql://{CLOSED}/"},
    ],
)
def test_no_server_repeats_a_password_in_other_places(variables: Mapping[str, str]):
    assert SECRET not in said("serve", **variables)


def test_a_server_that_logs_everything_names_no_password(empty_place: Mapping[str, str]):
    env = {**empty_place, "RESONATE_LOG_LEVEL": "debug", "RESONATE_LOG_FORMAT": "json"}
    assert run_here("migrate", env=env).code == 0
    secrets = [
        f":{urlsplit(env[name]).password}@" for name in ("RESONATE_URL", "RESONATE_DATABASE_URL")
    ]

    with running("serve", env=env) as server:
        server.wait_for("^Serving namespace")
        server.wait_for("connected to RabbitMQ")
        code = server.end(signal.SIGTERM)

    assert code == 0
    lines = [json.loads(line) for line in server.err]
    (connected,) = (line for line in lines if line["message"].startswith("connected to RabbitMQ"))
    assert connected["namespace"] == env["RESONATE_NAMESPACE"]
    assert not any(secret in line for secret in secrets for line in (*server.out, *server.err))
