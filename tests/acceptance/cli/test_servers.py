"""`resonate serve` and `resonate migrate`."""

import json
import re
import signal
import urllib.request
from urllib.parse import urlsplit

import pika
import psycopg
import pytest
from psycopg import sql

from resonate_broker.dev.ports import free_port
from resonate_sdk.protocol.topology import Names
from tests.acceptance.cli.programs import environment, run, run_here, running, serving

LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING) +\S")


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    return parts._replace(
        netloc=f"{parts.username}:{password}@{parts.hostname}:{parts.port}"
    ).geturl()


def test_tables_are_made_once(empty_place):
    first = run("migrate", env=empty_place)
    again = run_here("migrate", env=empty_place)
    with_json = run_here("migrate", "--json", env=empty_place)

    where = f"schema {empty_place['RESONATE_NAMESPACE']} of postgres"
    assert first.code == again.code == with_json.code == 0
    assert first.out.startswith("Applied 0001_promises.sql\n")
    assert re.search(rf"^Now up to date \(version \d+\): {where}", first.out, re.MULTILINE)
    assert re.match(rf"Already up to date \(version \d+\): {where}", again.out)
    assert ":***@" in again.out
    assert with_json.document["applied"] == []
    assert first.err == again.err == with_json.err == ""


def test_a_dry_run_says_what_would_be_applied_and_changes_nothing(empty_place):
    before = run_here("migrate", "--dry-run", "--json", env=empty_place)
    run_here("migrate", env=empty_place)
    after = run_here("migrate", "--dry-run", env=empty_place)

    assert before.code == after.code == 0
    assert before.document["missing"][0] == "0001_promises.sql"
    assert after.out == "Nothing is missing\n"
    versions = sql.SQL("select name from {}.schema_versions order by 1")
    schema = sql.Identifier(empty_place["RESONATE_NAMESPACE"])
    with psycopg.connect(empty_place["RESONATE_DATABASE_URL"]) as database:
        applied = database.execute(versions.format(schema)).fetchall()
    assert [name for (name,) in applied] == before.document["missing"]


@pytest.fixture
def owner_place(empty_place):
    """The place of a user who may make tables there, but no roles."""
    url, namespace = empty_place["RESONATE_DATABASE_URL"], empty_place["RESONATE_NAMESPACE"]
    user = f"{namespace}-owner"
    parts = urlsplit(url)
    owned = parts._replace(netloc=f"{user}:s3cret@{parts.hostname}:{parts.port}").geturl()
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"""create role "{user}" login password 's3cret'""".encode())
        database = parts.path.removeprefix("/")
        admin.execute(f'grant create on database {database} to "{user}"'.encode())
        yield {**empty_place, "RESONATE_DATABASE_URL": owned}
        admin.execute(f'drop owned by "{user}" cascade'.encode())
        admin.execute(f'drop role "{user}"'.encode())


def test_who_may_not_make_roles_is_told_what_somebody_else_must_do(empty_place, owner_place):
    namespace = empty_place["RESONATE_NAMESPACE"]

    first = run_here("migrate", env=owner_place)
    grants = run_here("migrate", "--json", env=owner_place).document["grants"]
    with psycopg.connect(empty_place["RESONATE_DATABASE_URL"], autocommit=True) as admin:
        for grant in grants:
            admin.execute(grant.encode())
        admin.execute(f'set role "{namespace}_submit"'.encode())
        submitted = admin.execute(f"""select "{namespace}".submit('i', 'f', 'g')""".encode())
        is_new = submitted.fetchone()
    done = run_here("migrate", "--json", env=owner_place).document["grants"]

    assert first.code == 0
    assert f"Applications cannot have the role {namespace}_submit yet" in first.out
    assert all(f"    {grant};\n" in first.out for grant in grants)
    assert len(grants) == 3
    assert is_new == (True,)
    assert done == []


@pytest.mark.parametrize("command", ["migrate", "serve"])
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (
            "postgresql://u:s3cret@127.0.0.1:1/db",
            "nothing listens there (connection refused): start it, or correct the URL",
        ),
        (
            "postgresql://u:s3cret@host.invalid/db",
            "the name of the host is unknown: correct the URL",
        ),
    ],
    ids=["closed port", "unknown host"],
)
def test_a_database_that_is_not_there_is_told(amqp_server, command, url, reason):
    env = environment(RESONATE_URL=amqp_server, RESONATE_DATABASE_URL=url)

    result = run_here(command, "--json", env=env)

    sentence = f"cannot use the database at {url.replace('s3cret', '***')} (schema 'resonate')"
    assert result.code == 3
    assert result.out == ""
    assert result.error == {"error": f"{sentence}: {reason}", "exit_code": 3}
    assert result.seconds < 8


def test_a_database_that_does_not_let_us_in_says_why(empty_place):
    url = with_password(empty_place["RESONATE_DATABASE_URL"], "s3cret")

    result = run_here("migrate", "--database-url", url, env=empty_place)

    assert result.code == 3
    assert re.match(r"Error: cannot use the database at .*: password authentication", result.err)
    assert "s3cret" not in result.err


