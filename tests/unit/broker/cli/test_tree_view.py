import pytest

from resonate_broker.cli.tree_view import DEPTH_MAX, build_tree, tree_document, tree_lines
from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import TaskDetails, Trouble
from tests.unit.broker.cli.builders import (
    BORN,
    make_call,
    make_local,
    make_record,
    make_sleep,
    make_task,
    stored,
)

NOW = BORN + 10_000


def lines_of(root, *records, tasks=(), symbols=True):
    tree = build_tree(root, records, {task.id: task for task in tasks})
    return [line.plain for line in tree_lines(tree, NOW, symbols=symbols)]


def family():
    """A call with one child of each kind, and a grandchild."""
    return (
        make_call("a", "order"),
        make_local("a.1", "charge", "resolved", parent="a", took_ms=120),
        make_sleep("a.2", "resolved", parent="a", took_ms=5_000),
        make_call("a.3", "ship", "rejected", parent="a", value=stored("no van")),
        make_local("a.4", "check", parent="a"),
        make_call("a.4.1", "ask", parent="a.4"),
        make_record("a.5", tags={tag.PARENT: "a", tag.FINGERPRINT: "latent"}),
    )


def test_a_tree_is_drawn_with_symbols():
    root, *records = family()
    tasks = [make_task("a", "suspended"), make_task("a.4.1", "acquired", pid="p7", version=1)]

    assert lines_of(root, *records, tasks=tasks) == [
        "🟡 a (rpc order) 10s, waits for a.4, a.5",
        "├── 🟢 a.1 (run charge) 120ms",
        "├── 🟢 a.2 (sleep) 5s",
        '├── 🔴 a.3 (rpc ship) 1.2s, "no van"',
        "├── 🟡 a.4 (run check) 10s, waits for a.4.1",
        "│   └── 🟡 a.4.1 (rpc ask) 10s, running in p7",
        "└── 🟡 a.5 (promise) 10s, waits to be settled",
    ]


def test_without_symbols_it_is_drawn_in_ascii():
    root, *records = family()

    lines = lines_of(root, *records, symbols=False)

    assert "".join(lines).isascii()
    assert lines[1] == "|-- [resolved] a.1 (run charge) 120ms"
    assert lines[5] == "|   `-- [pending] a.4.1 (rpc ask) 10s, running"
    assert lines[6] == "`-- [pending] a.5 (promise) 10s, waits to be settled"


@pytest.mark.parametrize("about", ["a", "a.4", "a.unseen", "a.1"])
def test_what_fails_says_why_where_it_fails(about):
    root, *records = family()
    told = Trouble(id=about, reason="no money", pid="p7", attempts=3, at_ms=NOW)
    details = TaskDetails(group="workers", trouble=told)
    tasks = [make_task("a", "acquired", pid="p7", version=1, details=details)]

    lines = [line for line in lines_of(root, *records, tasks=tasks) if "no money" in line]
    document = tree_document(build_tree(root, records, {"a": tasks[0]}), NOW)

    shown = {"a": "a", "a.4": "a.4", "a.unseen": "a", "a.1": None}[about]  # a.1 has ended
    assert [line.split(" (")[0].split()[-1] for line in lines] == ([shown] if shown else [])
    assert all(line.endswith("; failed 3 times: no money") for line in lines)
    found = {node["id"]: node["trouble"] for node in (document, *document["children"])}
    assert [id for id, trouble in found.items() if trouble] == ([shown] if shown else [])


def test_a_promise_alone_is_a_tree():
    assert lines_of(make_record(state="resolved")) == ["🟢 a (promise) 1.2s"]


def test_children_come_as_they_were_made_and_then_by_number():
    children = [
        make_sleep(id, "resolved", parent="a", took_ms=1, born_at_ms=BORN + late_ms)
        for id, late_ms in (("a.10", 0), ("a.9", 0), ("a.1", 5), ("a.b", 0))
    ]

    lines = lines_of(make_call("a", "f", "resolved"), *children)

    assert [line.split()[2] for line in lines[1:]] == ["a.9", "a.10", "a.b", "a.1"]


def test_the_tree_of_a_promise_further_down_has_only_what_is_below_it():
    *records, _ = family()

    assert lines_of(records[4], *records) == [
        "🟡 a.4 (run check) 10s, waits for a.4.1",
        "└── 🟡 a.4.1 (rpc ask) 10s, running",
    ]


