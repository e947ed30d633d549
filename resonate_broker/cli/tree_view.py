"""The tree of an execution: built from its promises, written for people and for programs."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field
from rich.text import Text

from resonate_broker.cli.durations import format_duration
from resonate_broker.cli.output import plain
from resonate_broker.cli.promise_view import COLOURS, SYMBOLS, WORDS, call_of, failure_text
from resonate_broker.cli.task_view import times, trouble_document
from resonate_sdk.protocol import addresses, tags as tag
from resonate_sdk.protocol.records import PromiseRecord, TaskRecord, Trouble

DEPTH_MAX = 100  # of what is shown; the tree of a promise further down shows what is below it
AWAITED_SHOWN_MAX = 3

Kind = Literal["run", "rpc", "sleep", "promise"]


class Lines(Struct, frozen=True):
    """What the branches are drawn with."""

    branch: str
    last: str
    beside: str
    below: str = "    "


SYMBOL_LINES = Lines("├── ", "└── ", "│   ")
ASCII_LINES = Lines("|-- ", "`-- ", "|   ")


class Node(Struct, kw_only=True):
    """A promise and those that it has made.

    Attributes:
        task: what is known of its task, if it has one.
    """

    record: PromiseRecord
    task: TaskRecord | None = None
    children: list["Node"] = field(default_factory=list["Node"])

    @property
    def is_pending(self) -> bool:
        """Whether its promise is not settled."""
        return self.record.state == "pending"


def build_tree(
    root: PromiseRecord, records: Iterable[PromiseRecord], tasks: Mapping[str, TaskRecord]
) -> Node:
    """Arrange promises below the one that they come from.

    Args:
        root: the promise at the top.
        records: promises of the same origin, with those below the root among them.
        tasks: what is known of tasks, by id.
    """
    nodes = {
        record.id: Node(record=record, task=tasks.get(record.id)) for record in (*records, root)
    }
    for node in sorted(nodes.values(), key=_order):
        id = node.record.id
        parent = node.record.tags.get(tag.PARENT, "")
        if id != root.id and parent in nodes and parent != id:
            nodes[parent].children.append(node)
    return nodes[root.id]


def _order(node: Node) -> tuple[int, list[int | str]]:
    """As they were made; those of one millisecond by their number: `a.2` before `a.10`."""
    parts = re.split(r"([0-9]+)", node.record.id)
    natural = [int(part) if number % 2 else part for number, part in enumerate(parts)]
    return node.record.created_at_ms, natural


def kind_of(record: PromiseRecord) -> Kind:
    """What made a promise."""
    if record.tags.get(tag.TIMER) == tag.TRUE:
        return "sleep"
    if tag.TARGET in record.tags:
        return "rpc"
    return "run" if record.tags.get(tag.SCOPE) == tag.SCOPE_LOCAL else "promise"


def function_of(record: PromiseRecord) -> str | None:
    """The function that a promise stands for, if that is known."""
    call = call_of(record)
    if call is not None and call.func:
        return call.func
    _, _, name = record.tags.get(tag.FINGERPRINT, "").partition(":")
    return name or None


def awaited_by(node: Node) -> tuple[str, ...]:
    """The pending promises that a pending one has made and may be waiting for."""
    if not node.is_pending:
        return ()
    return tuple(child.record.id for child in node.children if child.is_pending)


def trouble_of(node: Node) -> Trouble | None:
    """What the holder of a task has told last, unless that is over: the step has been settled."""
    details = None if node.task is None else node.task.details
    trouble = None if details is None else details.trouble
    if trouble is None or not node.is_pending:
        return None
    below = {each.record.id: each for each, _ in _walk(node)}
    about = below.get(trouble.id)
    return trouble if about is None or about.is_pending else None


def tree_document(root: Node, now_ms: int) -> dict[str, Any]:
    """A tree for programs."""
    documents: dict[int, dict[str, Any]] = {}
    nodes = [node for node, _ in _walk(root)]
    troubles = _troubles(nodes)
    for node in reversed(nodes):
        children = [documents[id(child)] for child in node.children if id(child) in documents]
        trouble = troubles.get(node.record.id)
        documents[id(node)] = _node_document(node, children, trouble, now_ms)
    return documents[id(root)]


def _troubles(nodes: Iterable[Node]) -> Mapping[str, Trouble]:
    """What fails, by the promise at which it is shown: its own, or that of the task."""
    nodes = list(nodes)
    ids = {node.record.id for node in nodes}
    found = [(node.record.id, trouble_of(node)) for node in nodes]
    return {t.id if t.id in ids else id: t for id, t in found if t is not None}


def _node_document(
    node: Node, children: list[dict[str, Any]], trouble: Trouble | None, now_ms: int
) -> dict[str, Any]:
    record = node.record
    return {
        "id": record.id,
        "state": record.state,
        "kind": kind_of(record),
        "function": function_of(record),
        "target": record.tags.get(tag.TARGET),
        "created_at_ms": record.created_at_ms,
        "settled_at_ms": record.settled_at_ms,
        "timeout_at_ms": record.timeout_at_ms,
        "duration_ms": _duration_ms(record, now_ms),
        "error": None if record.state in ("pending", "resolved") else failure_text(record),
        "waits_for": awaited_by(node),
        "task": None if node.task is None else _task_document(node.task),
        "trouble": trouble_document(trouble),
        "children": children,
    }


def _task_document(task: TaskRecord) -> dict[str, Any]:
    document = {"state": task.state, "version": task.version}
    return document if task.pid is None else {**document, "pid": task.pid}


def tree_lines(root: Node, now_ms: int, *, symbols: bool) -> Iterator[Text]:
    """A tree for people, one promise per line.

    Args:
        root: the promise at the top.
        now_ms: by the clock of this machine.
        symbols: whether the terminal shows more than ASCII.
    """
    lines = SYMBOL_LINES if symbols else ASCII_LINES
    troubles = _troubles(node for node, _ in _walk(root))
    for node, is_last in _walk(root):
        indent = "".join(lines.below if last else lines.beside for last in is_last[:-1])
        if is_last:
            indent += lines.last if is_last[-1] else lines.branch
        trouble = troubles.get(node.record.id)
        yield Text.assemble((indent, "dim"), _line(node, trouble, now_ms, symbols=symbols))
        if len(is_last) == DEPTH_MAX and node.children:
            indent = "".join(lines.below if last else lines.beside for last in is_last)
            deeper = plain(f"{len(node.children)} more: resonate tree {node.record.id}")
            yield Text(f"{indent}{lines.last}{deeper}", style="dim")


def _walk(root: Node) -> Iterator[tuple[Node, tuple[bool, ...]]]:
    """All nodes from the top, and for each of their ancestors whether it is the last child."""
    waiting: list[tuple[Node, tuple[bool, ...]]] = [(root, ())]
    while waiting:
        node, is_last = waiting.pop()
        yield node, is_last
        if len(is_last) < DEPTH_MAX:
            last = len(node.children) - 1
            below = [(child, (*is_last, i == last)) for i, child in enumerate(node.children)]
            waiting.extend(reversed(below))


def _line(node: Node, trouble: Trouble | None, now_ms: int, *, symbols: bool) -> Text:
    record = node.record
    colour = COLOURS[record.state]
    mark = SYMBOLS[colour] if symbols else f"[{WORDS[record.state]}]"
    name = function_of(record)
    label = f"({kind_of(record)} {name})" if name else f"({kind_of(record)})"
    duration = format_duration(_duration_ms(record, now_ms))
    line = Text.assemble((mark, colour), " ", (plain(record.id), "bold"), " ", plain(label), " ")
    if node.is_pending:
        line.append(plain(f"{duration}, {_waiting_text(node, now_ms)}"), style=colour)
        if trouble is not None:
            told = f"; failed {times(trouble.attempts)}: {trouble.reason}"
            line.append(plain(told), style="red")
        return line
    line.append(duration, style="dim")
    if record.state != "resolved":
        reason = failure_text(record) if record.state == "rejected" else None
        line.append(plain(f", {reason or WORDS[record.state]}"), style=colour)
    return line


def _waiting_text(node: Node, now_ms: int) -> str:
    """What a pending promise waits for."""
    record = node.record
    kind = kind_of(record)
    if kind == "sleep":
        return f"wakes in {format_duration(record.timeout_at_ms - now_ms)}"
    if node.task is not None and node.task.state != "suspended":
        return _task_text(record, node.task, now_ms)
    awaited = awaited_by(node)
    if awaited:
        return f"waits for {_listed(awaited)}"
    if node.task is not None:
        return "waits for a promise outside of this tree"
    return "waits to be settled" if kind == "promise" else "running"


def _task_text(record: PromiseRecord, task: TaskRecord, now_ms: int) -> str:
    if task.state == "acquired":
        return f"running in {task.pid}"
    if task.state != "pending":
        return task.state
    delay = record.tags.get(tag.DELAY, "")
    if delay.isdecimal() and int(delay) > now_ms and task.version == 0:
        return f"starts in {format_duration(int(delay) - now_ms)}"
    return f"waits for {_server_text(record.tags.get(tag.TARGET, ''))}"


def _server_text(address: str) -> str:
    try:
        target = addresses.parse_target(address)
    except addresses.AddressError:
        return f"a worker of {address}"
    if isinstance(target, addresses.ExchangeAddress):
        return f"the reply of {address}"
    return f"a worker of group {target.group}"


def _listed(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:AWAITED_SHOWN_MAX])
    more = len(ids) - AWAITED_SHOWN_MAX
    return f"{shown} and {more} more" if more > 0 else shown


def _duration_ms(record: PromiseRecord, now_ms: int) -> int:
    """From its creation to its settlement, or until now."""
    until_ms = now_ms if record.settled_at_ms is None else record.settled_at_ms
    return max(0, until_ms - record.created_at_ms)
