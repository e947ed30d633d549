-- The statements of the store. The columns of a promise come in one order everywhere, the one that
-- `rows.py` knows.

-- name: load
select * from load_v1($1, $2, $3, $4, $5, $6);

-- name: branches
-- As the related rows of `load`, of branches that are named: a promise that is called like one may
-- be in another.
with members as (
    select b.name as root, m.id
    from unnest($1::text[]) as b(name) cross join lateral (
        select p.id from promises p where p.branch = b.name and p.branch <> p.id
        order by p.id limit $2
    ) m
), parents as (
    select root, id from members
    union all
    select b.name, b.name from unnest($1::text[]) as b(name)
), kin as (
    select root, id from members
    union
    select f.root, c.id
    from parents f cross join lateral (
        select p.id from promises p
        where p.parent = f.id and p.parent <> p.id and p.branch = p.id
        order by p.id limit $2
    ) c
), measured as (
    select
        k.id,
        sum(
            coalesce(octet_length(p.param_data), 0) + coalesce(octet_length(p.value_data), 0)
        ) over (
            partition by k.root order by p.id
            rows between unbounded preceding and 1 preceding
        ) as bytes_before
    from kin k join promises p on p.id = any(array[k.id])
)
select
    floor(extract(epoch from clock_timestamp()) * 1000)::bigint,
    p.id, p.timeout_at, p.created_at, p.tags, p.param_headers, p.param_data, p.group_name,
    p.priority, p.concurrency_key, p.state, p.settled_at, p.timer_at, p.value_headers,
    p.value_data, p.task_state, p.version, p.pid, p.last_pid, p.lease_ms, p.expires_at,
    p.resumes, p.is_resumed, p.retry_at, p.queued_at, p.hint_at, p.is_hint_sticky,
    p.attempts, p.lease_losses
from promises p
where p.id = any(array(select m.id from measured m where coalesce(m.bytes_before, 0) <= $3));

-- name: store
select store_v2($1);

-- name: due
with clock as materialized (
    select coalesce($2, floor(extract(epoch from clock_timestamp()) * 1000)::bigint) as now_ms
)
select
    clock.now_ms,
    (select t.due_at from timers t where t.due_at > clock.now_ms order by t.due_at limit 1),
    due.due_at,
    due.id
from clock left join lateral (
    select t.due_at, t.id from timers t where t.due_at <= clock.now_ms
    order by t.due_at, t.id limit $1
) due on true
order by due.due_at, due.id;

-- name: queued
-- Looks at $3 tasks at most: behind so many whose key is full, others wait for their turn. The rank is
-- a column, so that the order is seen to be that of the index, and the first that may go are enough.
select first.id
from (
    select p.id, p.concurrency_key, p.version, p.queued_at, 9 - coalesce(p.priority, 4) as rank
    from promises p where p.group_name = $1 and p.queued_at is not null
    order by 9 - coalesce(p.priority, 4), p.queued_at, p.id limit $3
) first
where ($4 or first.version > 0)
    and (
        first.concurrency_key is null
        or (
            first.concurrency_key <> all($5::text[])
            and (first.version > 0 or first.concurrency_key <> all($6::text[]))
        )
    )
order by first.rank, first.queued_at, first.id limit $2;

-- name: queued_groups
-- One step of the index per group, however many tasks wait in each.
with recursive groups (name, count) as (
    (
        select p.group_name, 1::bigint from promises p where p.queued_at is not null
        order by p.group_name limit 1
    )
    union all
    select following.group_name, groups.count + 1
    from groups cross join lateral (
        select p.group_name from promises p
        where p.queued_at is not null and p.group_name > groups.name
        order by p.group_name limit 1
    ) following
    where groups.count < $1
)
select name from groups order by name limit $1;

-- name: search_all
-- Looks at $4 rows and returns up to $3, or up to the one that makes it more than $6 bytes. A page
-- that is not full has looked at all of them.
with wanted as materialized (
    select
        id, timeout_at, created_at, tags, param_headers, param_data, group_name, priority,
        concurrency_key, state, settled_at, timer_at, value_headers, value_data, task_state,
        version, pid, last_pid, lease_ms, expires_at, resumes, is_resumed, retry_at, queued_at,
        hint_at, is_hint_sticky, attempts, lease_losses,
        sum(size_bytes_v1(id, tags, param_headers, param_data, value_headers, value_data))
            over (order by id) as bytes
    from (select * from promises where id > $2 order by id limit $4) looked_at
    where tags @> $1 and ($5::text[] is null or state = any($5))
    order by id limit $3
), page as (
    select * from wanted
    where id <= coalesce((select min(id) from wanted where bytes > $6), id)
)
select
    floor(extract(epoch from clock_timestamp()) * 1000)::bigint,
    case
        when (select count(*) from wanted) = $3 or (select max(bytes) from wanted) > $6
            then (select max(id) from page)
        else (select id from promises where id > $2 order by id offset $4 - 1 limit 1)
    end,
    page.id, page.timeout_at, page.created_at, page.tags, page.param_headers, page.param_data,
    page.group_name, page.priority, page.concurrency_key, page.state, page.settled_at,
    page.timer_at, page.value_headers, page.value_data, page.task_state, page.version, page.pid,
    page.last_pid, page.lease_ms, page.expires_at, page.resumes, page.is_resumed, page.retry_at,
    page.queued_at, page.hint_at, page.is_hint_sticky, page.attempts, page.lease_losses
from (values (true)) as always left join page on true
order by page.id;