@pytest.mark.parametrize(
    ("task", "tags", "text"),
    [
        (make_task("a"), {}, "waits for a worker of group workers"),
        (make_task("a"), {tag.DELAY: str(NOW + 2_000)}, "starts in 2s"),
        (make_task("a"), {tag.DELAY: str(NOW - 1)}, "waits for a worker of group workers"),
        (
            make_task("a", version=1),
            {tag.DELAY: str(NOW + 1)},
            "waits for a worker of group workers",
        ),
        (make_task("a"), {tag.TARGET: "what?"}, "waits for a worker of what?"),
        (
            make_task("a"),
            {tag.TARGET: "celery://shop"},
            "waits for the reply of celery://shop",
        ),
        (make_task("a", "acquired", pid="p7"), {}, "running in p7"),
        (make_task("a", "halted"), {}, "halted"),
        (make_task("a", "suspended"), {}, "waits for a promise outside of this tree"),
        (None, {}, "running"),
    ],
)
def test_a_pending_call_says_what_it_waits_for(task, tags, text):
    lines = lines_of(make_call("a", "f", tags=tags), tasks=[task] if task else ())

    assert lines == [f"🟡 a (rpc f) 10s, {text}"]


def test_a_sleep_says_when_it_wakes():
    sleep = make_sleep("a", parent="a", timeout_at_ms=NOW + 90_000)

    assert lines_of(sleep) == ["🟡 a (sleep) 10s, wakes in 1m30s"]


def test_of_many_awaited_promises_the_first_are_named():
    children = [make_sleep(f"a.{n}", parent="a") for n in range(1, 8)]

    lines = lines_of(make_call("a", "f"), *children, tasks=[make_task("a", "suspended")])

    assert lines[0] == "🟡 a (rpc f) 10s, waits for a.1, a.2, a.3 and 4 more"


@pytest.mark.parametrize(
    ("state", "text"),
    [("rejected_canceled", ", canceled"), ("rejected_timedout", ", timed out"), ("resolved", "")],
)
def test_an_end_without_a_value_is_named(state, text):
    assert lines_of(make_call("a", "f", state)) == [
        f"{'🟢' if state == 'resolved' else '🔴'} a (rpc f) 1.2s{text}"
    ]


def test_promises_that_claim_to_be_each_others_parents_are_drawn_once():
    root = make_call("a", "f", parent="a.1")
    records = [
        make_sleep("a.1", parent="a"),
        make_sleep("b", parent="c"),
        make_sleep("c", parent="b"),
    ]

    assert [line.split()[0] for line in lines_of(root, *records)] == ["🟡", "└──"]


def test_a_tree_that_is_too_deep_says_where_it_goes_on():
    ids = [f"a{'.1' * depth}" for depth in range(DEPTH_MAX + 5)]
    root, *records = [make_call(id, "f", parent=id.removesuffix(".1")) for id in ids]

    lines = lines_of(root, *records)

    assert len(lines) == DEPTH_MAX + 2
    assert lines[-1].strip() == f"└── 1 more: resonate tree {ids[DEPTH_MAX]}"


def test_ids_and_names_cannot_control_the_terminal():
    lines = lines_of(make_call("a\x1b[31m", "f\x1b[0m"))

    assert lines == ["🟡 a\\x1b[31m (rpc f\\x1b[0m) 10s, running"]


def test_a_document_nests_the_children():
    root, *records = family()
    tasks = {"a.4.1": make_task("a.4.1", "acquired", pid="p7", version=3, lease_ms=9)}

    document = tree_document(build_tree(root, records, tasks), NOW)

    assert document["waits_for"] == ("a.4", "a.5")
    assert [child["id"] for child in document["children"]] == ["a.1", "a.2", "a.3", "a.4", "a.5"]
    assert document["children"][2]["error"] == '"no van"'
    (grandchild,) = document["children"][3]["children"]
    assert grandchild == {
        "id": "a.4.1",
        "state": "pending",
        "kind": "rpc",
        "function": "ask",
        "target": "amqp://any@workers",
        "created_at_ms": BORN,
        "settled_at_ms": None,
        "timeout_at_ms": BORN + 86_400_000,
        "duration_ms": 10_000,
        "error": None,
        "waits_for": (),
        "task": {"state": "acquired", "version": 3, "pid": "p7"},
        "trouble": None,
        "children": [],
    }


def test_a_document_that_is_too_deep_is_cut():
    ids = [f"a{'.1' * depth}" for depth in range(DEPTH_MAX + 5)]
    root, *records = [make_call(id, "f", parent=id.removesuffix(".1")) for id in ids]

    document = tree_document(build_tree(root, records, {}), NOW)

    depth = 0
    while document["children"]:
        (document,) = document["children"]
        depth += 1
    assert depth == DEPTH_MAX
    assert document["waits_for"] == (ids[DEPTH_MAX + 1],)
