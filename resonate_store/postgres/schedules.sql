-- The statements about schedules. Their columns come in one order everywhere.

-- name: lock
select id from schedules where id = any($1::text[]) order by id for no key update;

-- name: read
select
    id, cron, timezone, overlap, missed, promise_id, promise_timeout, promise_param_headers,
    promise_param_data, promise_tags, created_at, next_run_at, last_run_at
from schedules where id = any($1::text[]) order by id;

-- name: insert
insert into schedules (
    id, cron, timezone, overlap, missed, promise_id, promise_timeout, promise_param_headers,
    promise_param_data, promise_tags, created_at, next_run_at, last_run_at
)
select * from unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
    $8::jsonb[], $9::text[], $10::jsonb[], $11::bigint[], $12::bigint[], $13::bigint[]
)
on conflict do nothing
returning id;

-- name: update
update schedules s set next_run_at = u.next_run_at, last_run_at = u.last_run_at
from unnest($1::text[], $2::bigint[], $3::bigint[]) as u(id, next_run_at, last_run_at)
where s.id = u.id;

-- name: delete
delete from schedules where id = any($1::text[]);

-- name: due
with clock as materialized (
    select coalesce($2, floor(extract(epoch from clock_timestamp()) * 1000)::bigint) as now_ms
)
select
    clock.now_ms,
    (
        select s.next_run_at from schedules s where s.next_run_at > clock.now_ms
        order by s.next_run_at limit 1
    ),
    due.id, due.cron, due.timezone, due.overlap, due.missed, due.promise_id, due.promise_timeout,
    due.promise_param_headers, due.promise_param_data, due.promise_tags, due.created_at,
    due.next_run_at, due.last_run_at
from clock left join lateral (
    select
        s.id, s.cron, s.timezone, s.overlap, s.missed, s.promise_id, s.promise_timeout,
        s.promise_param_headers, s.promise_param_data, s.promise_tags, s.created_at, s.next_run_at,
        s.last_run_at
    from schedules s where s.next_run_at <= clock.now_ms
    order by s.next_run_at, s.id limit $1
) due on true
order by due.next_run_at, due.id;

-- name: search
-- Looks at $4 rows and returns up to $3. A page that is not full has looked at all of them.
with page as materialized (
    select
        id, cron, timezone, overlap, missed, promise_id, promise_timeout, promise_param_headers,
        promise_param_data, promise_tags, created_at, next_run_at, last_run_at
    from (select * from schedules where id > $2 order by id limit $4) looked_at
    where promise_tags @> $1 order by id limit $3
)
select
    case
        when (select count(*) from page) = $3 then (select max(id) from page)
        else (select id from schedules where id > $2 order by id offset $4 - 1 limit 1)
    end,
    page.id, page.cron, page.timezone, page.overlap, page.missed, page.promise_id,
    page.promise_timeout, page.promise_param_headers, page.promise_param_data, page.promise_tags,
    page.created_at, page.next_run_at, page.last_run_at
from (values (true)) as always left join page on true
order by page.id;

-- name: all
select
    id, cron, timezone, overlap, missed, promise_id, promise_timeout, promise_param_headers,
    promise_param_data, promise_tags, created_at, next_run_at, last_run_at
from schedules order by id;
