"""Random requests, records, answers and messages of the wire."""

from hypothesis import strategies as st
from msgspec import UNSET

from resonate_sdk.protocol.messages import HintData, Invoke, MessageHead, Notify, NotifyData, Resume
from resonate_sdk.protocol.records import (
    GroupRecord,
    PromiseRecord,
    Rate,
    ScheduleRecord,
    TaskDetails,
    TaskRecord,
    TaskRef,
    TriggerRecord,
    Trouble,
    Value,
    WorkerRecord,
)
from resonate_sdk.protocol.requests import (
    ActionHead,
    CallbackAction,
    CreateAction,
    DebugReset,
    DebugSnap,
    DebugStart,
    DebugStop,
    DebugTick,
    Hello,
    PromiseCreate,
    PromiseGet,
    PromiseRegisterCallback,
    PromiseRegisterListener,
    PromiseSearch,
    PromiseSettle,
    ScheduleCreate,
    ScheduleDelete,
    ScheduleGet,
    ScheduleSearch,
    SettleAction,
    TaskAcquire,
    TaskContinue,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRelease,
    TaskReport,
    TaskSearch,
    TaskSuspend,
    TriggerCreate,
    TriggerDelete,
    TriggerGet,
    TriggerSearch,
)
from resonate_sdk.protocol.responses import (
    Beaten,
    Fenced,
    GroupData,
    GroupPage,
    InnerAnswer,
    InnerHead,
    Nothing,
    PromiseData,
    PromisePage,
    Redirected,
    ScheduleData,
    SchedulePage,
    SnapCallback,
    SnapData,
    SnapListener,
    SnapMessage,
    SnapTaskTimeout,
    SnapTimeout,
    Success,
    TaskData,
    TaskGranted,
    TaskPage,
    TriggerData,
    TriggerPage,
    Welcome,
    WorkerPage,
)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
ids = texts.filter(bool)
names = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
integers = st.integers(0, 2**63 - 1)
versions = st.integers(0, 2**63 - 1)
leases = st.integers(1, 86_400_000)
tags = st.dictionaries(texts, texts, max_size=3)
values = st.builds(
    Value,
    headers=st.none() | st.dictionaries(texts, texts, max_size=2),
    data=st.none() | texts,
)
states = st.sampled_from(["pending", "resolved", "rejected", "rejected_canceled"])
addresses = st.builds("amqp://uni@{}/{}".format, names, names)
heads = st.builds(ActionHead, correlation_id=st.none() | texts)

promise_gets = st.builds(PromiseGet, id=ids)
creations = {"id": ids, "timeout_at_ms": integers, "param": values, "tags": tags}
promise_creates = st.builds(PromiseCreate, **creations, listener=st.just(UNSET) | addresses)
promise_settles = st.builds(
    PromiseSettle,
    id=ids,
    state=st.sampled_from(["resolved", "rejected", "rejected_canceled"]),
    value=values,
)
callbacks = st.lists(ids, min_size=2, max_size=2, unique=True).map(
    lambda pair: PromiseRegisterCallback(awaited=pair[0], awaiter=pair[1])
)
task_states = st.sampled_from(["pending", "acquired", "suspended", "halted", "fulfilled"])
create_actions = st.builds(CreateAction, data=st.builds(PromiseCreate, **creations), head=heads)
settle_actions = st.builds(SettleAction, data=promise_settles, head=heads)


@st.composite
def suspends(draw: st.DrawFn) -> TaskSuspend:
    id, *awaited = draw(st.lists(ids, min_size=2, max_size=4, unique=True))
    actions = tuple(
        CallbackAction(data=PromiseRegisterCallback(awaited=other, awaiter=id), head=draw(heads))
        for other in awaited
    )
    return TaskSuspend(id=id, version=draw(versions), actions=actions, preload=draw(st.booleans()))


@st.composite
def fulfills(draw: st.DrawFn) -> TaskFulfill:
    action = draw(settle_actions)
    return TaskFulfill(id=action.data.id, version=draw(versions), action=action)


