"""What operators ask about a running system, with the management API of the broker and without."""

import os

import pytest

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
    assert [*row[1:3], *row[4:]] == ["workers", "1", "127.0.0.1", "running"]


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
    assert shown.err.startswith("Not seen: workers that hold no task")
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
