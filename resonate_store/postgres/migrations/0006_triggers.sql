-- Triggers: events of other exchanges that start executions, or settle promises.

create table triggers (
    id text collate "C" not null primary key,
    exchange text not null,
    routing_key text not null,
    promise_id text not null,
    func text,
    target text,
    timeout bigint not null,
    created_at bigint not null,
    is_ending boolean not null default false
);
comment on table triggers is
    'Each has a queue of its own, which is bound to the exchange with the routing key and consumed by '
    'all servers.';
comment on column triggers.promise_id is 'Template of the ids of the promises.';
comment on column triggers.func is 'The function that events start; null: they settle a promise.';
comment on column triggers.is_ending is
    'It takes no more events. A server deletes its queue, then this row.';