requests = st.one_of(
    promise_gets,
    promise_creates,
    promise_settles,
    callbacks,
    st.builds(
        PromiseRegisterListener,
        awaited=ids,
        address=addresses,
    ),
    st.builds(
        PromiseSearch,
        state=st.none() | states,
        tags=tags,
        limit=st.integers(1, 1_000),
        cursor=st.none() | ids,
    ),
    st.builds(TaskGet, id=ids, details=st.booleans()),
    st.builds(TaskCreate, pid=names, lease_ms=leases, action=create_actions, preload=st.booleans()),
    st.builds(
        TaskAcquire, id=ids, version=versions, pid=names, lease_ms=leases, preload=st.booleans()
    ),
    st.builds(TaskRelease, id=ids, version=versions),
    st.builds(
        TaskReport,
        id=ids,
        version=versions,
        promise=ids,
        reason=st.just("ValueError: no"),
        attempts=st.integers(0, 9),
        again_ms=st.none() | st.integers(0, 99),
    ),
    fulfills(),
    suspends(),
    st.builds(
        TaskFence,
        id=ids.map("fence of {}".format),
        version=versions,
        action=create_actions | settle_actions,
        preload=st.booleans(),
    ),
    st.builds(
        TaskHeartbeat,
        pid=names,
        tasks=st.lists(st.builds(TaskRef, id=ids, version=versions), min_size=1, max_size=3).map(
            tuple
        ),
    ),
    st.builds(TaskHalt, id=ids),
    st.builds(TaskContinue, id=ids),
    st.builds(
        TaskSearch,
        state=st.none() | task_states,
        details=st.booleans(),
        limit=st.integers(1, 1_000),
        cursor=st.none() | ids,
    ),
    st.builds(ScheduleGet, id=ids),
    st.builds(
        ScheduleCreate,
        id=ids,
        cron=st.just("0 9 * * 1-5"),
        promise_id=ids,
        promise_timeout_ms=integers,
        promise_param=values,
        promise_tags=tags,
        timezone=st.sampled_from(["UTC", "Asia/Tokyo"]),
        overlap=st.sampled_from(["allow", "skip"]),
        missed=st.sampled_from(["all", "latest", "none"]),
    ),
    st.builds(ScheduleDelete, id=ids),
    st.builds(ScheduleSearch, tags=tags, limit=st.integers(1, 1_000), cursor=st.none() | ids),
    st.builds(TriggerGet, id=names),
    st.builds(
        TriggerCreate,
        id=names,
        exchange=names,
        routing_key=names,
        promise_id=ids,
        func=st.just("f"),
        target=names,
        key=st.none() | names,
        priority=st.none() | names,
        timeout_ms=st.integers(1, 9),
    ),
    st.builds(TriggerDelete, id=names),
    st.just(TriggerSearch()),
    st.sampled_from([DebugStart(), DebugStop(), DebugReset(), DebugSnap()]),
    st.builds(DebugTick, at_ms=integers),
    st.builds(
        Hello,
        pid=names,
        group=st.none() | names,
        slots=st.none() | st.integers(0, 99),
        in_flight=st.none() | st.integers(0, 99),
        sdk=texts,
    ),
)

