"""How PostgreSQL carries our statements out: by index, and without touching the indexes."""

import asyncio
import re
from typing import Any

import asyncpg
import pytest

from resonate_sdk.protocol import tags as tag
from resonate_sdk.protocol.records import Value
from resonate_store.postgres import PostgresStore, settings
from resonate_store.postgres.rows import to_document
from resonate_store.queries import load_queries
from resonate_store.state import Callback, Changes, Listener, LoadSet, Promise, Timer
from tests.contract.rows import (
    create,
    make_child,
    make_promise,
    make_remote_child,
    make_task,
    write,
)

QUERIES = {
    **load_queries("resonate_store.postgres"),
    **{
        f"{file}: {name}": text
        for file in ("schedules", "inbox", "groups", "triggers", "events")
        for name, text in load_queries("resonate_store.postgres", f"{file}.sql").items()
    },
}
ROWS_TO_GROW = 2_000
STATISTICS_SECONDS_MAX = 10
HOT_RATIO_MIN = 0.9

AWAITED = make_promise("awaited")
ROOT = make_remote_child("root", parent="root", task=make_task(queued_at_ms=1))
CHANGES = Changes(
    created=(make_promise("new"),),
    updated=(AWAITED,),
    callbacks_added=(Callback("new", "root"),),
    callbacks_consumed=(Callback("awaited", "root"),),
    listeners_added=(Listener("new", "amqp://any@g"),),
    listeners_told=(Listener("awaited", "amqp://any@g"),),
    timers_told=(Timer(1, "awaited"),),
    timers_disarmed=(Timer(2, "awaited"),),
    timers_armed=(Timer(3, "new"),),
)
NAMES = ["awaited", "root"]
STATEMENTS = {
    "load": ((NAMES, NAMES, NAMES, 1_000, 20_000, 2**22), {"promises_pkey", "callbacks_pkey",
             "listeners_pkey", "promises_branch", "promises_remote_child"}),
    "branches": ((["root"], 20_000, 2**22), {"promises_pkey", "promises_branch",
                 "promises_remote_child"}),
    "store": ((to_document(CHANGES, {"awaited": AWAITED}).decode(),), {"promises_pkey", "callbacks_pkey",
              "listeners_pkey", "timers_pkey"}),
    "due": ((10, None), {"timers_pkey"}),
    "insert_uses": ((["a"], ["b"]), set[str]()),
    "retired": (("(0,0)", "(9,0)", 10), {"promises_pkey"}),
    "remove_tree": (("root", 2**62, 500), {"promises_pkey", "promises_origin", "callbacks_pkey",
                    "listeners_pkey", "uses_pkey"}),
    "schedules: lock": ((["s"],), {"schedules_pkey"}),
    "schedules: read": ((["s"],), {"schedules_pkey"}),
    "schedules: update": ((["s"], [1], [1]), {"schedules_pkey"}),
    "schedules: delete": ((["s"],), {"schedules_pkey"}),
    "schedules: due": ((10, None), {"schedules_due"}),
    "schedules: search": (("{}", "", 10, 10_000), {"schedules_pkey"}),
    "inbox: waiting": ((10, 2**22), {"inbox_pkey"}),
    "inbox: load": (([1, 2],), {"inbox_pkey"}),
    "inbox: delete": (([1, 2],), {"inbox_pkey"}),
    "inbox: refuse": (([1], ["r"]), {"inbox_pkey"}),
    "groups: lock": ((["g"],), {"groups_pkey"}),
    "groups: read": ((["g"],), {"groups_pkey", "promises_pkey"}),
    "groups: all": ((), {"groups_pkey"}),
    "groups: delete": ((["g"],), {"groups_pkey"}),
    "groups: adopt": (("g",), {"groups_pkey", "promises_pkey", "timers_pkey"}),
    "triggers: insert": (("t", "x", "k", "p", "f", "g", None, None, 1, 10), {"triggers_pkey"}),
    "triggers: all": ((), {"triggers_pkey"}),
    "triggers: end": (("t",), {"triggers_pkey"}),
    "triggers: remove": (("t",), {"triggers_pkey"}),
    "events: store": ((["o"], ["k"], ["s"], ["g"], [1], ["d"]), {"event_origins_pkey"}),
    "events: read": ((10,), {"events_pkey"}),
    "events: forget": (([1, 2],), {"events_pkey"}),
    "queued": (("billing", 10, 10_000, True, ["k"], ["l"]), {"promises_waiting"}),
    "queued_groups": ((10,), {"promises_waiting"}),
    "search_all": (("{}", "", 10, 10_000, None, 2**22), {"promises_pkey"}),
    "search_tasks": (("pending", "", 10, 10_000, 2**22), {"promises_pkey"}),
    "search_origin": (
        ("{}", "", 10, 10_000, None, "root", 2**22),
        {"promises_pkey", "promises_origin"},
    ),
}  # fmt: skip
# What reads everything, or nothing by a key.
WITHOUT_A_KEY = {
    "all_promises", "all_callbacks", "all_listeners", "all_timers", "schedules: all", "reset",
    "home", "fate", "end_transaction", "secret",  # no table that grows
    "schedules: insert", "groups: put",
    "events: claim",  # of the one row
    "events: forget_origin",  # for the removal of a tree, in the outbox, which is short by then
}  # fmt: skip
# What reads an index as a whole, of a table that is small, or the first entries of it.
FROM_THE_BEGINNING = {
    "inbox: waiting", "groups: all", "triggers: all", "triggers: insert", "events: read",
    "queued_groups",
    "groups: adopt",  # all that has a timer, once when a group is given limits
}  # fmt: skip


