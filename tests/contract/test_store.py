"""What every store must do, whatever it is made of: transactions, and what they write."""

import pytest

from resonate_sdk.protocol.records import Value
from resonate_store.state import (
    Callback,
    Changes,
    Listener,
    Loaded,
    LoadSet,
    Snapshot,
    Timer,
)
from resonate_store.store import ConflictError, Store
from tests.contract.rows import (
    BORN_AT_MS,
    create,
    ids_of,
    make_child,
    make_promise,
    make_remote_child,
    make_task,
    read,
    write,
)

AWAITERS_MAX = 1_000


# Transactions


async def test_what_is_absent_is_not_loaded(store):
    await create(store, make_promise("b"))

    transaction = await store.begin(LoadSet(ids=("a", "b", "c"), settling=("a",), preload=("c",)))
    await transaction.rollback()

    assert ids_of(transaction.loaded.promises) == ["b"]


async def test_a_transaction_without_names_tells_the_instant(store):
    transaction = await store.begin(LoadSet())
    await transaction.commit(Changes())

    assert transaction.loaded == Loaded(now_ms=transaction.loaded.now_ms)
    assert transaction.loaded.now_ms > 0


async def test_the_instant_never_runs_backwards(store):
    instants: list[int] = []
    for _ in range(5):
        transaction = await store.begin(LoadSet(ids=("a",)))
        await transaction.commit(Changes())
        instants.append(transaction.loaded.now_ms)
        instants.append((await store.due(1)).now_ms)
        instants.append((await store.search({}, None, 1)).now_ms)

    assert instants == sorted(instants)


async def test_texts_that_mean_something_in_sql_or_json_come_back_as_they_were(store):
    text = """it's $1, "quoted" \\ \\' ''; commit; -- /* %s {0} \x7f\n\u2028 ä 漢 \U0001f600"""
    odd = make_promise(
        text,
        state="resolved",
        tags={text: text, "resonate:branch": text},
        param=Value(headers={text: text}, data=text),
        value=Value(headers={text: text}, data=text),
        task=make_task(group=text, pid=text, resumes=(text, "")),
    )
    awaiter = make_promise(f"{text} too", task=make_task())
    await write(
        store,
        Changes(
            created=(odd, awaiter),
            callbacks_added=(Callback(odd.id, awaiter.id),),
            listeners_added=(Listener(odd.id, text),),
            timers_armed=(Timer(1, text),),
        ),
        ids=(odd.id, awaiter.id),
    )

    kept = await store.snapshot()
    assert kept.promises == (odd, awaiter)
    assert kept.callbacks == (Callback(odd.id, awaiter.id),)
    assert kept.listeners == (Listener(odd.id, text),)
    assert kept.timers == (Timer(1, text),)
    await write(store, Changes(callbacks_consumed=kept.callbacks, timers_disarmed=kept.timers))
    assert await store.snapshot() == Snapshot(promises=kept.promises, listeners=kept.listeners)


async def test_what_is_rolled_back_was_never_there(store):
    transaction = await store.begin(LoadSet(ids=("a",)))
    await transaction.rollback()

    assert await store.snapshot() == Snapshot()


async def test_without_changes_nothing_changes(store):
    await create(store, make_promise())

    transaction = await store.begin(LoadSet(ids=("p",), settling=("p",), preload=("p",)))
    await transaction.commit(Changes())

    assert await store.snapshot() == Snapshot(promises=(make_promise(),))


async def test_a_transaction_that_follows_another_is_one_of_its_own(store):
    first = await store.begin(LoadSet(ids=("a",)))
    await first.commit(Changes(created=(make_promise("a"),)))
    second = await store.begin(LoadSet(ids=("a", "b")))
    await second.rollback()
    third = await store.begin(LoadSet(ids=("a", "b")))
    await third.commit(Changes(created=(make_promise("b"),)))

    assert ids_of(second.loaded.promises) == ["a"]
    assert ids_of((await store.snapshot()).promises) == ["a", "b"]


async def test_of_two_that_create_the_same_the_second_begins_again(store, other):
    first = await store.begin(LoadSet(ids=("a", "b")))
    second = await other.begin(LoadSet(ids=("b", "c")))
    await first.commit(Changes(created=(make_promise("a"), make_promise("b"))))

    late = make_promise("b", param=Value(data="late"))
    with pytest.raises(ConflictError):
        await second.commit(
            Changes(
                created=(late, make_promise("c")),
                callbacks_added=(Callback("b", "c"),),
                listeners_added=(Listener("b", "amqp://any@g"),),
                timers_armed=(Timer(1, "b"),),
            )
        )

    assert await store.snapshot() == Snapshot(promises=(make_promise("a"), make_promise("b")))
    assert await read(other, "b") == make_promise("b")


async def test_a_transaction_that_is_over_does_not_touch_the_next_one(store, other):
    lost = await store.begin(LoadSet(ids=("a",)))
    await create(other, make_promise("a"))
    with pytest.raises(ConflictError):
        await lost.commit(Changes(created=(make_promise("a"),)))

    transaction = await store.begin(LoadSet(ids=("b",)))
    await lost.rollback()
    await transaction.commit(Changes(created=(make_promise("b"),)))

    assert ids_of((await store.snapshot()).promises) == ["a", "b"]


