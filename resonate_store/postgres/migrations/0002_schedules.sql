-- Schedules: promises that are created at the instants of a calendar.

create table schedules (
    id text collate "C" not null primary key,
    cron text not null,
    timezone text not null,
    overlap text not null,
    missed text not null,
    promise_id text not null,
    promise_timeout bigint not null,
    promise_param_headers jsonb,
    promise_param_data text,
    promise_tags jsonb not null,
    created_at bigint not null,
    next_run_at bigint not null,
    last_run_at bigint
);
comment on table schedules is
    'Each creates promises at the instants that its cron expression names in its time zone. A row '
    'is also the lock of the schedule; it is taken before those of promises.';
comment on column schedules.next_run_at is
    'The first instant that has not been seen to; some behind it may have come as well.';
comment on column schedules.last_run_at is 'The last instant that had a promise.';

create index schedules_due on schedules (next_run_at, id);
