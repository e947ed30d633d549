"""What a function has done that its author hardly meant."""

import logging

from resonate_sdk.execution.bodies import Raised
from resonate_sdk.execution.children import settles_here
from resonate_sdk.execution.nodes import Activation
from resonate_sdk.functions.ops import Command
from resonate_sdk.protocol.records import PromiseRecord

logger = logging.getLogger(__name__)


def warn_of_unused(activation: Activation) -> None:
    """Tell of calls that were made and never yielded, or refused and never awaited."""
    assert activation.scope is not None, "a function that ended had a context"
    # Who raises has a reason not to go on, and is told of one mistake at a time.
    is_told = isinstance(activation.outcome, Raised)
    for unused in () if is_told else activation.scope.unused.values():
        logger.warning(
            "%s was never started: forgotten `yield`? promise_id=%s at=%s:%d",
            unused.what,
            activation.node.id,
            unused.file,
            unused.line,
        )
    activation.scope.unused.clear()
    for refused in activation.refused.values():
        if not refused.is_told:
            logger.warning(
                "%s could not be begun, and nobody has awaited it promise_id=%s at=%s:%d reason=%s",
                refused.command.what,
                activation.node.id,
                refused.command.file,
                refused.command.line,
                refused.raised.error,
            )


def warn_of_fewer_steps(activation: Activation) -> None:
    """Tell of an execution that has ended before it met all that is recorded of it."""
    if activation.scope is not None and activation.scope.is_replaying:
        logger.warning(
            "this code performs fewer steps than recorded: keep the old version registered "
            "for executions that began with it func=%s promise_id=%s steps=%d",
            activation.callee.name,
            activation.node.id,
            activation.scope.children,
        )


def warn_of_cut_frontier(id: str, named: int, awaited: int) -> None:
    """Tell of an execution that waits for more promises at a time than its task can."""
    logger.warning(
        "waits for more promises at a time than can wake it, and sees the others when one of those "
        "has settled: let functions that ctx.rpc calls wait for a part of them each "
        "promise_id=%s awaited=%d waking=%d",
        id,
        awaited,
        named,
    )


def warn_of_another_place(command: Command, record: PromiseRecord) -> None:
    """Tell of a call that goes on where it was begun, though the code says now to run it elsewhere."""
    if command.kind not in ("run", "rpc") or record.state != "pending":
        return
    begun_here = settles_here(record)
    if begun_here != (command.kind == "run"):
        logger.warning(
            "%s was begun as ctx.%s and goes on as that: register the new code under another "
            "version promise_id=%s at=%s:%d",
            command.what,
            "run" if begun_here else "rpc",
            record.id,
            command.file,
            command.line,
        )
