-- Why executions do not go on, in the words of those who tried.

create table troubles (
    task text collate "C" not null primary key,
    origin text collate "C" not null,
    version bigint not null,
    record jsonb not null
);
comment on table troubles is
    'The last trouble that a holder of the task told of, and the version at which it held the task. '
    'For those who look; nothing is decided by it. Written under the lock of the promise, and only '
    'when something fails.';

create index troubles_origin on troubles (origin);
