"""C8: after the first item of a chain that is not answered 200 the rest is not attempted."""

from resonate_broker.kernel.chains import Chain
from resonate_broker.kernel.coroutine import Operation
from resonate_broker.kernel.submissions import Begin, Commit, Load, Search, Write
from resonate_broker.kernel.system import Limits
from resonate_sdk.protocol.responses import OK, Answer, Nothing
from resonate_store.state import Page
from tests.unit.broker.builders import NOW, make_promise
from tests.unit.broker.kernel.fakes import Bench, Crash, Item, Malformed, Put, Refuse, created


def test_a_chain_in_which_nothing_fails_is_carried_out_in_order():
    bench = Bench()
    bench.submit(Put(id="b"), Put(id="a"), chain=Chain())

    bench.tick()
    bench.commit()

    assert sorted(bench.statuses) == [("a", 200), ("b", 200)]


def test_what_follows_a_refusal_in_its_chain_is_answered_409_and_changes_nothing():
    bench = Bench()
    bench.submit(Put(id="a"), Refuse(id="b"), Put(id="c"), Put(id="d"), chain=Chain())

    bench.tick()
    bench.loaded()
    changes = bench.changes
    bench.written()

    assert created(changes) == ("a",)
    assert sorted(bench.statuses) == [("a", 200), ("b", 409), ("c", 409), ("d", 409)]
    assert_not_attempted(bench, "c", "d")


def test_a_broken_chain_does_not_concern_requests_between_its_items():
    bench = Bench()
    chain = Chain()
    bench.submit(Refuse(id="a"), chain=chain)
    bench.submit(Put(id="b"))
    bench.submit(Put(id="c"), chain=chain)
    bench.submit(Put(id="d"), chain=Chain())

    bench.tick()
    bench.commit()

    assert sorted(bench.statuses) == [("a", 409), ("b", 200), ("c", 409), ("d", 200)]


def test_a_chain_that_failed_in_one_batch_is_not_attempted_in_the_next_one():
    bench = Bench(Limits(batch=2))
    bench.submit(Put(id="a"), Refuse(id="b"), Put(id="c"), chain=Chain())
    bench.tick()
    bench.commit()

    bench.loaded()
    changes = bench.changes
    bench.written()

    assert created(changes) == ()
    assert sorted(bench.statuses) == [("a", 200), ("b", 409), ("c", 409)]


def test_a_chain_without_a_failure_goes_on_in_the_next_batch():
    bench = Bench(Limits(batch=2))
    bench.submit(Put(id="a"), Put(id="b"), Put(id="c"), chain=Chain())

    bench.tick()
    bench.commit()
    bench.commit()

    assert sorted(bench.statuses) == [("a", 200), ("b", 200), ("c", 200)]


def test_a_failure_that_was_rolled_back_does_not_break_the_chain():
    bench = Bench()
    bench.submit(Put(id="a"), Put(id="b"), chain=Chain())
    bench.tick()
    bench.loaded(make_promise("a"))
    bench.failed("aborted")

    bench.commit()

    assert sorted(bench.statuses) == [("a", 200), ("b", 200)]


def test_a_chain_that_failed_in_a_batch_that_is_run_again_fails_the_same_way():
    bench = Bench()
    bench.submit(Refuse(id="a"), Put(id="b"), chain=Chain())
    bench.tick()
    bench.loaded()
    bench.failed("aborted")

    bench.loaded()
    changes = bench.changes
    bench.written()

    assert created(changes) == ()
    assert_not_attempted(bench, "b")


def test_a_chain_of_a_batch_that_starts_over_for_more_names_is_decided_anew():
    bench = Bench()

    def wants_more(request: Item) -> Operation:
        state = yield Load(ids=(request.id,))
        if not state.is_named("more"):
            yield Load(ids=("more",))
        return (yield Commit(Answer(OK, Nothing())))

    bench.system.add_on_request("wants_more", wants_more)
    bench.submit(Refuse(id="a"), Put(id="b"), chain=Chain())
    bench.submit(WantsMore(id="c"))
    bench.tick()
    bench.loaded()

    bench.commit()

    assert sorted(bench.statuses) == [("a", 409), ("b", 409), ("c", 200)]


