"""Whether a server lives, and whether it can be given work."""

from collections.abc import Mapping
from time import perf_counter

from resonate_broker.observation.subject import Subject
from resonate_sdk.probes.port import OK

SILENCE_S_MAX = 5.0  # the kernel looks at what is due once a second


def problems(subject: Subject) -> Mapping[str, str]:
    """Name what stands between a server and its work, `ok` where nothing does.

    A server that is not ready loses nothing: it waits, and what it would take stays in the broker.
    """
    return {
        "kernel": _kernel(subject),
        "database": _database(subject),
        "broker": _broker(subject),
        "consumers": OK if subject.link.is_consuming else "the queues are not consumed",
    }


def is_alive(subject: Subject) -> bool:
    """Whether the kernel ticks: who hears this knows that the loop turns."""
    return subject.driver.is_running


def _kernel(subject: Subject) -> str:
    if not subject.driver.is_running:
        return "it has ended"
    return "it is shutting down" if subject.system.is_shutting_down else OK


def _database(subject: Subject) -> str:
    silent_s, trouble = subject.rows.silence(perf_counter())
    if trouble is not None:
        return trouble
    if subject.system.is_still:
        return OK  # nobody asks it anything while time stands still
    if silent_s is None:
        return "not heard yet"
    return OK if silent_s < SILENCE_S_MAX else f"not heard for {silent_s:.0f} s"


def _broker(subject: Subject) -> str:
    if not subject.messages.is_connected:
        return subject.link.trouble or "not connected yet"
    return OK if subject.messages.is_open else "it does not keep up, or refuses messages"
