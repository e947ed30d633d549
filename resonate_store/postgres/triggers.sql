-- The statements about triggers. Their columns come in one order everywhere.

-- name: insert
insert into triggers (
    id, exchange, routing_key, promise_id, func, target, concurrency_key, priority, timeout,
    created_at
)
select
    $1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text,
    $9::bigint, floor(extract(epoch from clock_timestamp()) * 1000)::bigint
where (select count(*) from triggers) < $10::integer
on conflict do nothing
returning id;

-- name: all
select
    id, exchange, routing_key, promise_id, func, target, concurrency_key, priority, timeout,
    created_at, is_ending
from triggers order by id;

-- name: end
update triggers set is_ending = true where id = $1 returning id;

-- name: remove
delete from triggers where id = $1 and is_ending;
