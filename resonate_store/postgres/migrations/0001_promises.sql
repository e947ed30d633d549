-- The tables of durable state, and the two functions of the data path.
--
-- Everything lives in the schema that is named like the namespace; connections find it by their
-- search_path, so that no statement names it. Ids compare by bytes, as in Python and in SQLite.

create table promises (
    -- What it was born with; never updated. It stands first: the WAL of an update leaves out what
    -- the old and the new row have in common at their beginning.
    id text collate "C" not null primary key,
    origin text collate "C",
    branch text collate "C",
    parent text collate "C",
    timeout_at bigint not null,
    created_at bigint not null,
    tags jsonb not null,
    param_headers jsonb,
    param_data text,
    group_name text collate "C",
    priority integer,
    concurrency_key text,
    -- What became of it.
    state text not null,
    settled_at bigint,
    timer_at bigint,
    value_headers jsonb,
    value_data text,
    -- Its task, if it has one.
    task_state text,
    version bigint,
    pid text,
    last_pid text,
    lease_ms bigint,
    expires_at bigint,
    resumes jsonb,
    is_resumed boolean not null default false,
    retry_at bigint,
    queued_at bigint,
    hint_at bigint,
    is_hint_sticky boolean not null default false,
    attempts integer not null default 0,
    lease_losses integer not null default 0
) with (fillfactor = 50);

comment on table promises is
    'Durable promises, each with its task. A row is also the lock of what belongs to its '
    'promise: the task, the callbacks, the listeners. Instants (..._at) are epoch milliseconds; '
    'to_timestamp(created_at / 1000.0) makes one readable.';
comment on column promises.origin is
    'Tag resonate:origin: the root of the execution tree it belongs to.';
comment on column promises.branch is 'Tag resonate:branch: the promise whose task executes it.';
comment on column promises.parent is 'Tag resonate:parent: the invocation that created it.';
comment on column promises.timeout_at is
    'Its deadline. What is still pending then has timed out, whether that is written here yet '
    'or not.';
comment on column promises.param_data is 'By convention base64 of JSON.';
comment on column promises.value_data is 'By convention base64 of JSON.';
comment on column promises.group_name is 'The worker group that its target names.';
comment on column promises.state is
    'pending, resolved, rejected, rejected_canceled or rejected_timedout.';
comment on column promises.timer_at is 'The row of timers that stands for it.';
comment on column promises.task_state is
    'pending, acquired, suspended, halted or fulfilled; null without a task.';
comment on column promises.version is
    'Counts acquisitions, and so tells stale holders from the present one.';
comment on column promises.pid is 'The process that holds the lease, while acquired.';
comment on column promises.resumes is
    'Awaited promises that settled since the last acquire or suspend.';
comment on column promises.retry_at is 'No hint is sent (again) before this, while pending.';
comment on column promises.queued_at is
    'Since when it waits for room among the hints of its group.';
comment on column promises.hint_at is 'When a worker was last told of it, while pending.';
comment on column promises.lease_losses is
    'Leases lost in a row without a sign of progress in between.';

-- No index contains, or is restricted by, a column that changes in the life of a promise: only then
-- are updates HOT, that is, they touch no index. The fill factor leaves room for them in the page.
-- The one exception, queued_at, stays null on the common path. A root is its own origin and branch;
-- it is found by its primary key.
create index promises_origin on promises (origin, id) where origin <> id;
create index promises_branch on promises (branch, id) where branch <> id;
create index promises_remote_child on promises (parent, id) where parent <> id and branch = id;
create index promises_queued on promises (group_name, queued_at, id) where queued_at is not null;

create table callbacks (
    awaited text collate "C" not null,
    awaiter text collate "C" not null,
    primary key (awaited, awaiter)
);
comment on table callbacks is
    'When the promise awaited settles, the task of awaiter wakes. A row whose awaited promise '
    'is settled is still to be done.';

create table listeners (
    awaited text collate "C" not null,
    address text collate "C" not null,
    primary key (awaited, address)
);
comment on table listeners is
    'When the promise awaited settles, address is told. A row whose awaited promise is settled '
    'is a message that the broker has not confirmed yet.';

create table timers (
    due_at bigint not null,
    id text collate "C" not null,
    primary key (due_at, id)
);
comment on table timers is
    'Somebody must look at the promise id at due_at: for its deadline, its lease, its next '
    'hint, or what is still to be done after it settled. The row may stand too early, never too '
    'late. One that promises.timer_at does not name was left behind, and goes when it is due.';

