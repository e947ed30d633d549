-- What the servers of a namespace share, and nobody else may know.

create table secrets (
    name text not null primary key,
    secret text not null
);
comment on table secrets is
    'calls: seals the correlation ids of calls, so that only who was called can reply. If it is '
    'changed, replies that are under way are kept as dead letters.';

-- Each is 122 bits of the strong random number generator.
insert into secrets (name, secret)
values ('calls', gen_random_uuid()::text || gen_random_uuid()::text);
