-- The statements about limits of worker groups.

-- name: lock
select name from groups where name = any($1::text[]) order by name for no key update;

-- name: read
-- Who holds a lock of the row sees all that hold a place: only with that lock does one come to it.
select
    g.name, g.concurrency, g.key_concurrency, g.rate_count, g.rate_per, g.key_rate_count,
    g.key_rate_per, g.starts,
    (
        select jsonb_object_agg(h.key, h.value)
        from jsonb_each_text(g.held) as h(key, value)
        join promises p on p.id = any(array[h.key])
        where p.task_state = 'acquired' or (p.task_state = 'pending' and p.hint_at is not null)
    )
from groups g where g.name = any($1::text[]) order by g.name;

-- name: all
select
    g.name, g.concurrency, g.key_concurrency, g.rate_count, g.rate_per, g.key_rate_count,
    g.key_rate_per, g.starts, null::jsonb
from groups g order by g.name;

-- name: put
insert into groups (
    name, concurrency, key_concurrency, rate_count, rate_per, key_rate_count, key_rate_per, starts,
    held
)
select * from unnest(
    $1::text[], $2::integer[], $3::integer[], $4::integer[], $5::bigint[], $6::integer[],
    $7::bigint[], $8::jsonb[], $9::jsonb[]
)
on conflict (name) do update set
    concurrency = excluded.concurrency, key_concurrency = excluded.key_concurrency,
    rate_count = excluded.rate_count, rate_per = excluded.rate_per,
    key_rate_count = excluded.key_rate_count, key_rate_per = excluded.key_rate_per,
    starts = excluded.starts, held = excluded.held;

-- name: delete
delete from groups where name = any($1::text[]);

-- name: adopt
-- All that is acquired or has a hint under way has a timer.
update groups g set held = g.held || found.held
from (
    select coalesce(jsonb_object_agg(p.id, coalesce(p.concurrency_key, '')), '{}') as held
    from timers t join promises p on p.id = t.id and p.timer_at = t.due_at
    where p.group_name = $1
        and (p.task_state = 'acquired' or (p.task_state = 'pending' and p.hint_at is not null))
        and p.tags ->> 'resonate:target' like 'amqp://any@%'
) found
where g.name = $1;