-- The rows of these tables come and go with every life. They need a vacuum long before a fifth of
-- them has died; it must clean the index as well, and not shorten the file, which takes a lock that
-- the next inserts would wait for.
alter table callbacks set (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
    vacuum_index_cleanup = on, vacuum_truncate = off
);
alter table listeners set (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
    vacuum_index_cleanup = on, vacuum_truncate = off
);
alter table timers set (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
    vacuum_index_cleanup = on, vacuum_truncate = off
);

-- Phase one of a batch: lock what it names, then read. Three rules, each found by a failure:
-- * No value that can change comes out of a statement that waits for a lock: while it waits, only
--   the row it waits for is read again. So the first statement locks, the later ones read.
-- * Only what was locked exists. An id that was absent when the first statement looked, and that
--   was inserted while it waited, would be read without being locked.
-- * Nobody waits twice: after the first statement, rows are locked only if they are free.
create function load_v1(
    ids text[],
    settling text[],
    preload text[],
    awaiters_max integer,
    related_max integer,
    related_bytes_max bigint
) returns table (
    kind text,
    awaited text,
    waiting text,
    now_ms bigint,
    xid bigint,
    id text, timeout_at bigint, created_at bigint, tags jsonb, param_headers jsonb,
    param_data text, group_name text, priority integer, concurrency_key text, state text,
    settled_at bigint, timer_at bigint, value_headers jsonb, value_data text, task_state text,
    version bigint, pid text, last_pid text, lease_ms bigint, expires_at bigint, resumes jsonb,
    is_resumed boolean, retry_at bigint, queued_at bigint, hint_at bigint, is_hint_sticky boolean,
    attempts integer, lease_losses integer
) language plpgsql as $$
#variable_conflict use_column
declare
    locked text[];
    awaited_ids text[];
    awaiter_ids text[];
    roots text[];
    family text[];
    is_local boolean[];
begin
    if ids is not null then
        locked := array(
            select p.id from promises p where p.id = any(ids) order by p.id for no key update
        );
    end if;

    if settling is not null and locked <> '{}' then
        -- More are read than can be locked, so that who decides sees when some are left.
        select array_agg(s.id), array_agg(c.awaiter) into awaited_ids, awaiter_ids
        from unnest(settling) as s(id) cross join lateral (
            select c.awaiter from callbacks c where c.awaited = s.id
            order by c.awaiter limit awaiters_max + cardinality(ids) + 1
        ) c;
        if awaiter_ids is not null then
            locked := locked || array(
                select p.id from promises p where p.id = any(awaiter_ids)
                order by p.id limit awaiters_max for no key update skip locked
            );
        end if;
    end if;

    if locked <> '{}' then
        return query
        select
            'promise', null, null, null::bigint, null::bigint,
            p.id, p.timeout_at, p.created_at, p.tags, p.param_headers, p.param_data, p.group_name,
            p.priority, p.concurrency_key, p.state, p.settled_at, p.timer_at, p.value_headers,
            p.value_data, p.task_state, p.version, p.pid, p.last_pid, p.lease_ms, p.expires_at,
            p.resumes, p.is_resumed, p.retry_at, p.queued_at, p.hint_at, p.is_hint_sticky,
            p.attempts, p.lease_losses
        from promises p where p.id = any(locked);
    end if;

    if awaiter_ids is not null then
        kind := 'callback';
        for awaited, waiting in
            select c.awaited, c.awaiter
            from unnest(awaited_ids, awaiter_ids) as c(awaited, awaiter)
        loop
            return next;
        end loop;
    end if;

    if settling is not null and locked <> '{}' then
        kind := 'listener';
        for awaited, waiting in
            select l.awaited, l.address from listeners l where l.awaited = any(settling)
        loop
            return next;
        end loop;
    end if;

    if preload is not null then
        -- What is absent may be created by the batch: its branch is then called like itself.
        select array_agg(r.branch), array_agg(f.id), array_agg(f.is_local)
        into roots, family, is_local
        from (
            select case when p.id is null then a.id else p.branch end as branch
            from unnest(preload) as a(id) left join promises p on p.id = a.id
        ) r cross join lateral (
            (select p.id, true from promises p where p.branch = r.branch and p.branch <> p.id
             order by p.id limit related_max)
            union all
            (select p.id, false from promises p
             where p.parent = r.branch and p.parent <> p.id and p.branch = p.id
             order by p.id limit related_max)
        ) as f(id, is_local);
    end if;
    if family is not null then
        return query
        with kin as (
            select f.root, f.id from unnest(roots, family) as f(root, id)
            union
            select f.root, c.id
            from unnest(roots, family, is_local) as f(root, id, is_local) cross join lateral (
                select p.id from promises p
                where p.parent = f.id and p.parent <> p.id and p.branch = p.id
                order by p.id limit related_max
            ) c
            where f.is_local
        ), measured as (
            select
                k.id,
                sum(
                    coalesce(octet_length(p.param_data), 0)
                    + coalesce(octet_length(p.value_data), 0)
                ) over (
                    partition by k.root order by p.id
                    rows between unbounded preceding and 1 preceding
                ) as bytes_before
            from kin k join promises p on p.id = k.id
        )
        select
            'related', null, null, null::bigint, null::bigint,
            p.id, p.timeout_at, p.created_at, p.tags, p.param_headers, p.param_data, p.group_name,
            p.priority, p.concurrency_key, p.state, p.settled_at, p.timer_at, p.value_headers,
            p.value_data, p.task_state, p.version, p.pid, p.last_pid, p.lease_ms, p.expires_at,
            p.resumes, p.is_resumed, p.retry_at, p.queued_at, p.hint_at, p.is_hint_sticky,
            p.attempts, p.lease_losses
        from promises p
        where p.id = any(array(
            select m.id from measured m
            where m.bytes_before is null or m.bytes_before <= related_bytes_max
        ));
    end if;

    kind := 'end';
    awaited := null;
    waiting := null;
    xid := pg_current_xact_id()::text::bigint;
    now_ms := floor(extract(epoch from clock_timestamp()) * 1000);
    return next;
