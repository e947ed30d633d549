"""The traps of RabbitMQ, each as a question: what was found, and what changes with RabbitMQ 4. Pure."""

from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

# What a finding may belong to.
Trap = Literal[
    "limits",
    "expiry",
    "transient",
    "mirrored",
    "prefetch",
    "alarms",
    "clients",
    "majority",
    "flags",
]


class Question(Struct, frozen=True, kw_only=True):
    """A trap.

    Attributes:
        text: as somebody would ask who has been caught in it.
        fine: the answer if nothing was found.
        later: what another version of RabbitMQ makes of it.
    """

    text: str
    fine: str
    later: str = ""


QUESTIONS: dict[Trap, Question] = {
    "limits": Question(
        text="Does a policy change how often a message may be delivered?",
        fine="no, each of our queues says it itself",
        later=(
            "RabbitMQ 3 has no limit of its own, 4 has 20 and drops what exceeds it; -1 means "
            "without a limit there and dead at the first return on 3.10"
        ),
    ),
    "expiry": Question(
        text="Can messages or queues expire, or be dropped, by a policy?",
        fine="no policy does that to our queues",
    ),
    "transient": Question(
        text="Is a queue neither durable nor exclusive?",
        fine="none of ours is",
        later="RabbitMQ 4.3 refuses such queues",
    ),
    "mirrored": Question(
        text="Is a classic queue mirrored by a policy?",
        fine="no, what must not be lost is in quorum queues",
        later="RabbitMQ 4 has no mirrored queues any more",
    ),
    "prefetch": Question(
        text="Do consumers share a prefetch (global QoS)?",
        fine="none does",
        later="quorum queues of 3 and 4.0 refuse it: the connection breaks",
    ),
    "alarms": Question(
        text="Does the broker hold up publishers for want of memory or disk?",
        fine="no node has an alarm",
    ),
    "clients": Question(
        text="Are there clients whose consumers stay away after the broker has cancelled them?",
        fine="none is connected",
        later="RabbitMQ 4.3 cancels consumers that acknowledge late",
    ),
    "majority": Question(
        text="Has each quorum queue a majority, and as many members as there are nodes?",
        fine="yes",
    ),
    "flags": Question(
        text="Are the feature flags on that quorum queues and streams need?",
        fine="yes",
        later="some must be on before RabbitMQ 4 starts at all",
    ),
}

# What cannot be seen from outside, and why it does no harm here.
BY_DESIGN: tuple[Question, ...] = (
    Question(
        text="Does the acknowledgement timeout of RabbitMQ end long executions?",
        fine="no: a hint is acknowledged when its task is acquired, or a second later",
        later="3.10 and 4.0 close the channel, 4.3 cancels the consumer and delivers again for ever",
    ),
    Question(
        text="Do priorities mean the same everywhere?",
        fine="they need not: the server orders what waits, the broker holds a window of it",
        later="quorum queues ignore them on 3, have two levels on 4.0 and 32 on 4.3",
    ),
    Question(
        text="May a large value be too large for the broker?",
        fine="no: messages stay below 4 MiB, values below 1 MiB",
        later="the default limit falls from 128 to 16 MiB in RabbitMQ 4",
    ),
    Question(
        text="Is a plugin needed that RabbitMQ 4.3 does not have (delayed messages)?",
        fine="no: delays, deadlines and schedules are rows in the database",
        later="plugins that need Mnesia end with 4.3, which has Khepri alone",
    ),
)


class Answer(Struct, frozen=True, kw_only=True):
    """A question, and what is the case here."""

    question: str
    answer: str
    is_fine: bool | None
    later: str


def answers(trouble: Iterable[tuple[str, str]], *, is_blind: bool) -> Iterator[Answer]:
    """Answer each question.

    Args:
        trouble: what was found to be wrong, each with the trap that it belongs to.
        is_blind: whether nobody could look.
    """
    found: dict[str, list[str]] = {}
    for trap, sentence in trouble:
        found.setdefault(trap, []).append(sentence)
    for trap, question in QUESTIONS.items():
        hits = found.get(trap, [])
        answer, is_fine = "; ".join(hits), False
        if not hits:
            answer = "not seen without the management API" if is_blind else question.fine
            is_fine = None if is_blind else True
        yield Answer(question=question.text, answer=answer, is_fine=is_fine, later=question.later)
    for question in BY_DESIGN:
        yield Answer(
            question=question.text, answer=question.fine, is_fine=True, later=question.later
        )