def test_what_follows_an_item_that_is_malformed_in_itself_is_not_attempted():
    bench = Bench()
    bench.submit(Malformed(id="a"), Put(id="b"), chain=Chain())

    bench.tick()
    if bench.aio.has(Begin):
        bench.commit()

    assert sorted(bench.statuses) == [("a", 400), ("b", 409)]


def test_what_follows_an_item_whose_rule_raises_is_not_attempted():
    bench = Bench()
    bench.submit(Crash(id="a"), Put(id="b"), chain=Chain())
    bench.tick()
    bench.loaded()

    bench.commit()

    assert sorted(bench.statuses) == [("a", 500), ("b", 409)]


def test_what_comes_before_an_item_whose_rule_raises_is_carried_out():
    bench = Bench()
    bench.submit(Put(id="a"), Crash(id="b"), Put(id="c"), chain=Chain())
    bench.tick()
    bench.loaded()

    bench.commit()

    assert sorted(bench.statuses) == [("a", 200), ("b", 500), ("c", 409)]


def test_what_follows_an_item_of_unknown_fate_is_not_attempted():
    bench = Bench(Limits(batch=1))
    bench.submit(Put(id="a"), Put(id="b"), chain=Chain())
    bench.tick()
    bench.loaded()
    bench.failed("unknown")

    if bench.aio.has(Begin):
        bench.commit()

    assert sorted(bench.statuses) == [("a", 500), ("b", 409)]


def test_what_follows_an_item_that_cannot_be_stored_is_not_attempted():
    bench = Bench()
    bench.submit(Put(id="poison"), Put(id="b"), chain=Chain())
    bench.tick()
    bench.loaded()

    while bench.aio.has(Write):
        if "poison" in created(bench.changes):
            bench.failed("rejected")
        else:
            bench.written()
        if bench.aio.has(Begin):
            bench.loaded()

    assert sorted(bench.statuses) == [("b", 409), ("poison", 500)]


def test_what_follows_an_item_that_was_given_up_is_not_attempted():
    bench = Bench(Limits(batch=1, batch_ms=100))
    bench.submit(Put(id="a"), Put(id="b"), chain=Chain())
    bench.tick()
    bench.loaded()
    bench.now_ms += 100
    bench.failed("aborted")

    if bench.aio.has(Begin):
        bench.commit()

    assert sorted(bench.statuses) == [("a", 503), ("b", 409)]


def test_a_search_in_a_chain_that_is_answered_200_does_not_break_it():
    bench = Bench()

    def look_up(request: Item) -> Operation:
        yield Load()
        yield Commit()
        yield Search({}, None, 1)
        return Answer(OK, Nothing())

    bench.system.add_on_request("look_up", look_up)
    chain = Chain()
    bench.submit(LookUp(id="a"), Put(id="b"), chain=chain)
    bench.tick()

    while bench.aio.open:
        if bench.aio.has(Begin):
            bench.commit()
        if bench.aio.has(Search):
            search = bench.aio.find(Search)
            bench.aio.complete(search, Page(now_ms=NOW, promises=(), scanned_to=None))
            bench.tick()

    assert sorted(bench.statuses) == [("a", 200), ("b", 200)]


class WantsMore(Item, frozen=True, kw_only=True):
    kind = "wants_more"


class LookUp(Item, frozen=True, kw_only=True):
    kind = "look_up"


def assert_not_attempted(bench: Bench, *ids: str) -> None:
    answers = dict(bench.answers)
    for id in ids:
        assert str(answers[id].answer.data).startswith("not attempted"), answers[id]