end $$;

-- Phase two: write what was decided. The elements of the same index in the arrays of a table are one
-- row; an array is null where all its elements would be null. Rows are found by primary key alone:
-- they are locked, and nothing is left to decide. Each array comes sorted by key, and a function
-- scan keeps its order, so that two batches that insert never deadlock. Timers, and listeners that
-- were told, are deleted without the lock of their promise: these statements never wait, and come
-- last, so that nobody who holds their locks waits for anything.
create function store_v1(
    created_id text[], created_origin text[], created_branch text[], created_parent text[],
    created_timeout_at bigint[], created_created_at bigint[], created_tags jsonb[],
    created_param_headers jsonb[], created_param_data text[], created_group_name text[],
    created_priority integer[], created_concurrency_key text[], created_state text[],
    created_settled_at bigint[], created_timer_at bigint[], created_value_headers jsonb[],
    created_value_data text[], created_task_state text[], created_version bigint[],
    created_pid text[], created_last_pid text[], created_lease_ms bigint[],
    created_expires_at bigint[], created_resumes jsonb[], created_is_resumed boolean[],
    created_retry_at bigint[], created_queued_at bigint[], created_hint_at bigint[],
    created_is_hint_sticky boolean[], created_attempts integer[], created_lease_losses integer[],
    updated_id text[], updated_state text[], updated_settled_at bigint[],
    updated_timer_at bigint[], updated_value_headers jsonb[], updated_value_data text[],
    updated_task_state text[], updated_version bigint[], updated_pid text[],
    updated_last_pid text[], updated_lease_ms bigint[], updated_expires_at bigint[],
    updated_resumes jsonb[], updated_is_resumed boolean[], updated_retry_at bigint[],
    updated_queued_at bigint[], updated_hint_at bigint[], updated_is_hint_sticky boolean[],
    updated_attempts integer[], updated_lease_losses integer[], callbacks_added_awaited text[],
    callbacks_added_awaiter text[], callbacks_consumed_awaited text[],
    callbacks_consumed_awaiter text[], listeners_added_awaited text[],
    listeners_added_address text[], listeners_told_awaited text[], listeners_told_address text[],
    timers_told_due_at bigint[], timers_told_id text[], timers_disarmed_due_at bigint[],
    timers_disarmed_id text[], timers_armed_due_at bigint[], timers_armed_id text[]
) returns void language plpgsql as $$
#variable_conflict use_column
declare
    written bigint;
