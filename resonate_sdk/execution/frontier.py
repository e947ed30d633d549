"""What a pass waits for when nothing can go on here."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from resonate_sdk.execution.effects import Suspended
from resonate_sdk.execution.nodes import Activation, Node, Wait
from resonate_sdk.execution.warnings import warn_of_cut_frontier
from resonate_sdk.protocol import limits

CALLBACK_BYTES = 100  # what a request says about each promise, without the ids


def frontier(activations: Sequence[Activation], nodes: Iterable[Node] = ()) -> Suspended | None:
    """The promises that others settle and that functions wait for; None if there are none.

    Args:
        activations: the functions of the pass, its root first.
        nodes: its promises.
    """
    awaited = dict.fromkeys(
        node.id
        for activation in activations
        for wait in activation.waits.values()
        for node in _wakes(wait)
    )
    if not awaited:
        return None
    is_more_begun = any(_is_elsewhere(node) and node.id not in awaited for node in nodes)
    root = activations[0].node.id
    within = tuple(_within_a_request(awaited, awaiter=root))
    if len(within) < len(awaited):  # the rest is awaited when one of these has settled
        warn_of_cut_frontier(root, len(within), len(awaited))
    return Suspended(within, is_more_begun)


def _within_a_request(ids: Iterable[str], awaiter: str) -> Iterator[str]:
    """As many as one request may name, and has room for."""
    each = len(awaiter.encode()) + CALLBACK_BYTES
    room = limits.MESSAGE_BYTES_MAX - limits.ID_BYTES_MAX - each
    for id in islice(ids, limits.AWAITED_PER_SUSPEND_MAX):
        room -= len(id.encode()) + each
        if room < 0:
            return
        yield id


def stuck(activations: Sequence[Activation]) -> tuple[Wait, Node]:
    """A function that waits for something that waits for it, and what that is."""
    for activation in reversed(activations):
        if activation.outcome is not None:
            continue
        for wait in activation.waits.values():
            for node in wait.nodes:
                if not node.is_settled:
                    return wait, node
    raise AssertionError("a pass that is neither done nor waiting for anything is stuck")


def _wakes(wait: Wait) -> Iterable[Node]:
    pending = [node for node in wait.nodes if _is_elsewhere(node)]
    # Whoever needs them all sleeps until the last one: that saves the other wakes.
    return pending[-1:] if wait.wanted == "all" else pending


def _is_elsewhere(node: Node) -> bool:
    return node.activation is None and not node.is_settled