promise_records = st.builds(
    PromiseRecord,
    id=ids,
    state=states | st.just("rejected_timedout"),
    param=values,
    value=values,
    tags=tags,
    timeout_at_ms=integers,
    created_at_ms=integers,
    settled_at_ms=st.none() | integers,
)
instants = st.none() | integers
troubles = st.builds(
    Trouble,
    id=ids,
    reason=texts,
    pid=names,
    attempts=st.integers(0, 9),
    at_ms=integers,
    again_at_ms=instants,
)
task_details = st.builds(
    TaskDetails,
    group=names,
    last_pid=st.none() | names,
    expires_at_ms=instants,
    retry_at_ms=instants,
    queued_at_ms=instants,
    hint_at_ms=instants,
    hints=st.integers(0, 9),
    lease_losses=st.integers(0, 9),
    trouble=st.none() | troubles,
)
task_records = st.builds(
    TaskRecord,
    id=ids,
    state=task_states,
    version=versions,
    resumes=st.integers(0, 9),
    lease_ms=st.none() | leases,
    pid=st.none() | names,
    details=st.none() | task_details,
)
preloads = st.lists(promise_records, max_size=2).map(tuple)
promise_data = st.builds(PromiseData, promise=promise_records)
granted = st.builds(
    TaskGranted,
    task=task_records,
    promise=promise_records,
    preload=preloads,
    preload_cut=st.booleans(),
)
inner_answers = st.builds(
    InnerAnswer,
    kind=st.sampled_from(["promise.create", "promise.settle"]),
    head=st.builds(
        InnerHead,
        correlation_id=st.none() | texts,
        status=st.sampled_from([200, 400, 404]),
        version=st.just("2026-04-01"),
    ),
    data=promise_data | texts,
)
rates = st.builds(Rate, count=st.integers(1, 1_000), per_ms=st.integers(1, 60_000))
group_records = st.builds(
    GroupRecord,
    name=st.sampled_from(["g", "billing"]),
    concurrency=st.none() | st.integers(0, 10_000),
    key_concurrency=st.none() | st.integers(0, 10_000),
    rate=st.none() | rates,
    key_rate=st.none() | rates,
    running=st.none() | st.integers(0, 10_000),
)
worker_records = st.builds(
    WorkerRecord,
    pid=names,
    group=names,
    slots=st.none() | st.integers(0, 9),
    in_flight=st.none() | st.integers(0, 9),
    sdk=texts,
    first_seen_at_ms=integers,
    seen_at_ms=integers,
)
schedule_records = st.builds(
    ScheduleRecord,
    id=ids,
    cron=texts,
    promise_id=ids,
    promise_timeout_ms=integers,
    promise_param=values,
    promise_tags=tags,
    created_at_ms=integers,
    next_run_at_ms=integers,
    last_run_at_ms=st.none() | integers,
    timezone=texts,
    overlap=st.sampled_from(["allow", "skip"]),
    missed=st.sampled_from(["all", "latest", "none"]),
)
trigger_records = st.builds(
    TriggerRecord,
    id=names,
    exchange=names,
    routing_key=texts,
    promise_id=ids,
    func=st.none() | texts,
    target=st.none() | texts,
    key=st.none() | texts,
    priority=st.none() | texts,
    timeout_ms=integers,
    created_at_ms=integers,
    is_ending=st.booleans(),
)
trigger_data = st.builds(TriggerData, trigger=trigger_records)
successes: dict[str, st.SearchStrategy[Success]] = {
    "promise.get": promise_data,
    "promise.create": promise_data,
    "promise.settle": promise_data,
    "promise.register_callback": promise_data,
    "promise.register_listener": promise_data,
    "promise.search": st.builds(PromisePage, promises=preloads, cursor=st.none() | texts),
    "task.get": st.builds(TaskData, task=task_records),
    "task.create": granted,
    "task.acquire": granted,
    "task.release": st.just(Nothing()),
    "task.report": st.just(Nothing()),
    "task.fulfill": promise_data,
    "task.suspend": st.just(Nothing()),
    "task.fence": st.builds(
        Fenced, action=inner_answers, preload=preloads, preload_cut=st.booleans()
    ),
    "task.heartbeat": st.builds(
        Beaten,
        lost=st.lists(st.builds(TaskRef, id=ids, version=versions), max_size=2).map(tuple),
    ),
    "task.halt": st.just(Nothing()),
    "task.continue": st.just(Nothing()),
    "task.search": st.builds(
        TaskPage, tasks=st.lists(task_records, max_size=2).map(tuple), cursor=st.none() | texts
    ),
    "schedule.get": st.builds(ScheduleData, schedule=schedule_records),
    "schedule.create": st.builds(ScheduleData, schedule=schedule_records),
    "schedule.delete": st.just(Nothing()),
    "group.get": st.builds(GroupData, group=group_records),
    "group.set": st.builds(GroupData, group=group_records),
    "group.workers": st.builds(WorkerPage, workers=st.lists(worker_records, max_size=2).map(tuple)),
    "group.list": st.builds(GroupPage, groups=st.lists(group_records, max_size=2).map(tuple)),
    "schedule.search": st.builds(
        SchedulePage,
        schedules=st.lists(schedule_records, max_size=2).map(tuple),
        cursor=st.none() | texts,
    ),
    "trigger.get": trigger_data,
    "trigger.create": trigger_data,
    "trigger.delete": st.just(Nothing()),
    "trigger.search": st.builds(
        TriggerPage, triggers=st.lists(trigger_records, max_size=2).map(tuple)
    ),
    "hello": st.builds(
        Welcome,
        partitions=st.integers(1, 64),
        request_bytes_max=integers,
        version=texts,
    ),
}
hint_heads = st.builds(MessageHead, version=texts, sent_at_ms=integers, attempt=st.integers(0, 99))
hint_data = st.builds(
    HintData,
    task=st.builds(TaskRef, id=ids, version=versions),
    promise=st.none() | promise_records,
)
messages = st.one_of(
    st.builds(Invoke, data=hint_data, head=hint_heads),
    st.builds(Resume, data=hint_data, head=hint_heads),
    st.builds(Notify, data=st.builds(NotifyData, promise=promise_records), head=hint_heads),
)
successes |= {
    kind: st.just(Nothing()) for kind in ("debug.start", "debug.stop", "debug.reset", "debug.tick")
}
timeouts = st.builds(SnapTimeout, id=ids, timeout=integers)
task_timeouts = st.builds(SnapTaskTimeout, id=ids, type=st.integers(0, 1), timeout=integers)
snap_messages = st.builds(SnapMessage, address=texts, message=messages)
successes["debug.snap"] = st.builds(
    SnapData,
    promises=preloads,
    promise_timeouts=st.lists(timeouts, max_size=1).map(tuple),
    callbacks=st.lists(st.builds(SnapCallback, awaiter=ids, awaited=ids), max_size=1).map(tuple),
    listeners=st.lists(st.builds(SnapListener, id=ids, address=texts), max_size=1).map(tuple),
    tasks=st.lists(task_records, max_size=1).map(tuple),
    task_timeouts=st.lists(task_timeouts, max_size=1).map(tuple),
    messages=st.lists(snap_messages, max_size=1).map(tuple),
)
redirects = st.builds(Redirected, preload=preloads, preload_cut=st.booleans())
