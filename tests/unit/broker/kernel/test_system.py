from resonate_broker.kernel.coroutine import Body, Operation
from resonate_broker.kernel.submissions import (
    Begin,
    Commit,
    Failed,
    Load,
    Publish,
    Search,
    Write,
)
from resonate_broker.kernel.system import IDLE_MS_MAX, Idle, Limits
from resonate_broker.kernel.working_state import WorkingState
from resonate_sdk.protocol.responses import OK, Answer, Nothing
from resonate_store.state import LoadSet, Page
from tests.unit.broker.builders import NOW, make_outgoing, make_promise
from tests.unit.broker.kernel.fakes import Bench, Malformed, Put, Refuse, created


def test_requests_of_one_tick_share_one_transaction():
    bench = Bench()
    bench.submit(Put(id="a"), Put(id="b"), Put(id="c"))

    bench.tick()
    begun = bench.load
    bench.loaded()
    written = bench.changes
    bench.written()

    assert begun == LoadSet(ids=("a", "b", "c"))
    assert created(written) == ("a", "b", "c")
    assert bench.aio.open == []


def test_the_names_of_a_batch_are_locked_in_one_order_and_once():
    bench = Bench()
    bench.submit(Put(id="é"), Put(id="b"), Put(id="B"), Put(id="b"), Put(id="a.10"), Put(id="a.2"))

    bench.tick()

    assert bench.load.ids == ("B", "a.10", "a.2", "b", "é")


def test_nothing_is_answered_before_the_write_is_durable():
    bench = Bench()
    bench.submit(Put(id="a"), Refuse(id="b"))
    bench.tick()
    bench.loaded()
    before = list(bench.answers)

    bench.written()

    assert before == []
    assert bench.statuses == [("a", 200), ("b", 409)]


def test_requests_are_decided_and_answered_in_the_order_of_their_arrival():
    bench = Bench()
    bench.submit(Put(id="c"), Put(id="a"), Put(id="b"))

    bench.tick()
    bench.commit()

    assert bench.statuses == [("c", 200), ("a", 200), ("b", 200)]


def test_a_request_sees_what_the_one_before_it_has_changed():
    bench = Bench()
    bench.submit(Put(id="a"), Put(id="a"))

    bench.tick()
    bench.commit()

    assert bench.statuses == [("a", 200), ("a", 409)]


def test_the_dispatcher_sees_the_state_after_each_request():
    bench = Bench()
    bench.submit(Put(id="a"), Refuse(id="b"))

    bench.tick()
    bench.loaded()

    assert bench.dispatch.decided_count == 2


def test_an_answer_comes_with_the_instant_of_its_batch():
    bench = Bench()
    bench.submit(Put(id="a"))
    bench.tick()
    bench.loaded(store_ms=5_000)
    bench.tick(advance_ms=70)

    bench.written()

    ((_, completed),) = bench.answers
    assert completed.now_ms == 5_000


def test_the_instants_of_batches_never_run_backwards():
    bench = Bench()
    instants: list[int] = []
    for store_ms in (5_000, 4_000, 5_001):
        bench.submit(Put(id=f"at {store_ms}"))
        bench.tick()
        bench.loaded(store_ms=store_ms)
        instants.append(bench.changes.created[0].created_at_ms)
        bench.written()

    assert instants == [5_000, 5_000, 5_001]


def test_one_transaction_is_open_at_a_time_and_the_next_one_gathers():
    bench = Bench()
    bench.submit(Put(id="a"))
    bench.tick()
    bench.submit(Put(id="b"))
    bench.tick()
    bench.submit(Put(id="c"))
    bench.tick()
    first = bench.load

    bench.commit()

    assert first.ids == ("a",)
    assert bench.load.ids == ("b", "c")


def test_a_batch_holds_no_more_than_its_limit():
    bench = Bench(Limits(batch=2))
    bench.submit(Put(id="a"), Put(id="b"), Put(id="c"))

    bench.tick()
    first = bench.load
    bench.commit()
    second = bench.load
    bench.commit()

    assert (first.ids, second.ids) == (("a", "b"), ("c",))
    assert bench.statuses == [("a", 200), ("b", 200), ("c", 200)]


def test_a_request_is_refused_when_the_queue_is_full():
    bench = Bench(Limits(submissions=2))

    taken = [bench.submit(Put(id=id)) for id in "abc"]

    assert taken == [True, True, False]
    assert bench.system.room == 0


def test_a_full_queue_takes_again_once_its_requests_have_started():
    bench = Bench(Limits(submissions=2))
    bench.submit(Put(id="a"), Put(id="b"))

    bench.tick()

    assert bench.submit(Put(id="c"))


def test_a_refused_request_is_never_answered_nor_decided():
    bench = Bench(Limits(submissions=1))
    bench.submit(Put(id="a"), Put(id="refused"))

    bench.tick()
    bench.commit()

    assert bench.statuses == [("a", 200)]


def test_no_request_is_taken_after_shutdown():
    bench = Bench()

    bench.system.shutdown()

    assert not bench.submit(Put(id="a"))
    assert bench.system.room == 0


