-- Events: what has happened, until the broker has confirmed that it was told.

create table event_origins (
    origin text collate "C" not null primary key,
    last_sequence bigint not null
);
comment on table event_origins is
    'How many events an execution tree, or a schedule, has had. The row is locked by the transaction that '
    'adds some, so that their numbers are in the order of the commits.';

create table events (
    position bigint generated always as identity primary key,
    origin text collate "C" not null,
    sequence bigint not null,
    kind text not null,
    subject text not null,
    group_name text not null,
    at bigint not null,
    data text not null
);
comment on table events is
    'Outbox: written with the change that it tells of, if the tap is on, and deleted when the broker has '
    'confirmed it. Of one origin positions ascend with sequences.';

create table event_publisher (
    id integer not null primary key check (id = 1)
);
comment on table event_publisher is
    'Who holds its row publishes: one server at a time, or the order would be lost.';
insert into event_publisher (id) values (1);

-- Number events and store them. The counters are locked after all rows of the batch, in the order of
-- the origins: nobody waits in a circle. Positions are drawn when the locks are held.
create function store_events_v1(
    origins text[], kinds text[], subjects text[], groups text[], instants bigint[], datas text[]
)
returns void language plpgsql as $$
begin
    insert into event_origins as known (origin, last_sequence)
    select e.origin, count(*) from unnest(origins) as e(origin)
    group by e.origin order by e.origin collate "C"
    on conflict (origin) do update set last_sequence = known.last_sequence + excluded.last_sequence;

    insert into events (origin, sequence, kind, subject, group_name, at, data)
    select
        e.origin,
        (
            select o.last_sequence from event_origins o where o.origin = e.origin
        ) - count(*) over (partition by e.origin) + row_number() over (
            partition by e.origin order by e.number
        ),
        e.kind, e.subject, e.group_name, e.at, e.data
    from unnest(origins, kinds, subjects, groups, instants, datas)
        with ordinality as e(origin, kind, subject, group_name, at, data, number)
    order by e.number;
end $$;