begin
    if created_id is not null then
        insert into promises (
            id, origin, branch, parent, timeout_at, created_at, tags, param_headers, param_data,
            group_name, priority, concurrency_key, state, settled_at, timer_at, value_headers,
            value_data, task_state, version, pid, last_pid, lease_ms, expires_at, resumes,
            is_resumed, retry_at, queued_at, hint_at, is_hint_sticky, attempts, lease_losses
        )
        select
            created_id[i], created_origin[i], created_branch[i], created_parent[i],
            created_timeout_at[i], created_created_at[i], created_tags[i],
            created_param_headers[i], created_param_data[i], created_group_name[i],
            created_priority[i], created_concurrency_key[i], created_state[i],
            created_settled_at[i], created_timer_at[i], created_value_headers[i],
            created_value_data[i], created_task_state[i], created_version[i], created_pid[i],
            created_last_pid[i], created_lease_ms[i], created_expires_at[i], created_resumes[i],
            coalesce(created_is_resumed[i], false), created_retry_at[i], created_queued_at[i],
            created_hint_at[i], coalesce(created_is_hint_sticky[i], false),
            coalesce(created_attempts[i], 0), coalesce(created_lease_losses[i], 0)
        from generate_subscripts(created_id, 1) as i
        on conflict do nothing;
        get diagnostics written = row_count;
        if written < cardinality(created_id) then
            raise exception '% of % promises to create exist',
                cardinality(created_id) - written, cardinality(created_id)
                using errcode = 'RS001';
        end if;
    end if;
    if updated_id is not null then
        -- A value that is not given stays: it is large, and never changes once it is there.
        update promises p set
            state = updated_state[i], settled_at = updated_settled_at[i],
            timer_at = updated_timer_at[i],
            value_headers = coalesce(updated_value_headers[i], p.value_headers),
            value_data = coalesce(updated_value_data[i], p.value_data),
            task_state = updated_task_state[i], version = updated_version[i], pid = updated_pid[i],
            last_pid = updated_last_pid[i], lease_ms = updated_lease_ms[i],
            expires_at = updated_expires_at[i], resumes = updated_resumes[i],
            is_resumed = coalesce(updated_is_resumed[i], false), retry_at = updated_retry_at[i],
            queued_at = updated_queued_at[i], hint_at = updated_hint_at[i],
            is_hint_sticky = coalesce(updated_is_hint_sticky[i], false),
            attempts = coalesce(updated_attempts[i], 0),
            lease_losses = coalesce(updated_lease_losses[i], 0)
        from generate_subscripts(updated_id, 1) as i
        where p.id = updated_id[i];
        get diagnostics written = row_count;
        assert written = cardinality(updated_id), 'a promise to update is not there';
    end if;
    if callbacks_added_awaited is not null then
        insert into callbacks (awaited, awaiter)
        select a.awaited, a.awaiter
        from unnest(callbacks_added_awaited, callbacks_added_awaiter) as a(awaited, awaiter)
        on conflict do nothing;
    end if;
    if callbacks_consumed_awaited is not null then
        delete from callbacks c
        using unnest(callbacks_consumed_awaited, callbacks_consumed_awaiter) as g(awaited, awaiter)
        where c.awaited = g.awaited and c.awaiter = g.awaiter;
    end if;
    if listeners_added_awaited is not null then
        insert into listeners (awaited, address)
        select a.awaited, a.address
        from unnest(listeners_added_awaited, listeners_added_address) as a(awaited, address)
        on conflict do nothing;
    end if;
    if timers_disarmed_due_at is not null then
        delete from timers where ctid = any(array(
            select t.ctid
            from unnest(timers_disarmed_due_at, timers_disarmed_id) as g(due_at, id)
            join timers t using (due_at, id)
            for update of t skip locked
        ));
    end if;
    if timers_armed_due_at is not null then
        insert into timers (due_at, id)
        select a.due_at, a.id from unnest(timers_armed_due_at, timers_armed_id) as a(due_at, id)
        on conflict do nothing;
    end if;
    if listeners_told_awaited is not null then
        delete from listeners where ctid = any(array(
            select l.ctid
            from unnest(listeners_told_awaited, listeners_told_address) as g(awaited, address)
            join listeners l using (awaited, address)
            for update of l skip locked
        ));
    end if;
    if timers_told_due_at is not null then
        delete from timers where ctid = any(array(
            select t.ctid
            from unnest(timers_told_due_at, timers_told_id) as g(due_at, id)
            join timers t using (due_at, id)
            where not exists (select from listeners l where l.awaited = g.id)
                and not exists (select from callbacks c where c.awaited = g.id)
            for update of t skip locked
        ));
    end if;
end $$;