def test_an_urgent_request_goes_before_those_that_wait_in_the_queue():
    bench = Bench()
    bench.submit(Put(id="a"))
    bench.submit(Put(id="heartbeat"), urgent=True)

    bench.tick()
    bench.commit()

    assert bench.statuses == [("heartbeat", 200), ("a", 200)]


def test_an_urgent_request_is_in_the_next_batch_however_much_waits():
    bench = Bench(Limits(batch=2))
    bench.submit(Put(id="a"))
    bench.tick()
    bench.submit(Put(id="b"), Put(id="c"), Put(id="d"))
    bench.tick()
    bench.submit(Put(id="heartbeat"), urgent=True)
    bench.tick()

    bench.commit()

    assert "heartbeat" in bench.load.ids


def test_urgent_requests_have_a_bounded_queue_of_their_own():
    bench = Bench(Limits(submissions=1))
    bench.submit(Put(id="a"))

    taken = [bench.submit(Put(id=id), urgent=True) for id in "bc"]

    assert taken == [True, False]


def test_a_solitary_request_shares_its_batch_only_with_those_of_its_number():
    bench = Bench()
    bench.submit(Put(id="a"))
    bench.submit(Put(id="b"), Put(id="c"), solitary=1)
    bench.submit(Put(id="d"), solitary=2)
    bench.submit(Put(id="e"))
    batches: list[tuple[str, ...]] = []

    bench.tick()
    while bench.aio.has(Begin):
        batches.append(bench.load.ids)
        bench.commit()

    assert batches == [("a",), ("b", "c"), ("d",), ("e",)]


def test_a_request_that_is_refused_without_a_look_needs_no_transaction():
    bench = Bench()
    bench.submit(Malformed(id="a"))

    bench.tick()

    assert bench.statuses == [("a", 400)]
    assert bench.aio.open == []


def test_a_request_that_needs_more_names_starts_over_with_these_as_well():
    bench = Bench()

    def wants_more(request: Put) -> Operation:
        state: WorkingState = yield Load(ids=(request.id,))
        if not state.is_named("more"):
            yield Load(ids=("more",))
        return (yield Commit(Answer(OK, Nothing())))

    bench.system.add_on_request("wants_more", wants_more)
    bench.submit(Put(id="a"), WantsMore(id="b"))

    bench.tick()
    first = bench.load
    bench.loaded()
    second = bench.load
    bench.commit()

    assert (first.ids, second.ids) == (("a", "b"), ("a", "b", "more"))
    assert bench.statuses == [("a", 200), ("b", 200)]


def test_a_batch_that_starts_over_forgets_what_its_members_had_changed():
    bench = Bench()

    def wants_more(request: Put) -> Operation:
        state: WorkingState = yield Load(ids=(request.id,))
        if not state.is_named("more"):
            state.put(make_promise(request.id))
            yield Load(ids=("more",))
        return (yield Commit(Answer(OK, Nothing())))

    bench.system.add_on_request("wants_more", wants_more)
    bench.submit(Put(id="a"), WantsMore(id="b"))
    bench.tick()
    bench.loaded(store_ms=5_000)

    bench.loaded(store_ms=6_000)

    assert created(bench.changes) == ("a",)
    assert bench.changes.created[0].created_at_ms == 6_000


def test_names_asked_for_in_an_earlier_round_are_kept_in_the_next_one():
    bench = Bench()

    def wants_two_more(request: Put) -> Operation:
        state: WorkingState = yield Load(ids=(request.id,))
        for id in ("first", "second"):
            if not state.is_named(id):
                yield Load(ids=(id,))
        return (yield Commit(Answer(OK, Nothing())))

    bench.system.add_on_request("wants_more", wants_two_more)
    bench.submit(WantsMore(id="a"))
    bench.tick()
    loads: list[tuple[str, ...]] = []

    while bench.aio.has(Begin) and len(loads) < 10:
        loads.append(bench.load.ids)
        bench.loaded()

    assert loads == [("a",), ("a", "first"), ("a", "first", "second")]


def test_an_effect_of_a_coroutine_is_submitted_and_its_completion_resumes_it():
    bench = Bench()
    bench.system.add_on_request("search", search)
    bench.submit(LookUp(id="a"))
    bench.tick()
    submitted = bench.aio.find(Search)

    bench.aio.complete(submitted, Page(now_ms=NOW, promises=(make_promise("x"),), scanned_to=None))
    bench.tick()

    ((_, completed),) = bench.answers
    assert completed.answer == Answer(OK, "1")


def test_an_effect_that_finds_the_queue_full_fails_and_the_coroutine_goes_on():
    bench = Bench()
    bench.system.add_on_request("search", search)
    bench.aio.capacity = 0
    bench.submit(LookUp(id="a"))

    bench.tick()

    assert bench.statuses == [("a", 503)]


def test_a_batch_waits_while_the_queue_of_the_aio_is_full():
    bench = Bench()
    bench.aio.capacity = 0
    bench.submit(Put(id="a"))
    bench.tick()

    bench.aio.capacity = 10
    bench.tick()
    bench.commit()

    assert bench.statuses == [("a", 200)]


