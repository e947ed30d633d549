"""`resonate tasks`, against a server and a worker."""

import os

import pytest

from tests.processes import wait_until


@pytest.fixture
def waiting(resonate, id):
    """The id of a call that nobody takes."""
    resonate("invoke", id, "-f", "greet", "--arg", "Ada", "--target", "nobody")
    return id


@pytest.fixture
def held(resonate, group, id, tmp_path):
    """The id of a call that a worker carries out until the end of the test."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    resonate("invoke", id, "-f", "read", "--arg", str(pipe), "--target", group)
    assert wait_until(lambda: state_of(resonate, id) == "acquired", seconds=30)
    yield id
    resonate("promises", "cancel", id)
    os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))


def state_of(resonate, id):
    return resonate("tasks", "get", id, "--json").document["state"]


def test_a_task_is_shown_with_what_it_runs(resonate, waiting):
    shown = resonate("tasks", "get", waiting)
    document = resonate("task", "get", waiting, "--json").document

    assert shown.code == 0
    assert shown.out.startswith(
        f'{waiting}  task pending\n  call      greet("Ada")\n  target    group nobody\n'
        "  version   0  (acquired never)\n"
    )
    assert (document["state"], document["function"], document["pid"]) == ("pending", "greet", None)
    assert document["target"] == "amqp://any@nobody"


def test_a_halted_task_is_found_and_continued(resonate, waiting):
    halted = resonate("tasks", "halt", waiting)
    again = resonate("tasks", "halt", waiting)
    found = resonate("tasks", "search", "--state", "halted")
    others = resonate("tasks", "search", "--state", "pending", "--json").document["tasks"]
    continued = resonate("tasks", "continue", waiting, "--json")

    assert (halted.code, again.code, found.code, continued.code) == (0, 0, 0, 0)
    assert halted.out.startswith(f'{waiting}  task halted\n  call      greet("Ada")\n')
    (head, *rows) = found.out.splitlines()
    assert head.split() == ["ID", "STATE", "VERSION", "TARGET", "FUNCTION", "AGE"]
    (row,) = [row.split() for row in rows if row.startswith(f"{waiting} ")]
    assert row[:5] == [waiting, "halted", "0", "nobody", "greet"]
    assert waiting not in {task["id"] for task in others}
    assert continued.document["state"] == "pending"


def test_a_search_goes_on_where_it_ended(resonate, waiting):
    first = resonate("tasks", "search", "--limit", "1", "--json").document
    ids = [task["id"] for task in first["tasks"]]
    while first["cursor"] is not None:
        arguments = ("tasks", "search", "--cursor", first["cursor"], "--json")
        first = resonate(*arguments).document
        ids += [task["id"] for task in first["tasks"]]

    assert waiting in ids
    assert len(set(ids)) == len(ids)


def test_a_task_is_taken_from_its_holder(resonate, held):
    before = resonate("tasks", "get", held, "--json").document

    released = resonate("tasks", "release", held, "--version", str(before["version"]))

    assert released.code == 0
    assert before["pid"] is not None
    assert before["lease_ms"] == 15_000
    assert before["details"]["expires_at_ms"] > before["created_at_ms"] + 15_000

    def is_acquired_anew():
        after = resonate("tasks", "get", held, "--json").document
        return after["state"] == "acquired" and after["version"] == before["version"] + 1

    assert wait_until(is_acquired_anew, seconds=30)


@pytest.mark.parametrize("version", ["0", "99"])
def test_a_task_at_another_version_is_left_to_its_holder(resonate, held, version):
    release = ("tasks", "release", held, "--version", version)
    before = resonate("tasks", "get", held, "--json").document

    foretold = resonate(*release, "--dry-run", "--json")
    refused = resonate(*release)

    after = resonate("tasks", "get", held, "--json").document
    assert foretold.code == refused.code == 5
    assert foretold.document["is_possible"] is False
    assert [after[name] for name in ("state", "pid", "version")] == [
        "acquired",
        before["pid"],
        before["version"],
    ]


def in_state(state, resonate, group, id):
    """The id of a call whose task is in this state, until somebody changes it."""
    if state == "suspended":
        resonate("invoke", id, "-f", "order", "--arg", "17", "--target", group)
        assert wait_until(lambda: resonate("promises", "get", f"{id}.4").code == 0, seconds=30)
        assert wait_until(lambda: state_of(resonate, id) == state, seconds=30)
    else:
        resonate("invoke", id, "-f", "greet", "--target", "nobody")
    if state == "halted":
        resonate("tasks", "halt", id)
    return id


@pytest.mark.parametrize(
    ("state", "possible"),
    [("pending", {"halt"}), ("suspended", {"halt"}), ("halted", {"halt", "continue"})],
)
def test_a_dry_run_foretells_what_happens_and_changes_nothing(resonate, group, id, state, possible):
    task = in_state(state, resonate, group, id)

    for verb in ("release", "continue", "halt"):
        foretold = resonate("tasks", verb, task, "--dry-run", "--json")
        assert foretold.document["state"] == state
        assert foretold.document["is_possible"] is (verb in possible)
        assert foretold.code == (0 if verb in possible else 5)

        done = resonate("tasks", verb, task)

        assert done.code == foretold.code
        if done.code == 0:
            state = state_of(resonate, task)
            possible = {"halt"} if state == "pending" else {"halt", "continue"}
    resonate("promises", "cancel", task)


def test_what_is_settled_has_nothing_to_halt(resonate, waiting):
    resonate("promises", "resolve", waiting, "--value", "1")

    foretold = resonate("tasks", "halt", waiting, "--dry-run")
    refused = resonate("tasks", "halt", waiting)

    assert foretold.code == refused.code == 5
    assert "(could not be halted)" in foretold.out
    assert refused.err == f"Error: task '{waiting}' is fulfilled\n"


@pytest.mark.parametrize("verb", ["get", "halt", "continue", "release"])
def test_a_task_that_is_not_there_is_not_found(resonate, id, verb):
    missing = resonate("tasks", verb, id, "--json")

    assert missing.code == 4
    assert missing.error == {"error": f"no task '{id}'", "exit_code": 4}