-- name: search_origin
-- As search_all, of one tree. Its root has no entry in the index of origins.
with tree as not materialized (
    (
        select * from promises where origin = $6 and origin <> id and id > $2
        order by id limit $4
    )
    union all
    (select * from promises where id = $6 and origin = id and id > $2)
), wanted as materialized (
    select
        id, timeout_at, created_at, tags, param_headers, param_data, group_name, priority,
        concurrency_key, state, settled_at, timer_at, value_headers, value_data, task_state,
        version, pid, last_pid, lease_ms, expires_at, resumes, is_resumed, retry_at, queued_at,
        hint_at, is_hint_sticky, attempts, lease_losses,
        sum(size_bytes_v1(id, tags, param_headers, param_data, value_headers, value_data))
            over (order by id) as bytes
    from (select * from tree order by id limit $4) looked_at
    where tags @> $1 and ($5::text[] is null or state = any($5))
    order by id limit $3
), page as (
    select * from wanted
    where id <= coalesce((select min(id) from wanted where bytes > $7), id)
)
select
    floor(extract(epoch from clock_timestamp()) * 1000)::bigint,
    case
        when (select count(*) from wanted) = $3 or (select max(bytes) from wanted) > $7
            then (select max(id) from page)
        else (select id from tree order by id offset $4 - 1 limit 1)
    end,
    page.id, page.timeout_at, page.created_at, page.tags, page.param_headers, page.param_data,
    page.group_name, page.priority, page.concurrency_key, page.state, page.settled_at,
    page.timer_at, page.value_headers, page.value_data, page.task_state, page.version, page.pid,
    page.last_pid, page.lease_ms, page.expires_at, page.resumes, page.is_resumed, page.retry_at,
    page.queued_at, page.hint_at, page.is_hint_sticky, page.attempts, page.lease_losses
from (values (true)) as always left join page on true
order by page.id;

-- name: search_tasks
-- As search_all, of promises with a task.
with wanted as materialized (
    select
        id, timeout_at, created_at, tags, param_headers, param_data, group_name, priority,
        concurrency_key, state, settled_at, timer_at, value_headers, value_data, task_state,
        version, pid, last_pid, lease_ms, expires_at, resumes, is_resumed, retry_at, queued_at,
        hint_at, is_hint_sticky, attempts, lease_losses,
        sum(size_bytes_v1(id, tags, param_headers, param_data, value_headers, value_data))
            over (order by id) as bytes
    from (select * from promises where id > $2 order by id limit $4) looked_at
    where group_name is not null and ($1::text is null or task_state = $1)
    order by id limit $3
), page as (
    select * from wanted
    where id <= coalesce((select min(id) from wanted where bytes > $5), id)
)
select
    floor(extract(epoch from clock_timestamp()) * 1000)::bigint,
    case
        when (select count(*) from wanted) = $3 or (select max(bytes) from wanted) > $5
            then (select max(id) from page)
        else (select id from promises where id > $2 order by id offset $4 - 1 limit 1)
    end,
    page.id, page.timeout_at, page.created_at, page.tags, page.param_headers, page.param_data,
    page.group_name, page.priority, page.concurrency_key, page.state, page.settled_at,
    page.timer_at, page.value_headers, page.value_data, page.task_state, page.version, page.pid,
    page.last_pid, page.lease_ms, page.expires_at, page.resumes, page.is_resumed, page.retry_at,
    page.queued_at, page.hint_at, page.is_hint_sticky, page.attempts, page.lease_losses
from (values (true)) as always left join page on true
order by page.id;

-- name: all_promises
select
    id, timeout_at, created_at, tags, param_headers, param_data, group_name, priority,
    concurrency_key, state, settled_at, timer_at, value_headers, value_data, task_state, version,
    pid, last_pid, lease_ms, expires_at, resumes, is_resumed, retry_at, queued_at, hint_at,
    is_hint_sticky, attempts, lease_losses
from promises order by id;

-- name: all_callbacks
select awaited, awaiter from callbacks order by awaited, awaiter;

-- name: all_listeners
select awaited, address from listeners order by awaited, address;

-- name: all_timers
select due_at, id from timers order by due_at, id;

-- name: home
-- Which history of which cluster we write: both change when another server takes over.
select system_identifier::text || '/' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
from pg_control_system();

-- name: fate
select pg_xact_status($1::bigint::text::xid8);

-- name: end_transaction
select pg_terminate_backend(pid) from pg_stat_activity
where backend_xid = ($1::bigint::text::xid8)::xid;

-- name: reset
truncate
    promises, callbacks, listeners, timers, schedules, uses, inbox, groups, events, event_origins,
    troubles;

-- name: insert_uses
insert into uses (id, origin)
select u.id, u.origin from unnest($1::text[], $2::text[]) as u(id, origin)
on conflict do nothing;

-- name: retired
-- The rows of some pages of the table, in the order in which they lie there. A child is looked at
-- where its root is, unless the root is gone.
select
    pg_relation_size('promises') / current_setting('block_size')::bigint,
    found.tree
from (values (true)) as always left join lateral (
    select distinct coalesce(p.origin, p.id) as tree from promises p
    where p.ctid >= $1::text::tid and p.ctid < $2::text::tid
        and p.state <> 'pending' and p.settled_at <= $3
        and (
            coalesce(p.origin, p.id) = p.id
            or not exists (select from promises r where r.id = any(array[p.origin]))
        )
) found on true;

-- name: remove_tree
select remove_tree_v1($1, $2, $3);

-- name: secret
select secret from secrets where name = 'calls';
