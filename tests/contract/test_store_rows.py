"""Every field of every row survives its way into a store and back."""

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec import structs
from msgspec.structs import replace

from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.limits import INSTANT_MS_MAX
from resonate_sdk.protocol.records import EMPTY, Value
from resonate_store.state import Changes, LoadSet, Promise, Task
from tests.contract.rows import BORN_AT_MS, create, make_promise, make_task, read, write

ACQUIRED = make_task(
    state="acquired",
    version=7,
    pid="worker-1",
    lease_ms=15_000,
    expires_at_ms=BORN_AT_MS + 15_000,
    resumes=("a", "ü"),
    priority=9,
    concurrency_key="customer-1",
    last_pid="worker-0",
    is_resumed=True,
    retry_at_ms=1,
    queued_at_ms=2,
    hint_at_ms=3,
    is_hint_sticky=True,
    attempts=4,
    lease_losses=5,
)
SETTLED = make_promise(
    state="rejected",
    param=Value(headers={"encoding": "json"}, data="cGFyYW0="),
    value=Value(headers={"error": "true"}, data="dmFsdWU="),
    tags={tag.ORIGIN: "root", tag.BRANCH: "root", tag.PARENT: "root", "customer": "1"},
    settled_at_ms=BORN_AT_MS + 1,
    timer_at_ms=BORN_AT_MS + 2,
    task=ACQUIRED,
)
# What a promise is born with. Everything else may be updated.
FIXED_PROMISE = {"id", "param", "tags", "timeout_at_ms", "created_at_ms", "task"}
FIXED_TASK = {"group", "priority", "concurrency_key"}
CHANGING_PROMISE = [x for x in Promise.__struct_fields__ if x not in FIXED_PROMISE]
CHANGING_TASK = [x for x in Task.__struct_fields__ if x not in FIXED_TASK]

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
INSTANT = st.integers(0, INSTANT_MS_MAX)
COUNT = st.integers(0, 2**31 - 1)
VALUE = st.builds(
    Value,
    headers=st.none() | st.dictionaries(TEXT, TEXT, max_size=3),
    data=st.none() | TEXT,
)
TASK = st.builds(
    Task,
    state=st.sampled_from(["pending", "acquired", "suspended", "halted", "fulfilled"]),
    version=INSTANT,
    group=TEXT,
    pid=st.none() | TEXT,
    lease_ms=st.none() | INSTANT,
    expires_at_ms=st.none() | INSTANT,
    resumes=st.lists(TEXT, max_size=3).map(tuple),
    priority=st.none() | COUNT,
    concurrency_key=st.none() | TEXT,
    last_pid=st.none() | TEXT,
    is_resumed=st.booleans(),
    retry_at_ms=st.none() | INSTANT,
    queued_at_ms=st.none() | INSTANT,
    hint_at_ms=st.none() | INSTANT,
    is_hint_sticky=st.booleans(),
    attempts=COUNT,
    lease_losses=COUNT,
)
PROMISE = st.builds(
    Promise,
    id=TEXT,
    state=st.sampled_from(["pending", "resolved", "rejected_canceled", "rejected_timedout"]),
    param=VALUE,
    value=VALUE,
    tags=st.dictionaries(TEXT | st.sampled_from(sorted(tag.KNOWN)), TEXT, max_size=5),
    timeout_at_ms=INSTANT,
    created_at_ms=INSTANT,
    settled_at_ms=st.none() | INSTANT,
    timer_at_ms=st.none() | INSTANT,
    task=st.none() | TASK,
)


def test_the_rows_of_these_tests_have_no_field_at_its_default():
    for row in (SETTLED, ACQUIRED):
        for field in structs.fields(row):
            assert getattr(row, field.name) != field.default, field.name


@pytest.mark.parametrize(
    "promise",
    [
        make_promise(),
        SETTLED,
        make_promise(task=make_task()),
        make_promise(param=EMPTY),
        make_promise(param=Value(headers={}, data="")),
        make_promise("ü/日本/🦀/é/'\"\\{}", tags={"🦀": "\\u0041 \" ' \\ \n\t"}),
        make_promise("é" * 512, tags={tag.ORIGIN: "日" * 341, tag.PARENT: "ü" * 512}),
        make_promise(param=Value(data="x" * 2**20), value=Value(data="y" * 2**20)),
        make_promise(timeout_at_ms=INSTANT_MS_MAX, created_at_ms=0, timer_at_ms=0),
    ],
    ids=["plain", "full", "task", "empty", "hollow", "unicode", "long", "large", "extreme"],
)
async def test_a_created_promise_is_read_as_it_was(store, promise):
    await create(store, promise)

    assert await read(store, promise.id) == promise
    assert (await store.snapshot()).promises == (promise,)
    assert (await store.search({}, None, 10)).promises == (promise,)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(promises=st.lists(PROMISE, min_size=1, max_size=10, unique_by=lambda promise: promise.id))
async def test_whatever_is_created_together_is_read_as_it_was(store, promises):
    taken = len((await store.snapshot()).promises)
    promises = [replace(p, id=f"{taken}/{p.id}") for p in promises]
    by_id = {promise.id: promise for promise in promises}

    await create(store, *promises)

    transaction = await store.begin(LoadSet(ids=tuple(sorted(by_id))))
    await transaction.rollback()
    assert {promise.id: promise for promise in transaction.loaded.promises} == by_id


@pytest.mark.parametrize("field", CHANGING_PROMISE)
async def test_a_field_of_a_promise_changes_alone(store, field):
    await create(store, make_promise())
    changed = replace(make_promise(), **{field: getattr(SETTLED, field)})

    await write(store, Changes(updated=(changed,)))

    assert await read(store, "p") == changed


@pytest.mark.parametrize("field", CHANGING_TASK)
async def test_a_field_of_a_task_changes_alone_and_back(store, field):
    before = make_promise(task=make_task())
    changed = make_promise(task=replace(make_task(), **{field: getattr(ACQUIRED, field)}))
    await create(store, before)

    await write(store, Changes(updated=(changed,)))
    assert await read(store, "p") == changed

    await write(store, Changes(updated=(before,)))
    assert await read(store, "p") == before


async def test_an_update_keeps_what_a_promise_was_born_with(store):
    await create(store, SETTLED)
    changed = replace(SETTLED, timer_at_ms=None, task=replace(ACQUIRED, state="fulfilled"))

    await write(store, Changes(updated=(changed,)))

    assert await read(store, "p") == changed


async def test_one_batch_creates_and_updates_many(store):
    old = [make_promise(f"old-{n:03}", task=make_task()) for n in range(300)]
    await create(store, *old)
    updated = tuple(replace(p, task=make_task(version=n)) for n, p in enumerate(old))
    created = tuple(make_promise(f"new-{n:03}", value=Value(data=str(n))) for n in range(300))

    await write(store, Changes(created=created, updated=updated))

    assert (await store.snapshot()).promises == (*created, *updated)
