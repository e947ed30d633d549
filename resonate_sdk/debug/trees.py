"""What an execution has done, as text: each promise below the one that asked for it."""

from collections.abc import Callable, Iterator
from math import inf

from resonate_sdk.debug.histories import History
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import PromiseRecord


def tree(found: History, *, more: Callable[[PromiseRecord], str] | None = None) -> str:
    """Show an execution: ids, what each is, how it ended, and how long that took.

    Args:
        found: its promises.
        more: what else there is to say of a promise that is pending.
    """
    children: dict[str, list[PromiseRecord]] = {}
    for record in found.promises:
        children.setdefault(record.tags.get(tags.PARENT, ""), []).append(record)
    for others in children.values():
        others.sort(key=_order)
    lines = _lines(found.root, children, 0)
    return "\n".join(
        f"{'  ' * depth}{record.id} {_what(record)} {_ending(record)}"
        + (more(record) if more is not None and record.settled_at_ms is None else "")
        for depth, record in lines
    )


def _lines(
    record: PromiseRecord, children: dict[str, list[PromiseRecord]], depth: int
) -> Iterator[tuple[int, PromiseRecord]]:
    yield depth, record
    for child in children.pop(record.id, ()):  # taken out, so that no circle is walked twice
        yield from _lines(child, children, depth + 1)


def _what(record: PromiseRecord) -> str:
    if tags.FUNCTION in record.tags:
        return record.tags[tags.FUNCTION]
    if tags.TIMER in record.tags:
        return "sleep"
    kind, _, name = record.tags.get(tags.FINGERPRINT, "").partition(":")
    return name or {"latent": "promise", "": "promise"}.get(kind, kind)


def _ending(record: PromiseRecord) -> str:
    if record.settled_at_ms is None:
        return record.state
    return f"{record.state} after {(record.settled_at_ms - record.created_at_ms) / 1000:g} s"


def _order(record: PromiseRecord) -> tuple[int, float, str]:
    number = record.id.rpartition(".")[2]
    return (record.created_at_ms, int(number) if number.isdecimal() else inf, record.id)
