"""Random programs of durable calls, and what plain recursion makes of them."""

import random
from collections.abc import Generator
from typing import Any, Literal

from msgspec import Struct

from resonate_sdk import Context, NonRetryable, Promise

DEPTH_MAX = 3
STEPS_MAX = 4
RETRY_S = 0.5
FLAKINESS = (0.0,) * 6 + (0.25, 0.5, 0.75, 0.99)

Kind = Literal["run", "begin_run", "rpc", "begin_rpc", "detached"]
KINDS: tuple[Kind, ...] = ("run", "begin_run", "rpc", "begin_rpc", "detached")


class Program(Struct, frozen=True, kw_only=True):
    """What a function does: its calls, then a value or a failure.

    Attributes:
        func: which function performs it.
        flakiness: how probable it is that an attempt at a leaf fails; it is tried again.
        shared: how many others wait for one promise of this function.
    """

    func: Literal["leaf", "yielding", "awaiting"]
    value: int
    is_failing: bool = False
    flakiness: float = 0.0
    shared: int = 0
    steps: tuple["Step", ...] = ()


class Step(Struct, frozen=True, kw_only=True):
    """One call.

    Attributes:
        is_awaited: whether what it begins is waited for, after all other calls.
        is_named: whether its promise has an id that the function chooses, which is called twice.
    """

    kind: Kind
    program: Program
    is_awaited: bool = False
    is_named: bool = False


class ProgramError(NonRetryable):
    """The failure of a program."""


class FlakyError(Exception):
    """The failure of one attempt."""


def random_program(source: random.Random, depth: int = 0) -> Program:
    """Draw a program."""
    is_leaf = depth == DEPTH_MAX or (depth > 0 and source.random() < 0.4)
    value, is_failing = source.randrange(10), source.random() < 0.2
    if is_leaf:
        flakiness = source.choice(FLAKINESS)
        return Program(func="leaf", value=value, is_failing=is_failing, flakiness=flakiness)
    steps = tuple(random_step(source, depth) for _ in range(source.randint(1, STEPS_MAX)))
    return Program(
        func=source.choice(("yielding", "awaiting")),
        value=value,
        is_failing=is_failing,
        shared=source.choice((0, 0, 0, 2)),
        steps=steps,
    )


def random_step(source: random.Random, depth: int) -> Step:
    """Draw a call."""
    kind = source.choice(KINDS)
    return Step(
        kind=kind,
        program=random_program(source, depth + 1),
        is_awaited=kind.startswith("begin") and source.random() < 0.6,
        is_named=kind == "rpc" and source.random() < 0.3,
    )


def plainly(program: Program) -> int:
    """The oracle.

    Raises:
        ProgramError: the program fails.
    """
    total = program.value
    for step in program.steps:
        for _ in range(2 if step.is_named else 1):
            if step.kind in ("run", "rpc"):
                total = 3 * total + value_of(step.program)
    total += program.shared * (program.value + 1)
    for step in program.steps:
        if step.is_awaited:
            total = 3 * total + value_of(step.program)
    if program.is_failing:
        raise ProgramError(str(total))
    return total


def value_of(program: Program) -> int:
    """What a caller makes of a program, whether it fails or not."""
    try:
        return plainly(program)
    except ProgramError as error:
        return -int(str(error))


# The same, durably


def leaf(ctx: Context, program: Program) -> int:
    """Try until it works."""
    if ctx.get_dependency(random.Random).random() < program.flakiness:
        raise FlakyError("once more")
    return plainly(program)


def waiter(ctx: Context, promise: Promise[int]) -> Generator[Any, Any, int]:
    """Wait for what somebody else has begun."""
    return (yield promise) + 1


def yielding(ctx: Context, program: Program) -> Generator[Any, Any, int]:
    """Perform a program as a generator."""
    total, late = program.value, []
    for number, step in enumerate(program.steps):
        made: Any = yield from caught(call(ctx, number, step))
        if step.kind in ("run", "rpc"):
            total = 3 * total + made
        if step.is_named:
            total = 3 * total + (yield from caught(call(ctx, number, step)))
        if step.is_awaited:
            late.append(made)
    if program.shared:
        promise = yield ctx.begin_rpc(leaf, Program(func="leaf", value=program.value))
        for number in range(program.shared):
            total += yield (ctx.rpc if number % 2 else ctx.run)(waiter, promise)
    for promise in late:
        total = 3 * total + (yield from caught(promise))
    if program.is_failing:
        raise ProgramError(str(total))
    return total


async def awaiting(ctx: Context, program: Program) -> int:
    """Perform a program as a coroutine."""
    total, late = program.value, []
    for number, step in enumerate(program.steps):
        made: Any = await caught_awaiting(call(ctx, number, step))
        if step.kind in ("run", "rpc"):
            total = 3 * total + made
        if step.is_named:
            total = 3 * total + (await caught_awaiting(call(ctx, number, step)))
        if step.is_awaited:
            late.append(made)
    if program.shared:
        promise = await ctx.begin_rpc(leaf, Program(func="leaf", value=program.value))
        for number in range(program.shared):
            total += await (ctx.rpc if number % 2 else ctx.run)(waiter, promise)
    for promise in late:
        total = 3 * total + await caught_awaiting(promise)
    if program.is_failing:
        raise ProgramError(str(total))
    return total


FUNCTIONS = (leaf, waiter, yielding, awaiting)


def call(ctx: Context, number: int, step: Step) -> Any:
    """The call of a step."""
    op: Any = getattr(ctx, step.kind)(step.program.func, step.program)
    if step.is_named:
        op = op.options(id=f"{ctx.id}-named-{number}")
    return op


def caught(op: Any) -> Generator[Any, Any, Any]:
    """What an operation gives, or minus what it fails with."""
    try:
        return (yield op)
    except ProgramError as error:
        return -int(str(error))


async def caught_awaiting(op: Any) -> Any:
    """The same for coroutines."""
    try:
        return await op
    except ProgramError as error:
        return -int(str(error))
