-- The statements about events.

-- name: store
select store_events_v1(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[]
);

-- name: claim
select id from event_publisher for update skip locked;

-- name: read
select position, origin, sequence, kind, subject, group_name, at, data
from events order by position limit $1;

-- name: forget
delete from events where position = any($1::bigint[]);

-- name: forget_origin
delete from event_origins o
where o.origin = $1
    and not exists (select from promises p where p.id = $1)
    and not exists (select from events e where e.origin = $1);
