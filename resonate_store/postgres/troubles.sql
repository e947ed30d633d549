-- What holders of tasks have told, under the locks of their promises.

-- name: load
select t.task, t.origin, t.version, t.record from troubles t where t.task = any($1);

-- name: put
insert into troubles (task, origin, version, record)
select t.task, t.origin, t.version, t.record
from unnest($1::text[], $2::text[], $3::bigint[], $4::jsonb[])
    as t(task, origin, version, record)
on conflict (task) do update set version = excluded.version, record = excluded.record;

-- name: forget_origin
delete from troubles where origin = $1;
