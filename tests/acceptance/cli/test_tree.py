"""`resonate tree`, against a server and a worker."""

import json
import re

import pytest

from tests.acceptance.cli.programs import running
from tests.processes import wait_until


def start_order(resonate, group, id):
    """Call a function that stops where somebody else has to settle a promise; give its id."""
    resonate("invoke", id, "-f", "order", "--arg", "17", "--target", group)
    assert wait_until(lambda: resonate("promises", "get", f"{id}.4").code == 0, seconds=30)
    return f"{id}.4"


def test_an_execution_is_shown_as_a_tree_until_its_end(resonate, group, id):
    awaited = start_order(resonate, group, id)

    pending = resonate("tree", id)
    in_ascii = resonate("tree", id, TERM="dumb")
    document = resonate("tree", id, "--json").document
    resonate("promises", "resolve", awaited, "--value", "true")
    result = resonate("invoke", id, "-f", "order", "--arg", "17", "--wait", "30", "--json")
    done = resonate("tree", id)

    patterns = [
        rf"🟡 {id} \(rpc order\) \S+, waits for {id}\.4",
        rf"├── 🟢 {id}\.1 \(run greet\) \d+ms",
        rf"├── 🟢 {id}\.2 \(sleep\) \d+ms",
        rf"├── 🟢 {id}\.3 \(rpc greet\) \S+",
        rf"└── 🟡 {id}\.4 \(promise\) \S+, waits to be settled",
    ]
    assert pending.code == 0
    for line, pattern in zip(pending.out.splitlines(), patterns, strict=True):
        assert re.fullmatch(pattern, line), line
    assert in_ascii.out.isascii()
    assert re.search(rf"^`-- \[pending\] {id}\.4 \(promise\)", in_ascii.out, re.MULTILINE)
    assert document["waits_for"] == [awaited]
    assert document["task"]["state"] == "suspended"
    assert document["is_whole"] is True
    assert [child["kind"] for child in document["children"]] == ["run", "sleep", "rpc", "promise"]
    assert result.document["value"] == [17, True]
    assert done.out.count("🟢") == 5


def test_a_promise_alone_is_a_tree(resonate, id):
    resonate("promises", "create", id, "-t", "1h")

    result = resonate("tree", id)

    assert re.fullmatch(rf"🟡 {id} \(promise\) \S+, waits to be settled\n", result.out)


def test_a_call_that_nobody_takes_says_whom_it_waits_for(resonate, id):
    resonate("invoke", id, "-f", "greet", "--target", "nobody")

    assert "waits for a worker of group nobody" in resonate("tree", id).out


def test_a_tree_that_is_not_there_is_not_found(resonate, id):
    result = resonate("tree", id, "--json")

    assert result.code == 4
    assert result.out == ""
    assert result.error == {"error": f"no promise '{id}'", "exit_code": 4}


@pytest.mark.parametrize("command", ["tree", "why"])
def test_an_execution_is_watched_until_it_is_settled(resonate, place, group, id, command):
    awaited = start_order(resonate, group, id)

    with running(command, id, "--watch", "--json", env=place) as watching:
        watching.wait_for('"state":"pending"')
        resonate("promises", "resolve", awaited, "--value", "true")
        code = watching.wait()

    last = json.loads(watching.out[-1])
    assert code == 0
    assert (last["id"], last["state"]) == (id, "resolved")
    assert watching.err == []
