"""What operators ask about a running system, with the management API of the broker and without."""

import json
import os
import shlex

import pika
import pytest

from tests.acceptance.cli.programs import serving, working
from tests.processes import wait_until

SECRET = "s3cret"


@pytest.fixture
def held(managed, id, tmp_path):
    """The id of a call that a worker carries out until the end of the test."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    managed("invoke", id, "-f", "read", "--arg", str(pipe), "--target", "workers")
    state = ("tasks", "get", id, "--json")
    assert wait_until(lambda: managed(*state).document["state"] == "acquired", seconds=30)
    yield id
    managed("promises", "cancel", id)
    os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))


def is_seen(managed):
    """Whether the management API has noticed the worker, which takes it some seconds."""
    document = managed("workers", "--group", "workers", "--json").document
    return any(worker["is_connected"] for worker in document["workers"])


@pytest.fixture
def unattended(managed, id):
    """The name of a group that has a task and no worker."""
    managed("invoke", f"{id}-u", "-f", "greet", "--target", id)
    yield id
    managed("promises", "cancel", f"{id}-u")


def test_workers_are_shown_with_their_connection_and_what_they_run(managed, held):
    assert wait_until(lambda: is_seen(managed), seconds=30)

    shown = managed("workers")
    document = managed("workers", "--group", "workers", "--json").document

    (worker,) = document["workers"]
    assert shown.code == 0
    assert shown.err == ""
    assert (worker["group"], worker["running"], worker["is_connected"]) == ("workers", 1, True)
    assert worker["connection"]["title"] == f"resonate/sdk/workers/{worker['pid']}/consume"
    assert (worker["connection"]["from"], worker["connection"]["state"]) == ("127.0.0.1", "running")
    assert document["groups"] == [
        {"name": "workers", "workers": 1, "running": 1, "pending": 0, "hints": 0}
    ]
    assert document["unseen"] == []
    (row,) = [line.split() for line in shown.out.splitlines() if line.startswith(worker["pid"])]
    assert [*row[1:3], row[5], *row[-2:]] == ["workers", "1", "127.0.0.1", "ago", "running"]
    assert worker["told"]["slots"] == int(row[3])
    assert any(queue.endswith(".task.workers") for queue in worker["queues"])


def test_a_group_with_tasks_and_without_workers_stands_out(managed, unattended):
    document = managed("workers", "--group", unattended, "--json").document

    (group,) = document["groups"]
    assert (group["workers"], group["running"], group["pending"]) == (0, 0, 1)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "no management API is given (--management-url)"),
        (f"http://op:{SECRET}@127.0.0.1:1", "op:***@127.0.0.1:1 cannot be used: nothing listens"),
    ],
)
def test_without_the_management_api_it_is_said_what_is_not_seen(managed, held, url, reason):
    shown = managed("workers", RESONATE_MANAGEMENT_URL=url)
    document = managed("workers", "--json", RESONATE_MANAGEMENT_URL=url).document

    (worker,) = [worker for worker in document["workers"] if worker["group"] == "workers"]
    (group,) = [group for group in document["groups"] if group["name"] == "workers"]
    assert shown.code == 0
    assert shown.err.startswith("Not seen: connections, and what is consumed")
    assert reason in shown.err
    assert document["unseen"] == [shown.err.strip()]
    assert (worker["running"], worker["is_connected"], worker["connection"]) == (1, None, None)
    assert group["workers"] == 1
    assert SECRET not in shown.err + shown.out


def test_a_wrong_password_of_the_management_api_is_told_and_not_repeated(managed, managed_place):
    place = managed_place["RESONATE_MANAGEMENT_URL"].removeprefix("http://")

    shown = managed("workers", "--management-url", f"http://op:{SECRET}@{place}")

    assert shown.code == 0
    assert f"http://op:***@{place} cannot be used: it refuses this user" in shown.err
    assert SECRET not in shown.err + shown.out


def test_where_no_server_answers_the_broker_is_shown_all_the_same(managed):
    shown = managed("workers", "--group", "workers", RESONATE_NAMESPACE="elsewhere")

    assert shown.code == 0
    assert shown.out.splitlines()[1].split() == ["workers", "0", "?", "?"]
    assert "Not seen: what runs and what is pending: RabbitMQ at" in shown.err


def test_why_names_the_worker_that_has_it(managed, held):
    assert wait_until(lambda: is_seen(managed), seconds=30)

    why = managed("why", held, COLUMNS="80")
    document = managed("why", held, "--json").document

    (reason,) = document["reasons"]
    assert (why.code, why.err) == (0, "")
    assert why.out.startswith(f"{held}, a call of read, is pending for ")
    assert all(len(line) <= 80 for line in why.out.splitlines())
    assert (reason["id"], reason["cause"]) == (held, "runs")
    assert document["text"].startswith(f"{held}, a call of read, is pending for ")
    assert document["unseen"] == []


def test_why_follows_what_is_awaited(managed, id):
    managed("invoke", id, "-f", "order", "--arg", "17", "--target", "workers")
    awaited = ("promises", "get", f"{id}.4")
    assert wait_until(lambda: managed(*awaited).code == 0, seconds=30)

    (waiting,) = managed("why", id, "--json").document["reasons"]
    managed("promises", "resolve", f"{id}.4", "--value", "1")
    managed("invoke", id, "-f", "order", "--arg", "17", "--wait", "30")
    done = managed("why", id)

    assert (waiting["id"], waiting["cause"]) == (f"{id}.4", "is_to_be_settled")
    assert done.out.startswith(f"{id} is settled: resolved ")


def test_why_says_that_nobody_is_there(managed, unattended):
    with_api = managed("why", f"{unattended}-u", "--json").document
    without = managed("why", f"{unattended}-u", RESONATE_MANAGEMENT_URL="")

    assert [reason["cause"] for reason in with_api["reasons"]] == ["no_worker"]
    assert f"group {unattended} has none now" in without.out
    assert without.err.startswith("Not seen: which processes are connected: no management API")


def test_why_of_what_is_not_there_is_not_found(managed, id):
    missing = managed("why", id, "--json")

    assert missing.code == 4
    assert missing.error == {"error": f"no promise '{id}'", "exit_code": 4}


def states_of(shown):
    return {each["state"] for each in shown.document["objects"]}


def test_what_a_server_declares_is_what_should_be_there(managed):
    shown = managed("topology", "show", "--json")
    blind = managed("topology", "show", "--group", "workers", RESONATE_MANAGEMENT_URL="")

    assert (shown.code, blind.code) == (0, 0)
    assert states_of(shown) == {"there"}
    assert "resonate.task.workers" in {each["name"] for each in shown.document["objects"]}
    assert {line.split()[0] for line in blind.out.splitlines()} == {"STATE", "there", "unseen"}
    assert blind.err.startswith("Not compared: arguments and bindings: no management API")


def test_what_is_missing_is_declared(managed, id):
    apply = ("topology", "apply", "--group", id)
    foretold = managed(*apply, "--dry-run", "--json").document
    blind = managed(*apply, "--dry-run", "--json", RESONATE_MANAGEMENT_URL="").document

    declared = managed(*apply)
    again = managed(*apply)

    assert "queue resonate.task." + id in foretold["missing"]
    assert set(blind["missing"]) == {each for each in foretold["missing"] if "binding" not in each}
    assert declared.out.count("declared: ") == len(foretold["missing"]) == 4
    assert again.out == "everything is declared\n"
    assert states_of(managed("topology", "show", "--group", id, "--json")) == {"there"}


def test_what_is_declared_otherwise_is_told_and_left_alone(managed, managed_place, id):
    queue = f"resonate.task.{id}"
    with pika.BlockingConnection(pika.URLParameters(managed_place["RESONATE_URL"])) as connection:
        channel = connection.channel()
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": 20}
        channel.queue_declare(queue, durable=True, arguments=arguments)

        doctor = managed("topology", "doctor", "--json")
        applied = managed("topology", "apply", "--group", id)
        blind = managed("topology", "apply", "--group", id, RESONATE_MANAGEMENT_URL="")
        channel.queue_delete(queue)

    (finding,) = [each for each in doctor.document["findings"] if "otherwise" in each["sentence"]]
    assert doctor.code == applied.code == blind.code == 5
    assert finding["level"] == "error"
    assert f"queue {queue}" in finding["sentence"]
    assert "x-delivery-limit is 20, not 100" in finding["sentence"]
    assert "exists with other arguments (x-delivery-limit is 20, not 100)" in applied.err
    assert "PRECONDITION_FAILED" in blind.err


def test_a_broker_without_troubles_is_well(managed):
    doctor = managed("topology", "doctor", "--json")
    blind = managed("topology", "doctor", RESONATE_MANAGEMENT_URL="")
    elsewhere = managed("topology", "doctor", RESONATE_NAMESPACE="elsewhere")

    levels = [each["level"] for each in doctor.document["findings"]]
    assert (doctor.code, blind.code, elsewhere.code) == (0, 0, 5)
    assert set(levels) <= {"ok", "warning"}
    assert levels.count("ok") == 3
    assert "unseen   broker: version, alarms, policies" in blind.out
    assert "no server has ever run in namespace 'elsewhere'" in elsewhere.out


def test_a_policy_that_reaches_our_queues_is_a_trap(managed, managed_rabbitmq):
    policy = '{"message-ttl": 60000}'
    managed_rabbitmq.control("set_policy", "short", "^resonate", policy, "--apply-to", "queues")

    def is_found():
        findings = managed("topology", "doctor", "--json").document["findings"]
        words = "policy short sets message-ttl = 60000 on resonate.submit.p00: it lets messages"
        return any(words in each["sentence"] for each in findings)

    is_seen = wait_until(is_found, seconds=60)
    managed_rabbitmq.control("clear_policy", "short")

    assert is_seen


def test_exported_definitions_can_be_imported_and_are_what_a_server_declares(
    managed, managed_rabbitmq, tmp_path
):
    file = tmp_path / "definitions.json"
    arguments = ("topology", "export", "--group", "billing", "--output", str(file))
    exported = managed(*arguments, RESONATE_NAMESPACE="imported")

    managed_rabbitmq.control("import_definitions", str(file))
    shown = managed("topology", "show", "--json", RESONATE_NAMESPACE="imported")
    applied = managed("topology", "apply", "--group", "billing", RESONATE_NAMESPACE="imported")

    assert exported.out == f"Wrote definitions to {file}\n"
    assert states_of(shown) == {"there"}
    assert len(shown.document["objects"]) == len(json.loads(file.read_text())["bindings"]) + 9
    assert (applied.code, applied.out) == (0, "everything is declared\n")


def test_users_with_the_exported_permissions_can_do_their_work_and_nothing_else(
    managed, managed_rabbitmq, managed_place
):
    place = {**managed_place, "RESONATE_NAMESPACE": "guarded"}
    arguments = ("topology", "export", "--format", "permissions", "--group", "guarded-workers")
    lines = managed(*arguments, RESONATE_NAMESPACE="guarded").out.splitlines()
    users = {}
    for line in lines:
        _, command, *rest = shlex.split(line)
        user = rest[2]
        managed_rabbitmq.control("add_user", user, SECRET)
        managed_rabbitmq.control(command, *rest)
        host = managed_rabbitmq.url.rpartition("@")[2]
        users[user] = {**place, "RESONATE_URL": f"amqp://{user}:{SECRET}@{host}"}

    assert managed("migrate", RESONATE_NAMESPACE="guarded").code == 0

    with (
        serving(users["resonate-server"]),
        working("guarded-workers", users["resonate-worker-guarded-workers"]),
    ):
        client = users["resonate-client"]
        call = ("-f", "greet", "--arg", "Ada", "--target", "guarded-workers", "--wait", "60")
        called = managed("invoke", "guarded-1", *call, **client)
        refused = managed("topology", "apply", **client)
        stranger = managed("dlq", "list", **users["resonate-worker-guarded-workers"])
        operator = managed("dlq", "list", **users["resonate-operator"])

    assert set(users) == {
        "resonate-server",
        "resonate-worker-guarded-workers",
        "resonate-client",
        "resonate-operator",
        "resonate-publisher",
        "resonate-subscriber",
    }
    assert called.code == 0
    assert '  value     "Hello Ada"' in called.out
    assert refused.code == 1
    assert "ACCESS_REFUSED" in refused.err
    assert stranger.code == 3
    assert (operator.code, operator.out) == (0, "no dead letters\n")
    assert SECRET not in "".join(each.out + each.err for each in (called, refused, stranger))
