-- The statements about calls that applications have left.

-- name: waiting
-- The first one, and as many after it as the batch may hold.
select measured.number, measured.id
from (
    select
        first.number, first.id,
        sum(octet_length(first.param_data)) over (
            order by first.number rows between unbounded preceding and 1 preceding
        ) as bytes_before
    from (
        select i.number, i.id, i.param_data from inbox i where i.refused is null
        order by i.number limit $1
    ) first
) measured
where measured.bytes_before is null or measured.bytes_before <= $2
order by measured.number;

-- name: load
-- Nobody waits for these rows: who does not get one leaves it to who has it.
select number, id, timeout_at, tags, param_data from inbox
where number = any($1::bigint[]) and refused is null
order by number for update skip locked;

-- name: delete
delete from inbox where number = any($1::bigint[]);

-- name: refuse
update inbox i set refused = r.reason
from unnest($1::bigint[], $2::text[]) as r(number, reason)
where i.number = r.number;