def test_messages_go_out_only_when_the_batch_is_durable():
    bench = Bench()
    hint = make_outgoing()

    def sends(request: Put) -> Operation:
        state: WorkingState = yield Load(ids=(request.id,))
        state.send(hint)
        return (yield Commit(Answer(OK, Nothing())))

    bench.system.add_on_request("sends", sends)
    bench.submit(Sends(id="a"))
    bench.tick()
    bench.loaded()
    before = (bench.aio.has(Publish), list(bench.dispatch.handed))

    bench.written()

    assert before == (False, [])
    assert bench.aio.find(Publish).messages == (hint,)
    assert bench.dispatch.handed == [hint]


def test_a_message_of_a_batch_that_is_run_again_is_sent_once():
    bench = Bench()
    hint = make_outgoing()

    def sends(request: Put) -> Operation:
        state: WorkingState = yield Load(ids=(request.id,))
        state.send(hint)
        return (yield Commit(Answer(OK, Nothing())))

    bench.system.add_on_request("sends", sends)
    bench.submit(Sends(id="a"))
    bench.tick()
    bench.loaded()
    bench.failed("aborted")

    bench.commit()

    assert bench.aio.find(Publish).messages == (hint,)


def test_the_tick_of_an_instant_that_runs_backwards_keeps_the_later_one():
    bench = Bench()
    bench.system.tick(NOW)

    bench.system.tick(NOW - 500)

    assert bench.system.store_now_ms == NOW


def test_a_kernel_with_nothing_to_do_asks_for_a_tick_in_a_while():
    bench = Bench()

    bench.tick()

    assert bench.system.next_tick_at_ms() == NOW + IDLE_MS_MAX


def test_a_kernel_with_waiting_requests_asks_for_a_tick_at_once():
    bench = Bench()
    bench.tick()

    bench.submit(Put(id="a"))

    assert bench.system.next_tick_at_ms() == NOW


def test_requests_behind_an_open_transaction_do_not_make_the_kernel_spin():
    bench = Bench()
    bench.submit(Put(id="a"))
    bench.tick()

    bench.submit(Put(id="b"))

    assert bench.system.next_tick_at_ms() > NOW


def test_the_loop_yields_until_when_it_may_wait_and_takes_the_instant():
    bench = Bench()
    loop = bench.system.loop()

    first = next(loop)
    bench.submit(Put(id="a"))
    second = loop.send(NOW)

    assert first == Idle(IDLE_MS_MAX)
    assert second == Idle(NOW + IDLE_MS_MAX)
    assert bench.load.ids == ("a",)


def test_shutdown_finishes_all_that_was_taken_and_then_the_loop_ends():
    bench = Bench(Limits(batch=1))
    bench.submit(Put(id="a"), Put(id="b"))
    loop = bench.system.loop()
    next(loop)
    loop.send(NOW)
    bench.system.shutdown()
    ends = 0

    while not ends:
        if bench.aio.has(Begin):
            bench.commit()
        try:
            loop.send(NOW)
        except StopIteration:
            ends += 1

    assert bench.statuses == [("a", 200), ("b", 200)]
    assert bench.system.is_done


def test_a_kernel_is_not_done_while_a_message_is_on_its_way():
    bench = Bench()

    def sends(request: Put) -> Operation:
        state: WorkingState = yield Load(ids=(request.id,))
        state.send(make_outgoing())
        return (yield Commit(Answer(OK, Nothing())))

    bench.system.add_on_request("sends", sends)
    bench.submit(Sends(id="a"))
    bench.tick()
    bench.system.shutdown()
    bench.commit()
    before = bench.system.is_done

    bench.aio.complete(bench.aio.find(Publish), None)
    bench.tick()

    assert (before, bench.system.is_done) == (False, True)


def test_a_kernel_that_shuts_down_does_not_spin_while_a_transaction_is_open():
    bench = Bench()
    bench.add_sweep(rest)
    bench.submit(Put(id="a"))
    bench.tick()
    bench.system.shutdown()

    bench.tick(advance_ms=5_000)

    assert bench.aio.has(Begin)
    assert bench.system.next_tick_at_ms() > bench.now_ms


def test_a_batch_with_nothing_to_write_is_committed_all_the_same():
    bench = Bench()
    bench.submit(Refuse(id="a"))

    bench.tick()
    bench.loaded()

    assert not bench.aio.find(Write).changes


class WantsMore(Put, frozen=True, kw_only=True):
    kind = "wants_more"


class Sends(Put, frozen=True, kw_only=True):
    kind = "sends"


class LookUp(Put, frozen=True, kw_only=True):
    kind = "search"


def search(request: LookUp) -> Operation:
    """Answer with the number of promises found."""
    page: Page | Failed = yield Search({}, None, 1)
    if isinstance(page, Failed):
        return Answer(503, page.reason)
    return Answer(OK, str(len(page.promises)))


def rest() -> Body:
    """A background step that does nothing."""
    return None
    yield