# What hangs on a promise


async def await_each(store: Store, *callbacks: Callback) -> None:
    """Create the promises of callbacks, each awaiter with a suspended task, and the callbacks."""
    awaiters = {c.awaiter: make_promise(c.awaiter, task=make_task()) for c in callbacks}
    awaited = {c.awaited: make_promise(c.awaited) for c in callbacks}
    await create(store, *(awaited | awaiters).values())
    await write(
        store, Changes(callbacks_added=tuple(sorted(callbacks))), ids=tuple(sorted(awaited))
    )


async def load(store: Store, load: LoadSet) -> Loaded:
    transaction = await store.begin(load)
    await transaction.rollback()
    return transaction.loaded


async def test_who_may_settle_is_loaded_with_all_that_waits_for_it(store):
    await await_each(store, Callback("a", "x"), Callback("a", "y"), Callback("b", "z"))
    listeners = (Listener("a", "amqp://any@g"), Listener("b", "amqp://any@g"))
    await write(store, Changes(listeners_added=listeners), ids=("a", "b"))

    loaded = await load(store, LoadSet(ids=("a", "b"), settling=("a",)))

    assert sorted(ids_of(loaded.promises)) == ["a", "b", "x", "y"]
    assert sorted(loaded.callbacks) == [Callback("a", "x"), Callback("a", "y")]
    assert loaded.listeners == (Listener("a", "amqp://any@g"),)


async def test_an_awaiter_of_many_is_loaded_once(store):
    callbacks = [Callback(awaited, "x") for awaited in ("a", "b", "c")]
    await await_each(store, *callbacks)

    loaded = await load(store, LoadSet(ids=("a", "b", "c"), settling=("a", "b", "c")))

    assert sorted(ids_of(loaded.promises)) == ["a", "b", "c", "x"]
    assert sorted(loaded.callbacks) == callbacks


async def test_an_awaiter_that_is_named_itself_is_loaded_once(store):
    await await_each(store, Callback("a", "b"), Callback("b", "a"))

    loaded = await load(store, LoadSet(ids=("a", "b"), settling=("a", "b")))

    assert sorted(ids_of(loaded.promises)) == ["a", "b"]
    assert sorted(loaded.callbacks) == [Callback("a", "b"), Callback("b", "a")]


async def test_loading_goes_one_step_deep(store):
    await await_each(store, Callback("a", "b"), Callback("b", "c"))

    loaded = await load(store, LoadSet(ids=("a",), settling=("a",)))

    assert sorted(ids_of(loaded.promises)) == ["a", "b"]
    assert loaded.callbacks == (Callback("a", "b"),)


async def test_too_many_awaiters_are_seen_to_be_too_many(store):
    awaiters = [f"x-{n:04}" for n in range(AWAITERS_MAX + 3)]
    await await_each(store, *(Callback("a", awaiter) for awaiter in awaiters))

    # Those that are named are locked beside the thousand.
    loaded = await load(store, LoadSet(ids=("a", *awaiters[-2:]), settling=("a",)))

    left = {callback.awaiter for callback in loaded.callbacks} - set(ids_of(loaded.promises))
    assert left


async def test_a_callback_is_added_once(store):
    await await_each(store, Callback("a", "x"))

    await write(
        store, Changes(callbacks_added=(Callback("a", "x"), Callback("a", "y"))), ids=("a",)
    )

    assert (await store.snapshot()).callbacks == (Callback("a", "x"), Callback("a", "y"))


async def test_a_consumed_callback_is_gone(store):
    await await_each(store, Callback("a", "x"), Callback("a", "y"), Callback("b", "x"))

    await write(store, Changes(callbacks_consumed=(Callback("a", "x"),)), ids=("a",))

    assert (await store.snapshot()).callbacks == (Callback("a", "y"), Callback("b", "x"))


async def test_a_listener_is_added_once(store):
    first, second = Listener("a", "amqp://any@g"), Listener("a", "amqp://any@h")
    await write(store, Changes(created=(make_promise("a"),), listeners_added=(first,)))

    await write(store, Changes(listeners_added=(first, second)), ids=("a",))

    assert (await store.snapshot()).listeners == (first, second)


async def test_a_timer_is_armed_once_and_disarmed(store):
    armed = (Timer(1, "a"), Timer(1, "b"), Timer(2, "a"))
    await write(store, Changes(timers_armed=armed))
    await write(store, Changes(timers_armed=armed[1:]))
    assert (await store.snapshot()).timers == armed

    await write(store, Changes(timers_disarmed=(Timer(1, "a"), Timer(3, "a"))))
    assert (await store.snapshot()).timers == armed[1:]


async def test_a_timer_is_moved_in_one_step(store):
    await write(store, Changes(timers_armed=(Timer(1, "a"),)))

    await write(store, Changes(timers_disarmed=(Timer(1, "a"),), timers_armed=(Timer(2, "a"),)))

    assert (await store.snapshot()).timers == (Timer(2, "a"),)


