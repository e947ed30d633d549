-- The tables of the embedded store. A promise is kept as one JSON document; what is searched for
-- by an index stands beside it. Every statement here may run again on a file that has it all.

create table if not exists promises (
    id text not null primary key,
    record text not null,
    origin text,
    branch text,
    parent text,
    group_name text,
    queued_at integer
) strict;

create index if not exists promises_origin on promises (origin, id) where origin is not null;
create index if not exists promises_branch on promises (branch, id) where branch <> id;
create index if not exists promises_remote_child on promises (parent, id)
    where parent <> id and branch = id;
create index if not exists promises_waiting
    on promises (group_name, 9 - coalesce(record ->> '$.task.priority', 4), queued_at, id)
    where queued_at is not null;

create table if not exists groups (
    name text not null primary key,
    record text not null
) strict;

create table if not exists troubles (
    task text not null primary key,
    origin text not null,
    record text not null
) strict;

create index if not exists troubles_origin on troubles (origin);

create table if not exists callbacks (
    awaited text not null,
    awaiter text not null,
    primary key (awaited, awaiter)
) strict, without rowid;

create index if not exists callbacks_awaiter on callbacks (awaiter);

create table if not exists uses (
    id text not null,
    origin text not null,
    primary key (id, origin)
) strict, without rowid;

create index if not exists uses_origin on uses (origin);

create table if not exists listeners (
    awaited text not null,
    address text not null,
    primary key (awaited, address)
) strict, without rowid;

create table if not exists schedules (
    id text not null primary key,
    record text not null,
    next_run_at integer not null
) strict;

create index if not exists schedules_due on schedules (next_run_at, id);

create table if not exists timers (
    due_at integer not null,
    id text not null,
    primary key (due_at, id)
) strict, without rowid;
