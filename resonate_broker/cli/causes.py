"""Why a promise is not settled: facts in, sentences out. Pure.

What a promise waits for is followed down to what waits for nobody else: a task, a sleep, a promise
that somebody has to settle. Each of these has one cause.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from resonate_broker.cli.broker import Depth
from resonate_broker.cli.durations import format_duration
from resonate_broker.cli.promise_view import WORDS, failure_text
from resonate_broker.cli.task_view import times, trouble_document, trouble_text
from resonate_broker.cli.tree_view import Node, function_of, kind_of, trouble_of
from resonate_sdk.protocol import addresses, tags as tag
from resonate_sdk.protocol.addresses import Address, ExchangeAddress
from resonate_sdk.protocol.records import GroupRecord, TaskDetails, TaskRecord, Trouble

EXPLAINED_MAX = 3
DEPTH_MAX = 100
JUST_NOW_MS = 1_000

FAILING = ("runs", "in_queue", "sent", "no_room")  # in the eyes of who knows no trouble

Cause = Literal[
    "settled",
    "sleeps",
    "is_to_be_settled",
    "waits_elsewhere",
    "halted",
    "runs",
    "fails",
    "holder_not_connected",
    "lease_overdue",
    "starts_later",
    "put_off",
    "called",
    "unknown_group",
    "no_worker",
    "no_such_worker",
    "no_place",
    "no_room",
    "in_queue",
    "sent",
    "unknown",
]


class Surroundings(Struct, frozen=True, kw_only=True):
    """What is known beside the promises.

    Attributes:
        depths: of the groups' queues, by group; None for a queue that does not exist.
        called: the same of queues of services that are called, by queue.
        busy: tasks that are held, by group.
        connected: the processes that consume, by group; None if nobody can tell.
        limits: of the groups, and what is used up of them, by the promise that waits there.
        runner: the promise whose task runs the one that was asked about, if it is another one.
    """

    depths: Mapping[str, Depth | None] = {}
    called: Mapping[str, Depth | None] = {}
    busy: Mapping[str, int] = {}
    connected: Mapping[str, frozenset[str]] | None = None
    limits: Mapping[str, GroupRecord] = {}
    runner: Node | None = None


class Reason(Struct, frozen=True):
    """Why one promise is not settled."""

    id: str
    cause: Cause
    sentence: str
    trouble: Trouble | None = None


def explain(root: Node, around: Surroundings, now_ms: int) -> tuple[list[str], list[Reason]]:
    """Say why a promise is not settled: the sentences of a paragraph, and each cause by itself."""
    record = root.record
    if not root.is_pending:
        reason = _settled(root, now_ms)
        return [reason.sentence], [reason]
    age = format_duration(now_ms - record.created_at_ms)
    name = function_of(record)
    what = {"run": "step", "rpc": "call", "sleep": "sleep", "promise": "promise"}[kind_of(record)]
    sentences = [f"{record.id}, a {what}{f' of {name}' if name else ''}, is pending for {age}."]
    ends = blockers(root, around.runner)
    shown = ends[:EXPLAINED_MAX]
    if [end.record.id for end in ends] != [record.id]:
        more = len(ends) - len(shown)
        ids = ", ".join(end.record.id for end in shown)
        rest = f" and {more} more" if more else ""
        verb = "is run as a part of" if ends == [around.runner] else "waits, in the end, for"
        sentences.append(f"It {verb} {ids}{rest}.")
    reasons = [_reason(end, around, now_ms) for end in ends]
    sentences += [reason.sentence for reason in reasons[:EXPLAINED_MAX]]
    if kind_of(record) != "sleep":
        sentences.append(
            f"{record.id} times out in {format_duration(record.timeout_at_ms - now_ms)}."
        )
    return sentences, reasons


def blockers(node: Node, runner: Node | None = None) -> list[Node]:
    """The pending promises at the ends: those that wait for no promise of the tree.

    Args:
        node: where to begin.
        runner: whose task runs it, if it is a step and that is known.
    """
    if runner is not None and runner.is_pending and not _is_suspended(runner):
        return [runner]
    found: list[Node] = []
    waiting = [(node, 0)]
    while waiting:
        each, depth = waiting.pop()
        below = [child for child in each.children if child.is_pending]
        if depth < DEPTH_MAX and below and (each.task is None or _is_suspended(each)):
            waiting.extend((child, depth + 1) for child in reversed(below))
        else:
            found.append(each)
    return found


def _is_suspended(node: Node) -> bool:
    return node.task is not None and node.task.state == "suspended"


def _reason(node: Node, around: Surroundings, now_ms: int) -> Reason:
    cause, sentence = _cause(node, around, now_ms)
    trouble = trouble_of(node)
    if trouble is None:
        return Reason(node.record.id, cause, sentence)
    if cause == "runs" and trouble.id == node.record.id:
        assert node.task is not None, "somebody runs it"
        sentence = f"{node.task.pid} holds the task of {trouble.id}, and gives it back."
    told = trouble_text(trouble, now_ms)
    return Reason(
        node.record.id,
        "fails" if cause in FAILING else cause,
        f"{sentence} {told.removesuffix('.')}.",
        trouble,
    )


def _cause(node: Node, around: Surroundings, now_ms: int) -> tuple[Cause, str]:
    record, task, id = node.record, node.task, node.record.id
    kind = kind_of(record)
    if kind == "sleep":
        return "sleeps", f"{id} sleeps for another {_until(record.timeout_at_ms, now_ms)}."
    if task is not None:
        return _task_cause(node, task, around, now_ms)
    if kind == "promise":
        return "is_to_be_settled", (
            f"{id} waits for somebody to settle it: resonate promises resolve {id}."
        )
    if kind == "run":
        return "unknown", (
            f"{id} is a step that goes on when its caller does: it is being tried again, or its "
            "caller was interrupted."
        )
    return "unknown", f"What {id} waits for is not known: its task could not be read."


def _task_cause(
    node: Node, task: TaskRecord, around: Surroundings, now_ms: int
) -> tuple[Cause, str]:
    id = node.record.id
    match task.state:
        case "halted":
            return "halted", (
                f"The task of {id} is halted: nobody runs it before resonate tasks continue {id}."
            )
        case "suspended":
            return "waits_elsewhere", (
                f"The task of {id} is suspended, and nothing in its tree is pending: it waits for "
                "a promise of another tree, or is about to be woken."
            )
        case "acquired":
            return _holder_cause(id, task, around, now_ms)
        case "pending":
            return _dispatch_cause(node, task, around, now_ms)
        case "fulfilled":
            return "unknown", f"{id} was settled while we looked."


def _holder_cause(
    id: str, task: TaskRecord, around: Surroundings, now_ms: int
) -> tuple[Cause, str]:
    details, pid = task.details, task.pid or "somebody"
    ends_at_ms = None if details is None else details.expires_at_ms
    if ends_at_ms is not None and ends_at_ms <= now_ms:
        ago = format_duration(now_ms - ends_at_ms)
        return "lease_overdue", (
            f"{pid} holds the task of {id}, but its lease ran out {ago} ago without a heartbeat: "
            "once the server has listened long enough, the task goes to another worker."
        )
    lease = "" if ends_at_ms is None else f" in {_until(ends_at_ms, now_ms)}"
    group = "" if details is None else details.group
    if around.connected is not None and pid not in around.connected.get(group, ()):
        return "holder_not_connected", (
            f"{pid} holds the task of {id}, but is not connected to RabbitMQ: unless it comes "
            f"back, its lease runs out{lease}, and the task goes to another worker."
        )
    return (
        "runs",
        f"{pid} is running {id}; it keeps the task with heartbeats, else loses it{lease}.",
    )


def _dispatch_cause(
    node: Node, task: TaskRecord, around: Surroundings, now_ms: int
) -> tuple[Cause, str]:
    id, details = node.record.id, task.details
    start = node.record.tags.get(tag.DELAY, "")
    if start.isdecimal() and int(start) > now_ms and task.version == 0:
        return "starts_later", f"{id} is to start in {_until(int(start), now_ms)}."
    if details is None:
        return "unknown", f"The task of {id} waits for a worker."
    retry_at_ms = details.retry_at_ms or 0
    if details.lease_losses and details.hint_at_ms is None and retry_at_ms > now_ms:
        return "put_off", (
            f"The holders of {id} lost it {times(details.lease_losses)} in a row: is it what kills "
            f"them? It is given to the next one in {_until(retry_at_ms, now_ms)}."
        )
    target = _target_of(node)
    match target:
        case None:
            return "unknown", f"The target of {id} cannot be read."
        case ExchangeAddress():
            text = _call_text(id, target, details, now_ms)
            queue = queue_called(node)
            if queue is not None and queue in around.called:
                text += f" {_called_queue_text(around.called[queue])}"
            return "called", text
        case Address():
            return _group_cause(node, target, details, around, now_ms)


def _group_cause(
    node: Node, target: Address, details: TaskDetails, around: Surroundings, now_ms: int
) -> tuple[Cause, str]:
    id, group = node.record.id, target.group
    connected = None if around.connected is None else around.connected.get(group, frozenset())
    if target.cast == "uni" and connected is not None and target.pid not in connected:
        return "no_such_worker", (
            f"Only process {target.pid} of group {group} may run {id}, and it is not connected."
        )
    depth = around.depths.get(group)
    if depth is None:
        return "unknown_group", (
            f"No worker runs {id}: group {group} has no queue, so none of its workers was ever here."
        )
    if depth.consumers == 0 and not connected:
        return "no_worker", f"No worker runs {id}: group {group} has none now. Start one."
    workers = _count(max(depth.consumers, len(connected or ())), "worker")
    busy = f"{workers} of group {group}, which {_holds(around.busy.get(group, 0))}"
    if details.hint_at_ms is None:
        turn = _priority_text(node)
        limited = _limits_text(node, around.limits.get(id), now_ms)
        if limited:
            return "no_place", f"{id} waits for a place: group {group} {limited}.{turn}"
        return "no_room", (
            f"{id} waits for its turn behind the tasks that went to the {busy}.{turn}"
        )
    sent = f"{times(details.hints)}, last {format_duration(now_ms - details.hint_at_ms)} ago"
    if depth.ready > 0:
        return "in_queue", (
            f"{id} was offered ({sent}) to the {busy}; {_count(depth.ready, 'offer')} "
            f"{'waits' if depth.ready == 1 else 'wait'} in their queue."
        )
    again = ""
    if details.retry_at_ms is not None and details.retry_at_ms > now_ms:
        again = f" in {_until(details.retry_at_ms, now_ms)}"
    return "sent", (
        f"{id} was offered ({sent}) to the {busy}; their queue is empty, so one of them has it in "
        f"hand, or it was lost and is offered again{again}."
    )


def _limits_text(node: Node, limited: GroupRecord | None, now_ms: int) -> str:
    """What of the limits of its group keeps a task back; empty if it is not that."""
    if limited is None or limited.running is None:
        return ""
    parts: list[str] = []
    key = node.record.tags.get(tag.KEY, "")
    if limited.concurrency == 0:
        return f"is stopped, its limit is 0: `resonate groups set {limited.name}` lets it go on"
    if limited.concurrency is not None and limited.running >= limited.concurrency:
        parts.append(f"has {limited.running} of {limited.concurrency} running")
    key_max, key_running = limited.key_concurrency, limited.key_running
    if key_max is not None and key_running is not None and key_running >= key_max:
        parts.append(f"has {key_running} of {key_max} with the key {key} running")
    if node.task is not None and node.task.version == 0:
        for at_ms, of in (
            (limited.next_start_at_ms, ""),
            (limited.key_next_start_at_ms, f" with the key {key}"),
        ):
            if at_ms is not None and at_ms > now_ms:
                parts.append(f"starts the next one{of} in {_until(at_ms, now_ms)}, by its rate")
    return " and ".join(parts)


def _priority_text(node: Node) -> str:
    priority = node.record.tags.get(tag.PRIORITY)
    return "" if priority is None else f" Its priority is {priority}: higher ones go first."


def _call_text(id: str, target: ExchangeAddress, details: TaskDetails, now_ms: int) -> str:
    place = (
        f"exchange {target.exchange} with routing key {target.routing_key}"
        if target.exchange
        else f"queue {target.routing_key}"
    )
    if details.hint_at_ms is None:
        return f"The message of {id} has not been published to {place} yet."
    ago = format_duration(now_ms - details.hint_at_ms)
    return (
        f"The message of {id} was published {ago} ago to {place}, and no reply has come; if the "
        "broker did not confirm it, it is published again."
    )


def queue_called(node: Node) -> str | None:
    """The queue in which a call waits for a service; None if it is no call, or of an exchange."""
    target = _target_of(node)
    if not isinstance(target, ExchangeAddress) or target.exchange:
        return None
    return target.routing_key


def _called_queue_text(depth: Depth | None) -> str:
    if depth is None:
        return "There is no such queue: whoever carries out the call declares it."
    messages = f"{depth.ready} message{'' if depth.ready == 1 else 's'} waiting"
    consumers = f"{depth.consumers or 'no'} consumer{'' if depth.consumers == 1 else 's'}"
    return f"That queue has {messages} and {consumers}."


def _settled(root: Node, now_ms: int) -> Reason:
    record = root.record
    ago = format_duration(now_ms - (record.settled_at_ms or now_ms))
    reason = failure_text(record) if record.state == "rejected" else None
    sentence = f"{record.id} is settled: {WORDS[record.state]} {ago} ago" + (
        f", with {reason}." if reason else "."
    )
    return Reason(record.id, "settled", sentence)


def _target_of(node: Node) -> Address | ExchangeAddress | None:
    try:
        return addresses.parse_target(node.record.tags.get(tag.TARGET, ""))
    except addresses.AddressError:
        return None


def _until(at_ms: int, now_ms: int) -> str:
    return format_duration(at_ms - now_ms)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _holds(number: int) -> str:
    return f"hold {_count(number, 'task')}" if number else "hold no task"


def reason_document(reason: Reason) -> dict[str, Any]:
    """A reason for programs."""
    return {
        "id": reason.id,
        "cause": reason.cause,
        "sentence": reason.sentence,
        "trouble": trouble_document(reason.trouble),
    }