class Explained:
    """A session that tells the plan of every statement, also of those inside functions."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._plans: list[str] = []
        self._statements: dict[str, Any] = {}
        connection.add_log_listener(lambda _, message: self._plans.append(message.message))

    async def plans(self, query: str, *parameters: object) -> str:
        if query not in self._statements:
            self._statements[query] = await self._connection.prepare(QUERIES[query])
        await self._connection.execute("begin")
        self._plans.clear()
        await self._statements[query].fetch(*parameters)
        await self._connection.execute("rollback")
        return "\n".join(self._plans)


@pytest.fixture
async def explained(tables):
    connection = await asyncpg.connect(
        tables.url, server_settings=dict(settings.data_path(tables.namespace))
    )
    await connection.execute("load 'auto_explain'")  # as a superuser: else the test fails here
    await connection.execute(
        "set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;"
        "set client_min_messages = log"
    )
    yield Explained(connection)
    await connection.close()


def check_plans(plans: str, indexes: set[str]) -> None:
    scans = set(re.findall(r"Index (?:Only )?Scan using (\w+)", plans))
    assert scans == indexes
    for slow in ("Seq Scan", "Hash Join", "Merge Join", "Bitmap"):
        assert slow not in plans, plans


async def test_every_statement_finds_its_rows_by_an_index(explained, store, observer):
    # A plan is made once, for the empty tables, and kept while they grow.
    await create(store, AWAITED, ROOT, make_child("root.1", branch="root"))
    for query, (parameters, indexes) in STATEMENTS.items():
        check_plans(await explained.plans(query, *parameters), indexes)

    await create(store, *(make_promise(f"{n}", task=make_task()) for n in range(ROWS_TO_GROW)))
    for query, (parameters, indexes) in STATEMENTS.items():
        check_plans(await explained.plans(query, *parameters), indexes)

    await observer.execute("analyze promises, callbacks, listeners, timers")
    for query, (parameters, indexes) in STATEMENTS.items():
        check_plans(await explained.plans(query, *parameters), indexes)


async def test_rows_are_found_by_their_keys_however_small_the_tables_were(
    explained, store, observer
):
    """With a row in each, a whole index costs no more than a key; the plan stays as they grow."""
    awaiting = Changes(
        created=(AWAITED, ROOT, make_child("root.1", branch="root")),
        callbacks_added=CHANGES.callbacks_consumed,
        listeners_added=CHANGES.listeners_told,
        timers_armed=CHANGES.timers_told,
    )
    await write(store, awaiting)
    await observer.execute("analyze promises, callbacks, listeners, timers")

    for query in STATEMENTS.keys() - FROM_THE_BEGINNING:
        parameters, _ = STATEMENTS[query]
        plans = await explained.plans(query, *parameters)
        assert plans.count("Index Cond") == len(re.findall("Index (?:Only )?Scan", plans)), plans


# Everything hangs together: one tree and branch, one promise that all others await.
SKEWED = """
    insert into promises (
        id, origin, branch, parent, timeout_at, created_at, tags, group_name, state, task_state,
        version, is_resumed, retry_at, queued_at, is_hint_sticky, attempts, lease_losses
    )
    select
        'root.' || n, 'root', case when n % 2 = 0 then 'root' else 'root.' || n end, 'root', 9, 1,
        '{}', 'billing', 'pending', 'pending', 0, false, 1, n, false, 0, 0
    from generate_series(2, $1::integer) n;
    """
AWAITING = """
    insert into callbacks (awaited, awaiter)
    select 'awaited', 'root.' || n from generate_series(1, $1::integer) n
    """
SCHEDULES = """
    insert into schedules (
        id, cron, timezone, overlap, missed, promise_id, promise_timeout, promise_tags, created_at,
        next_run_at
    )
    select 's' || n, '* * * * *', 'UTC', 'allow', 'all', 'p', 1, '{}', 1, 5
    from generate_series(1, $1::integer) n
    """
DUE = (
    "insert into timers (due_at, id) select 5, 'root.' || n from generate_series(1, $1::integer) n"
)


async def test_plans_stay_when_nearly_all_rows_have_something_in_common(explained, store, observer):
    await create(store, AWAITED, ROOT)
    for rows in (SKEWED, AWAITING, DUE, SCHEDULES):
        await observer.execute(rows, ROWS_TO_GROW)

    await observer.execute("analyze promises, callbacks, timers, schedules")

    of_schedules = (query for query in STATEMENTS if query.startswith("schedules: "))
    for query in (
        *("load", "branches", "store", "due", "queued", "search_origin", "remove_tree"),
        *of_schedules,
    ):
        parameters, indexes = STATEMENTS[query]
        check_plans(await explained.plans(query, *parameters), indexes)
    # With fewer rows than a production has, the planner may be right by luck: see what it believes.
    believed = await observer.fetch(
        "select attname, n_distinct from pg_stats"
        " where (tablename, attname) in (('promises', 'origin'), ('promises', 'branch'),"
        "     ('promises', 'parent'), ('callbacks', 'awaiter')) and schemaname = current_schema"
    )
    assert dict(believed) == {"origin": -1, "branch": -1, "parent": -1, "awaiter": 1}


async def test_the_first_that_wait_in_a_group_are_found_without_looking_at_the_others(explained):
    parameters, _ = STATEMENTS["queued"]

    # To sort, or to gather, would be to read all that are looked at.
    assert not re.findall(
        "Sort|Materialize|Aggregate", await explained.plans("queued", *parameters)
    )


def test_no_statement_is_left_out():
    assert STATEMENTS.keys() | WITHOUT_A_KEY == QUERIES.keys()
    assert not STATEMENTS.keys() & WITHOUT_A_KEY


def test_a_value_that_is_stored_is_not_sent_again():
    settled = make_promise(state="resolved", value=Value(headers={"large": ""}, data="large"))

    document = to_document(Changes(updated=(settled,)), {settled.id: settled})

    assert b"large" not in document


def make_invocation(id: str, task_state: str, **fields: Any) -> Promise:
    tags = {tag.TARGET: "amqp://any@billing", tag.ORIGIN: id, tag.BRANCH: id, tag.PARENT: id}
    param = Value(data="x" * 200)
    return make_promise(id, param=param, tags=tags, task=make_task(state=task_state), **fields)


async def live(store: PostgresStore, ids: tuple[str, ...]) -> None:
    """Let invocations be created, acquired, fulfilled and told, a batch for each step."""
    listeners = tuple(Listener(id, "amqp://uni@g/pid") for id in ids)
    timers = tuple(Timer(1, id) for id in ids)
    settled = {"state": "resolved", "value": Value(data="y" * 100)}
    for changes in (
        Changes(
            created=tuple(make_invocation(id, "pending") for id in ids),
            listeners_added=listeners,
            timers_armed=timers,
        ),
        Changes(updated=tuple(make_invocation(id, "acquired") for id in ids)),
        Changes(updated=tuple(make_invocation(id, "fulfilled", **settled) for id in ids)),
        Changes(listeners_told=listeners, timers_told=timers),
    ):
        transaction = await store.begin(LoadSet(ids=ids, settling=ids, preload=ids))
        await transaction.commit(changes)


async def test_updates_of_the_common_path_touch_no_index(store, observer):
    for first in range(1_000, 2_000, 100):
        await live(store, tuple(f"{n}" for n in range(first, first + 100)))
    await store.close()  # the session tells its statistics when it ends

    query = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = $1::regclass"
    async with asyncio.timeout(STATISTICS_SECONDS_MAX):
        while (counts := (await observer.fetch(query, "promises"))[0])[0] < 2_000:
            pass
    updates, hot = counts
    assert updates == 2_000
    assert hot / updates > HOT_RATIO_MIN
    assert await observer.fetchval("select count(*) from timers") == 0
