"""C20: what the kernel tells a recorder, and when."""

from collections.abc import Sequence

from resonate_broker.kernel.chains import Chain
from resonate_broker.kernel.entries import SQE, Submitted
from resonate_broker.kernel.recording import Caller, Outcome, Run
from resonate_broker.kernel.submissions import Write
from tests.unit.broker.builders import NOW
from tests.unit.broker.kernel.fakes import Bench, Item, Malformed, Put, Refuse, ScriptedAIO

CALLER = Caller("queue", "c1", 7)


class Noted:
    """Notes what it is told, and whether the write was on its way by then."""

    def __init__(self) -> None:
        self.aio = ScriptedAIO()
        self.told: list[object] = []
        self.is_written: list[bool] = []

    def intend(self, runs: Sequence[Run]) -> None:
        self.told.append([(run.request, run.answer.status, run.now_ms) for run in runs])
        self.is_written.append(self.aio.has(Write))

    def end(self, outcome: Outcome) -> None:
        self.told.append(outcome)

    def refuse(self, run: Run) -> None:
        self.told.append((run.request, run.answer.status))


def recorded() -> tuple[Bench, Noted]:
    noted = Noted()
    return Bench(aio=noted.aio, recorder=noted), noted


def submit(bench: Bench, *requests: Item, chain: Chain | None = None) -> None:
    for request in requests:
        link = None if chain is None else chain.link()
        submitted = Submitted(request, link, caller=CALLER)
        assert bench.system.submit(SQE(submitted, lambda completed: None))
    bench.tick()


def test_runs_are_intended_before_they_are_written_and_ended_after():
    bench, noted = recorded()
    a, b = Put(id="a"), Put(id="b")
    submit(bench, a, b)

    bench.loaded()
    before = list(noted.told)
    bench.written()

    assert before == [[(a, 200, NOW), (b, 200, NOW)]]
    assert noted.is_written == [False]
    assert noted.told[1:] == ["committed"]


def test_a_batch_that_is_run_again_is_intended_again_with_its_new_instant():
    bench, noted = recorded()
    a = Put(id="a")
    submit(bench, a)
    bench.loaded()
    bench.failed("aborted")

    bench.loaded(store_ms=NOW + 5)
    bench.written()

    assert noted.told == [[(a, 200, NOW)], "aborted", [(a, 200, NOW + 5)], "committed"]


def test_a_commit_of_unknown_fate_is_told_as_such():
    bench, noted = recorded()
    submit(bench, Put(id="a"))
    bench.loaded()

    bench.failed("unknown")

    assert noted.told[1:] == ["unknown"]


def test_what_is_not_attempted_is_not_told():
    bench, noted = recorded()
    refused = Refuse(id="a")
    submit(bench, refused, Put(id="b"), chain=Chain())

    bench.commit()

    assert noted.told == [[(refused, 409, NOW)], "committed"]


def test_what_is_refused_without_a_look_at_the_store_is_told_by_itself():
    bench, noted = recorded()
    malformed = Malformed(id="a")

    submit(bench, malformed)

    assert noted.told == [(malformed, 400)]


def test_what_nobody_wants_recorded_is_not_told():
    bench, noted = recorded()
    bench.submit(Put(id="a"))
    bench.tick()

    bench.commit()

    assert noted.told == [[], "committed"]
