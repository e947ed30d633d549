"""What the kernel counts: what is durable, once."""

from resonate_broker import rules
from resonate_broker.kernel.meters import Histogram, Meters
from resonate_broker.kernel.submissions import Outgoing
from resonate_sdk.protocol.messages import HintData, Invoke, MessageHead, Notify, NotifyData
from resonate_sdk.protocol.records import TaskRef
from resonate_store.state import Due, DueSchedules, Listener, Timer
from tests.unit.broker.builders import NOW, make_promise, make_schedule
from tests.unit.broker.kernel.fakes import Bench, Crash, Malformed, Put, Refuse


def test_a_value_belongs_to_the_first_bound_that_it_does_not_exceed():
    histogram = Histogram((1, 10))

    for value in (0.5, 1, 2, 10, 11):
        histogram.observe(value)

    assert histogram.counts == [2, 2, 1]
    assert histogram.sum == 24.5


def test_answers_are_counted_by_kind_and_status():
    bench = Bench()
    bench.submit(Put(id="a"), Put(id="b"), Refuse(id="c"), Malformed(id="d"))
    bench.tick()
    bench.commit()

    assert bench.system.meters.requests == {
        ("put", 200): 2,
        ("refuse", 409): 1,
        ("malformed", 400): 1,
    }


def test_a_batch_that_is_run_again_counts_its_members_once():
    bench = Bench()
    bench.submit(Put(id="a"), Put(id="b"))
    bench.tick()
    bench.loaded()
    bench.failed("aborted")
    bench.commit()

    meters = bench.system.meters
    assert meters.batches == {"aborted": 1, "committed": 1}
    assert (meters.batch_sizes.sum, sum(meters.batch_sizes.counts)) == (2, 1)
    assert meters.requests == {("put", 200): 2}


def test_a_rule_that_crashes_is_counted():
    bench = Bench()
    bench.submit(Crash(id="a"), Put(id="b"))
    bench.tick()
    bench.loaded()
    bench.commit()

    assert bench.system.meters.batches == {"crashed": 1, "committed": 1}
    assert bench.system.meters.requests == {("crash", 500): 1, ("put", 200): 1}


def test_transitions_count_when_they_are_durable():
    bench = Bench()
    bench.dispatch.decided = lambda state: state.tally.update(moved=state.tally["moved"] + 1)
    bench.submit(Put(id="a"), Put(id="b"))
    bench.tick()
    bench.loaded()
    bench.failed("aborted")
    before = dict(bench.system.meters.transitions)
    bench.commit()

    assert before == {}
    assert bench.system.meters.transitions == {"moved": 2}


def test_messages_are_counted_by_what_they_are_and_whether_they_were_sent_before():
    meters = Meters()
    data = HintData(task=TaskRef(id="t", version=1))
    hint, again = Invoke(data=data), Invoke(data=data, head=MessageHead(attempt=2))
    news = Notify(data=NotifyData(promise=rules.record(make_promise("t"))))

    meters.committed(
        1,
        {},
        (
            Outgoing("g", None, False, hint),
            Outgoing("g", None, False, again),
            Outgoing("", None, True, again),
            Outgoing("g", "w", True, news, Listener("t", "amqp://uni@g/w")),
        ),
    )

    assert meters.sent == {
        ("hint", "first"): 1,
        ("hint", "again"): 1,
        ("call", "again"): 1,
        ("news", "first"): 1,
    }


def test_the_lag_of_a_look_is_that_of_what_was_due_first():
    meters = Meters()

    meters.looked(Due(now_ms=NOW, timers=(Timer(NOW - 70, "a"), Timer(NOW, "b")), next_at_ms=None))
    schedules = (make_schedule("s", next_run_at_ms=NOW - 3_000),)
    meters.looked(DueSchedules(now_ms=NOW, schedules=schedules, next_at_ms=None))
    late = (meters.timer_lag_ms, meters.schedule_lag_ms)
    meters.looked(Due(now_ms=NOW, timers=(), next_at_ms=NOW + 1))
    meters.looked(DueSchedules(now_ms=NOW, schedules=(), next_at_ms=None))

    assert late == (70, 3_000)
    assert (meters.timer_lag_ms, meters.schedule_lag_ms) == (0, 0)


def test_what_waits_in_the_kernel_is_told_by_queue():
    bench = Bench()
    bench.submit(Put(id="a"))
    bench.submit(Put(id="b"), urgent=True)
    submitted = bench.system.depths
    bench.tick()
    bench.submit(Put(id="c"))
    bench.tick()

    assert submitted == {"urgent": 1, "submissions": 1, "batch": 0, "effects": 0}
    assert bench.system.depths == {"urgent": 0, "submissions": 0, "batch": 1, "effects": 1}