def test_a_server_answers_probes_where_it_is_told_to(empty_place):
    listen = f"127.0.0.1:{free_port()}"
    run_here("migrate", env=empty_place)

    with running("serve", "--listen", listen, env=empty_place) as server:
        server.wait_for("^Serving namespace")
        with urllib.request.urlopen(f"http://{listen}/health", timeout=5) as response:
            health = json.load(response)
        second = run("serve", "--listen", listen, "--json", env=empty_place)
        code = server.end(signal.SIGTERM)

    assert health == {"status": "alive"}
    assert second.code == 2
    assert second.error["error"].startswith(f"setting 'http.listen': cannot listen on {listen}: ")
    assert code == 0


def test_a_server_without_tables_says_how_to_make_them(empty_place):
    result = run("serve", env=empty_place)

    assert result.code == 1
    assert result.out == ""
    assert result.err == (
        f"Error: the schema '{empty_place['RESONATE_NAMESPACE']}' has no tables: "
        "run `resonate migrate`\n"
    )


def test_a_server_without_a_broker_says_so(empty_place):
    run_here("migrate", env=empty_place)

    result = run("serve", "--url", "amqp://u:s3cret@127.0.0.1:1/", env=empty_place)

    assert result.code == 3
    assert result.out == ""
    assert result.err == (
        "Error: cannot reach RabbitMQ at amqp://u:***@127.0.0.1:1/ "
        f"(namespace '{empty_place['RESONATE_NAMESPACE']}'): "
        "nothing listens there (connection refused): start it, or correct the URL\n"
    )


def submit_consumers(env) -> int:
    """How many servers take requests, as the broker sees it."""
    queue = Names(env["RESONATE_NAMESPACE"]).submit_queue(0)
    connection = pika.BlockingConnection(pika.URLParameters(env["RESONATE_URL"]))
    try:
        return connection.channel().queue_declare(queue, passive=True).method.consumer_count
    finally:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_says_when_it_is_ready_and_ends_in_an_orderly_way(empty_place, number):
    run_here("migrate", env=empty_place)

    with serving(empty_place) as server:
        consumers = submit_consumers(empty_place)
        created = run_here("promises", "create", "a", "-t", "1h", env=empty_place)
        code = server.end(number)

    (ready,) = server.out
    assert consumers == 1
    assert created.code == 0
    assert code == 0
    assert f"Serving namespace {empty_place['RESONATE_NAMESPACE']} on amqp" in ready
    assert urlsplit(empty_place["RESONATE_DATABASE_URL"]).password not in ready
    assert all(LOG_LINE.match(line) for line in server.err), server.err
    with serving(empty_place):
        assert run_here("promises", "get", "a", env=empty_place).code == 0


def test_with_json_a_server_announces_itself_and_logs_in_json(empty_place):
    run_here("migrate", env=empty_place)

    with running("serve", "--json", env=empty_place) as server:
        server.wait_for('^{"url"|"url":')
        code = server.end(signal.SIGTERM)

    (ready,) = map(json.loads, server.out)
    logged = [json.loads(line) for line in server.err]
    assert code == 0
    assert ready["namespace"] == empty_place["RESONATE_NAMESPACE"]
    assert ":***@" in ready["url"]
    assert {"time", "level", "logger", "message"} <= logged[0].keys()


def test_the_log_level_is_a_setting(empty_place):
    run_here("migrate", env=empty_place)

    with serving({**empty_place, "RESONATE_LOG_LEVEL": "error"}) as server:
        assert server.end(signal.SIGTERM) == 0

    assert server.err == []


def test_a_lost_broker_is_logged_without_tracebacks(private_rabbitmq, database_url, namespace):
    env = environment(
        RESONATE_URL=private_rabbitmq.url,
        RESONATE_DATABASE_URL=database_url,
        RESONATE_NAMESPACE=namespace,
    )
    run_here("migrate", env=env)

    with serving(env) as server:
        server.wait_for("connected to RabbitMQ")
        private_rabbitmq.kill()
        server.wait_for("connection to RabbitMQ lost")
        code = server.end(signal.SIGTERM)

    assert code == 0
    assert all(LOG_LINE.match(line) for line in server.err), server.err


def test_who_waits_for_a_call_stays_through_a_restart_of_the_server(empty_place):
    run_here("migrate", env=empty_place)

    with serving(empty_place) as first:
        waiting = ("invoke", "a", "-f", "x", "--wait", "--json")
        with running(*waiting, env=empty_place) as command:
            assert first.wait_for("data path connected")
            first.end(signal.SIGKILL)
            with serving(empty_place):
                run_here("invoke", "a", "-f", "x", env=empty_place)
                run_here("promises", "resolve", "a", "--value", "7", env=empty_place)
                code = command.wait()

    assert code == 0
    assert json.loads("\n".join(command.out))["value"] == 7
    assert command.err == []
