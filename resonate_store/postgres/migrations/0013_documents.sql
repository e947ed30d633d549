-- A batch arrives as one document, which is read in two thirds of the time that 65 arrays took, and
-- which goes into a statement that the commit can follow without another round trip.

-- About how large a promise is on the wire; 256 for names, instants and punctuation.
create function size_bytes_v1(
    id text, tags jsonb, param_headers jsonb, param_data text, value_headers jsonb, value_data text
) returns integer immutable parallel safe language sql as $$
    select 256 + octet_length(id) + octet_length(tags::text)
        + coalesce(octet_length(param_headers::text), 0) + coalesce(octet_length(param_data), 0)
        + coalesce(octet_length(value_headers::text), 0) + coalesce(octet_length(value_data), 0)
$$;

-- As it was, but for two keys that are looked for in an array of one: see `store_v2`.
--
-- Phase one of a batch: lock what it names, then read. Three rules, each found by a failure:
-- * No value that can change comes out of a statement that waits for a lock: while it waits, only
--   the row it waits for is read again. So the first statement locks, the later ones read.
-- * Only what was locked exists. An id that was absent when the first statement looked, and that
--   was inserted while it waited, would be read without being locked.
-- * Nobody waits twice: after the first statement, rows are locked only if they are free.
create or replace function load_v1(
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
            from unnest(preload) as a(id) left join promises p on p.id = any(array[a.id])
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
            from kin k join promises p on p.id = any(array[k.id])
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

comment on function store_v1 is 'Of servers of the releases before; the next release drops it.';

-- Phase two: write what was decided. Each member of the document is an array of rows, and each row an
-- array of columns; a member without rows is not there. Rows are found by primary key alone: they are
-- locked, and nothing is left to decide. Each member comes sorted by key, and a function scan keeps
-- its order, so that two batches that insert never deadlock. Timers, and listeners that were told,
-- are deleted without the lock of their promise: these statements never wait, and come last, so that
-- nobody who holds their locks waits for anything.
--
-- A key is looked for in an array of one. With `=` the planner may read a whole index beside the
-- document, which is right for a table that has just begun, and kept while it grows.
create function store_v2(changes jsonb) returns void language plpgsql as $$
#variable_conflict use_column
declare
    part jsonb;
    written bigint;
begin
    part := changes->'created';
    if part is not null then
        insert into promises (
            id, origin, branch, parent, timeout_at, created_at, tags, param_headers, param_data,
            group_name, priority, concurrency_key, state, settled_at, timer_at, value_headers,
            value_data, task_state, version, pid, last_pid, lease_ms, expires_at, resumes,
            is_resumed, retry_at, queued_at, hint_at, is_hint_sticky, attempts, lease_losses
        )
        select
            c->>0, c->>1, c->>2, c->>3, (c->>4)::bigint, (c->>5)::bigint, c->6, (c->>7)::jsonb,
            c->>8, c->>9, (c->>10)::integer, c->>11, c->>12, (c->>13)::bigint, (c->>14)::bigint,
            (c->>15)::jsonb, c->>16, c->>17, (c->>18)::bigint, c->>19, c->>20, (c->>21)::bigint,
            (c->>22)::bigint, (c->>23)::jsonb, coalesce((c->>24)::boolean, false),
            (c->>25)::bigint, (c->>26)::bigint, (c->>27)::bigint,
            coalesce((c->>28)::boolean, false), coalesce((c->>29)::integer, 0),
            coalesce((c->>30)::integer, 0)
        from jsonb_array_elements(part) as c
        on conflict do nothing;
        get diagnostics written = row_count;
        if written < jsonb_array_length(part) then
            raise exception '% of % promises to create exist',
                jsonb_array_length(part) - written, jsonb_array_length(part)
                using errcode = 'RS001';
        end if;
    end if;
    part := changes->'updated';
    if part is not null then
        -- A value that is not given stays: it is large, and never changes once it is there.
        update promises p set
            state = u->>1, settled_at = (u->>2)::bigint, timer_at = (u->>3)::bigint,
            value_headers = coalesce((u->>4)::jsonb, p.value_headers),
            value_data = coalesce(u->>5, p.value_data),
            task_state = u->>6, version = (u->>7)::bigint, pid = u->>8, last_pid = u->>9,
            lease_ms = (u->>10)::bigint, expires_at = (u->>11)::bigint,
            resumes = (u->>12)::jsonb, is_resumed = coalesce((u->>13)::boolean, false),
            retry_at = (u->>14)::bigint, queued_at = (u->>15)::bigint,
            hint_at = (u->>16)::bigint, is_hint_sticky = coalesce((u->>17)::boolean, false),
            attempts = coalesce((u->>18)::integer, 0),
            lease_losses = coalesce((u->>19)::integer, 0)
        from jsonb_array_elements(part) as u
        where p.id = any(array[u->>0]);
        get diagnostics written = row_count;
        assert written = jsonb_array_length(part), 'a promise to update is not there';
    end if;
    part := changes->'callbacks_added';
    if part is not null then
        insert into callbacks (awaited, awaiter)
        select a->>0, a->>1 from jsonb_array_elements(part) as a
        on conflict do nothing;
    end if;
    part := changes->'callbacks_consumed';
    if part is not null then
        -- A range, which the index of awaiters cannot find: it would give all that one waits for.
        delete from callbacks c using jsonb_array_elements(part) as g
        where c.awaited = any(array[g->>0]) and c.awaiter between g->>1 and g->>1;
    end if;
    part := changes->'listeners_added';
    if part is not null then
        insert into listeners (awaited, address)
        select a->>0, a->>1 from jsonb_array_elements(part) as a
        on conflict do nothing;
    end if;
    part := changes->'timers_disarmed';
    if part is not null then
        delete from timers where ctid = any(array(
            select t.ctid
            from jsonb_array_elements(part) as g
            join timers t on t.due_at = any(array[(g->>0)::bigint]) and t.id = g->>1
            for update of t skip locked
        ));
    end if;
    part := changes->'timers_armed';
    if part is not null then
        insert into timers (due_at, id)
        select (a->>0)::bigint, a->>1 from jsonb_array_elements(part) as a
        on conflict do nothing;
    end if;
    part := changes->'listeners_told';
    if part is not null then
        delete from listeners where ctid = any(array(
            select l.ctid
            from jsonb_array_elements(part) as g
            join listeners l on l.awaited = any(array[g->>0]) and l.address = g->>1
            for update of l skip locked
        ));
    end if;
    part := changes->'timers_told';
    if part is not null then
        delete from timers where ctid = any(array(
            select t.ctid
            from jsonb_array_elements(part) as g
            join timers t on t.due_at = any(array[(g->>0)::bigint]) and t.id = g->>1
            where not exists (select from listeners l where l.awaited = any(array[g->>1]))
                and not exists (select from callbacks c where c.awaited = any(array[g->>1]))
            for update of t skip locked
        ));
    end if;
end $$;
