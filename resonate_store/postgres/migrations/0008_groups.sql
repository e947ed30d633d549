-- Limits of worker groups, and priorities inside them.

create table groups (
    name text collate "C" not null primary key,
    concurrency integer,
    key_concurrency integer,
    rate_count integer,
    rate_per bigint,
    key_rate_count integer,
    key_rate_per bigint,
    held jsonb not null default '{}',
    starts jsonb not null default '{}'
) with (fillfactor = 50);
comment on table groups is
    'Worker groups that have limits; null is no limit. A row is also the lock of what is used up of '
    'them; it is taken before those of schedules and promises.';
comment on column groups.held is
    'Promises whose task may be acquired or have a hint under way, each with its key. Only those of '
    'which it is true count: who dies gives back its place with its lease.';
comment on column groups.starts is
    'How far ahead the starts of each key are, in microseconds since the epoch; an empty key is the '
    'group as a whole.';

-- Those that wait for room, in the order in which they get it: 9 is the first, nothing said is 4.
create index promises_waiting
    on promises (group_name, (9 - coalesce(priority, 4)), queued_at, id)
    where queued_at is not null;
drop index promises_queued;
