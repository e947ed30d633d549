"""What goes wrong in one simulation, and how often."""

from random import Random

from msgspec import Struct


class Faults(Struct, frozen=True, kw_only=True):
    """Probabilities, each per occasion, and the longest delays.

    Attributes:
        begin_conflict: a transaction is refused its locks.
        write_lost: a write fails before it has an effect.
        commit_unknown: nobody can tell whether a write has had its effect; half of them have.
        read_failed: a read beside the batches fails.
        aio_full: the AIO has no room for an effect.
        request_lost: a message of requests never reaches a server.
        request_repeated: it reaches servers twice.
        answer_lost: an answer never arrives.
        hint_lost: a hint is gone after the broker has confirmed it.
        message_refused: the broker does not confirm a message.
        message_repeated: a message is delivered twice.
        server_crash: per second and server.
        server_freeze: per second and server: it stands still for up to 8 s.
        server_deaf: per second and server: heartbeats cannot be heard for a while.
        client_crash: per request that a client sends.
        clock_jump: per second: the clock of the store jumps ahead.
        clock_edge: per transaction on a row of which something ends soon: its instant is that of
            the end, or the millisecond beside it.
        delay_ms: the longest delay on the way to the store and back.
        travel_ms: the longest delay of a message: what is sent later may arrive sooner.
    """

    begin_conflict: float = 0
    write_lost: float = 0
    commit_unknown: float = 0
    read_failed: float = 0
    aio_full: float = 0
    request_lost: float = 0
    request_repeated: float = 0
    answer_lost: float = 0
    hint_lost: float = 0
    message_refused: float = 0
    message_repeated: float = 0
    server_crash: float = 0
    server_freeze: float = 0
    server_deaf: float = 0
    client_crash: float = 0
    clock_jump: float = 0
    clock_edge: float = 0
    delay_ms: int = 5
    travel_ms: int = 5


# How often each may happen at most: enough to matter, seldom enough that work goes on.
_MOST = Faults(
    begin_conflict=0.2,
    write_lost=0.1,
    commit_unknown=0.1,
    read_failed=0.2,
    aio_full=0.05,
    request_lost=0.1,
    request_repeated=0.1,
    answer_lost=0.2,
    hint_lost=0.3,
    message_refused=0.2,
    message_repeated=0.2,
    server_crash=0.1,
    server_freeze=0.05,
    server_deaf=0.1,
    client_crash=0.01,
    clock_jump=0.3,
    clock_edge=0.2,
    delay_ms=40,
    travel_ms=300,
)
NONE = Faults()


def draw(random: Random) -> Faults:
    """Half of the faults, chosen anew for each simulation, so that each also meets good weather."""
    chosen: dict[str, float | int] = {}
    for name in Faults.__struct_fields__:
        most = getattr(_MOST, name)
        is_on, part = random.random() < 0.5, random.random()
        if is_on:
            chosen[name] = most * part if isinstance(most, float) else 1 + int(most * part)
    return Faults(**chosen)  # pyright: ignore[reportArgumentType]  # each has the type of its default
