-- What waits outside of the promises; counted up to $1.

-- name: backlog
select
    floor(extract(epoch from clock_timestamp()) * 1000)::bigint,
    (select count(*) from (select from events limit $1) e),
    (select e.at from events e order by e.position limit 1),
    (select count(*) from (select from inbox i where i.refused is null limit $1) i),
    (select count(*) from (select from inbox i where i.refused is not null limit $1) i);