# Listeners that were told


TOLD = Listener("a", "amqp://any@g")
OWED = Listener("a", "amqp://any@h")
REMINDER = Timer(BORN_AT_MS, "a")


async def test_the_timer_goes_with_the_last_listener(store):
    await write(store, Changes(listeners_added=(TOLD, OWED), timers_armed=(REMINDER,)))

    await write(store, Changes(listeners_told=(TOLD,), timers_told=(REMINDER,)))
    assert await store.snapshot() == Snapshot(listeners=(OWED,), timers=(REMINDER,))

    await write(store, Changes(listeners_told=(OWED,), timers_told=(REMINDER,)))
    assert await store.snapshot() == Snapshot()


async def test_the_timer_stays_while_somebody_is_still_to_be_woken(store):
    callback = Callback("a", "x")
    await write(
        store,
        Changes(listeners_added=(TOLD,), callbacks_added=(callback,), timers_armed=(REMINDER,)),
    )

    await write(store, Changes(listeners_told=(TOLD,), timers_told=(REMINDER,)))

    assert await store.snapshot() == Snapshot(callbacks=(callback,), timers=(REMINDER,))


async def test_a_timer_that_was_moved_meanwhile_stays(store):
    moved = Timer(REMINDER.due_at_ms + 1, "a")
    await write(store, Changes(listeners_added=(TOLD,), timers_armed=(moved,)))

    await write(store, Changes(listeners_told=(TOLD,), timers_told=(REMINDER,)))

    assert await store.snapshot() == Snapshot(timers=(moved,))


async def test_telling_twice_does_no_harm(store):
    for _ in range(2):
        await write(store, Changes(listeners_told=(TOLD,), timers_told=(REMINDER,)))

    assert await store.snapshot() == Snapshot()


# Preload


async def family(store: Store, *roots: str) -> list[str]:
    loaded = await load(store, LoadSet(ids=roots, preload=roots))
    assert sorted(ids_of(loaded.promises)) == sorted(roots)
    return sorted(ids_of(loaded.related))


async def test_a_preload_has_the_branch_and_all_that_was_called_from_it(store):
    await create(
        store,
        make_remote_child("root", parent="root"),
        make_child("root.1", branch="root"),
        make_child("root.1.1", branch="root", parent="root.1"),
        make_remote_child("root.2", parent="root"),
        make_remote_child("root.1.2", parent="root.1"),
        # Neither of these runs in the branch, nor was it called from there.
        make_child("root.2.1", branch="root.2"),
        make_remote_child("root.2.2", parent="root.2"),
        make_remote_child("elsewhere", parent="elsewhere"),
        make_promise("untagged"),
    )

    assert await family(store, "root") == ["root.1", "root.1.1", "root.1.2", "root.2"]


async def test_a_preload_is_read_as_it_was_stored(store):
    child = make_child("root.1", branch="root", state="resolved", value=Value(data="eA=="))
    await create(store, make_remote_child("root", parent="root"), child)

    loaded = await load(store, LoadSet(ids=("root",), preload=("root",)))

    assert loaded.related == (child,)


async def test_several_roots_are_preloaded_together(store):
    for root in ("a", "b", "c"):
        await create(
            store, make_remote_child(root, parent=root), make_child(f"{root}.1", branch=root)
        )

    assert await family(store, "a", "c") == ["a.1", "c.1"]


async def test_a_branch_is_read_by_its_name_whatever_is_called_like_it(store):
    await create(
        store,
        make_promise("b"),  # in no branch
        make_child("b.1", branch="b"),
        make_remote_child("b.2", parent="b"),
        make_remote_child("b.1.1", parent="b.1"),
        make_remote_child("b.2.1", parent="b.2"),
        make_child("c.1", branch="c"),
    )

    loaded = await load(store, LoadSet(branches=("b", "c", "nobody's")))

    assert sorted(ids_of(loaded.related)) == ["b.1", "b.1.1", "b.2", "c.1"]
    assert loaded.promises == ()


async def test_a_root_without_a_branch_has_no_family(store):
    await create(store, make_promise("root"), make_child("root.1", branch="root"))

    assert await family(store, "root") == []


async def test_the_family_of_a_branch_is_found_from_inside_it(store):
    await create(
        store,
        make_remote_child("root", parent="root"),
        make_child("root.1", branch="root"),
        make_child("root.2", branch="root"),
    )

    assert await family(store, "root.1") == ["root.1", "root.2"]


async def test_a_root_that_is_absent_has_the_branch_that_is_called_like_it(store):
    await create(
        store,
        make_child("root.1", branch="root"),
        make_remote_child("root.2", parent="root"),
        make_child("other.1", branch="other"),
    )

    loaded = await load(store, LoadSet(ids=("root",), preload=("root",)))

    assert loaded.promises == ()
    assert sorted(ids_of(loaded.related)) == ["root.1", "root.2"]
