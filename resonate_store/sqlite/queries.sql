-- name: promise
select record from promises where id = ?;

-- name: branch_members
select record from promises where branch = ? and branch <> id order by id limit ?;

-- name: remote_children
select record from promises
where parent = ? and parent <> id and branch = id order by id limit ?;

-- name: awaiters
select awaiter from callbacks where awaited = ? order by awaiter limit ?;

-- name: listeners
select address from listeners where awaited = ? order by address;

-- name: insert_promise
insert into promises (id, record, origin, branch, parent, group_name, queued_at)
values (?, ?, ?, ?, ?, ?, ?);

-- name: update_promise
update promises set record = ?, queued_at = ? where id = ?;

-- name: insert_callback
insert into callbacks (awaited, awaiter) values (?, ?) on conflict do nothing;

-- name: delete_callback
delete from callbacks where awaited = ? and awaiter = ?;

-- name: insert_listener
insert into listeners (awaited, address) values (?, ?) on conflict do nothing;

-- name: delete_listener
delete from listeners where awaited = ? and address = ?;

-- name: delete_timer
delete from timers where due_at = ? and id = ?;

-- name: delete_timer_unless_owed
delete from timers where due_at = ?1 and id = ?2
    and not exists (select 1 from listeners where awaited = ?2)
    and not exists (select 1 from callbacks where awaited = ?2);

-- name: insert_timer
insert into timers (due_at, id) values (?, ?) on conflict do nothing;

-- name: due_timers
select due_at, id from timers where due_at <= ? order by due_at, id limit ?;

-- name: next_timer
select min(due_at) from timers where due_at > ?;

-- name: schedule
select record from schedules where id = ?;

-- name: insert_schedule
insert into schedules (id, record, next_run_at) values (?, ?, ?);

-- name: update_schedule
update schedules set record = ?2, next_run_at = ?3 where id = ?1;

-- name: delete_schedule
delete from schedules where id = ?;

-- name: due_schedules
select record from schedules where next_run_at <= ? order by next_run_at, id limit ?;

-- name: next_schedule
select min(next_run_at) from schedules where next_run_at > ?;

-- name: search_schedules
select record from schedules where id > ? order by id limit ?;

-- name: queued
select record from promises
where group_name = ? and queued_at is not null
order by 9 - coalesce(record ->> '$.task.priority', 4), queued_at, id limit ?;

-- name: group
select record from groups where name = ?;

-- name: trouble
select record from troubles where task = ?;

-- name: put_trouble
insert into troubles (task, origin, record) values (?, ?, ?)
on conflict (task) do update set record = excluded.record;

-- name: delete_troubles_of
delete from troubles where origin = ?;

-- name: all_groups
select record from groups order by name;

-- name: put_group
insert into groups (name, record) values (?, ?)
on conflict (name) do update set record = excluded.record;

-- name: delete_group
delete from groups where name = ?;

-- name: of_group
select record from promises
where group_name = ? and record ->> '$.task.state' in ('acquired', 'pending');

-- name: queued_groups
select distinct group_name from promises where queued_at is not null order by group_name limit ?;

-- name: acquired
select id from promises
where id > ? and record ->> '$.task.state' = 'acquired' order by id limit ?;

-- name: search_all
select record from promises where id > ? order by id limit ?;

-- name: search_origin
select record from promises where origin = ?1 and id > ?2 order by id limit ?3;

-- name: all_callbacks
select awaited, awaiter from callbacks order by awaited, awaiter;

-- name: all_listeners
select awaited, address from listeners order by awaited, address;

-- name: all_timers
select due_at, id from timers order by due_at, id;

-- name: reset
begin immediate;
delete from promises;
delete from callbacks;
delete from listeners;
delete from timers;
delete from schedules;
delete from uses;
delete from groups;
delete from troubles;
commit;

-- name: insert_use
insert into uses (id, origin) values (?, ?) on conflict do nothing;

-- name: walk
select rowid, record from promises where rowid > ? order by rowid limit ?;

-- name: tree_members
select record from promises where origin = ?1 or id = ?1 order by id = ?1, id limit ?2;

-- name: has_use
select 1 from uses where id = ? and origin <> ? limit 1;

-- name: delete_promise
delete from promises where id = ?;

-- name: delete_callbacks_of
delete from callbacks where awaiter = ?;

-- name: delete_uses_of
delete from uses where origin = ?;
