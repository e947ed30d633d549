-- Invocations that applications leave in transactions of their own.

create table inbox (
    number bigint generated always as identity primary key,
    id text collate "C" not null,
    timeout_at bigint not null,
    tags jsonb not null,
    param_data text not null,
    refused text
);
comment on table inbox is
    'Calls of submit that have been committed and that no server has taken yet: each becomes a '
    'promise. Nobody waits here for anybody: two transactions may leave the same id, and a server '
    'passes over rows that another one has locked.';
comment on column inbox.number is 'Tells rows apart; a smaller one may be committed later.';
comment on column inbox.refused is
    'Why a server cannot make a promise of it. It stays for an operator to look at.';

create index inbox_id on inbox (id);

alter table inbox set (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
    vacuum_index_cleanup = on, vacuum_truncate = off
);

-- What follows keeps this search path: whoever calls the function chooses neither the tables nor the
-- operators that it uses.
select set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- Start an execution if the calling transaction commits, and only then. It makes the promise that a
-- remote call of the SDK makes; the limits are those of every other door.
create function submit(
    id text,
    func text,
    target text,
    args jsonb default null,
    timeout interval default '1 year',
    version integer default 1,
    tags jsonb default null
) returns boolean
language plpgsql volatile security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    address constant text := '^(?:amqp|poll)://(?:(?:any|uni)@)?[A-Za-z0-9_-]{1,64}$';
    process constant text := '^(?:amqp|poll)://(?:any|uni)@[A-Za-z0-9_-]{1,64}/[A-Za-z0-9_-]{1,64}$';
    exchange constant text := '^amqp-exchange://([^/]*)/(.*)$';
    deadline timestamptz;
    part text;
    tag record;
    own jsonb;
    call text;
    taken text;
begin
    if id is null or func is null or target is null or timeout is null or version is null then
        raise exception 'submit needs an id, a func, a target, a timeout and a version, found a null'
            using errcode = 'null_value_not_allowed';
    end if;
    if id = '' or func = '' then
        raise exception 'submit needs an id and a func, found an empty one'
            using errcode = 'invalid_parameter_value';
    end if;
    if octet_length(id) > 1024 then
        raise exception 'the id % has % bytes, the limit is 1024',
            left(id, 40) || '...', octet_length(id)
            using errcode = 'program_limit_exceeded';
    end if;
    if version < 1 then
        raise exception 'a version is 1 or more, found %', version
            using errcode = 'invalid_parameter_value';
    end if;

    if target collate "C" ~ exchange then
        foreach part in array regexp_match(target, exchange) loop
            if octet_length(regexp_replace(part, '%[0-9A-Fa-f]{2}', '.', 'g')) > 255 then
                raise exception 'the target % has a part of more than 255 bytes',
                    left(target, 100) || '...'
                    using errcode = 'program_limit_exceeded';
            end if;
        end loop;
    end if;
    if not (
        target collate "C" ~ '^[A-Za-z0-9_-]{1,64}$'
        or (target collate "C" ~ address and target !~ '^[a-z]+://uni@')
        or target collate "C" ~ process
        or (target collate "C" ~ exchange and target <> 'amqp-exchange:///')
    ) then
        raise exception 'the target % is no address', left(target, 100)
            using errcode = 'invalid_parameter_value',
            hint = 'Write a group name like ''billing'', ''amqp://any@group'', '
                '''amqp://any@group/pid'', ''amqp://uni@group/pid'' or '
                '''amqp-exchange://exchange/routing.key''.';
    end if;

    deadline := clock_timestamp() + timeout;
    if not isfinite(deadline) or deadline <= clock_timestamp() then
        raise exception 'a timeout is positive and has an end, found %', timeout
            using errcode = 'invalid_parameter_value';
    end if;

    if tags is null then
        tags := '{}';
    elsif jsonb_typeof(tags) <> 'object' then
        raise exception 'tags is an object of texts, found a JSON %', jsonb_typeof(tags)
            using errcode = 'invalid_parameter_value';
    end if;
    for tag in select t.key, t.value from jsonb_each(tags) as t loop
        if jsonb_typeof(tag.value) <> 'string' then
            raise exception 'the tag % is a text, found a JSON %',
                quote_literal(left(tag.key, 40)), jsonb_typeof(tag.value)
                using errcode = 'invalid_parameter_value';
        end if;
        if starts_with(tag.key, 'resonate:')
            and tag.key not in ('resonate:key', 'resonate:priority')
        then
            raise exception 'tags beginning with ''resonate:'' are reserved: %',
                quote_literal(left(tag.key, 40))
                using errcode = 'invalid_parameter_value';
        end if;
        if octet_length(tag.key) > 128 then
            raise exception 'the tag key % has % bytes, the limit is 128',
                left(tag.key, 40) || '...', octet_length(tag.key)
                using errcode = 'program_limit_exceeded';
        end if;
        if octet_length(tag.value #>> '{}') > 1024 then
            raise exception 'the tag % has % bytes, the limit is 1024',
                quote_literal(tag.key), octet_length(tag.value #>> '{}')
                using errcode = 'program_limit_exceeded';
        end if;
    end loop;
    -- The name in a tag is cut, as the SDK does.
    own := jsonb_build_object(
        'resonate:target', target,
        'resonate:scope', 'global',
        'resonate:origin', id,
        'resonate:branch', id,
        'resonate:parent', id,
        'resonate:prefix', id,
        'resonate:fn', right(func, 200) || '@' || version
    );
    tags := tags || own;
    if (select count(*) from jsonb_object_keys(tags)) > 64 then
        raise exception '% tags, the limit is 64 with the 7 that every execution has',
            (select count(*) from jsonb_object_keys(tags))
            using errcode = 'program_limit_exceeded';
    end if;

    -- A list is the arguments by position, an object by name, anything else is the one argument.
    call := translate(
        encode(
            convert_to(
                jsonb_build_object(
                    'func', func,
                    'args', case
                        when args is null or jsonb_typeof(args) = 'object' then '[]'
                        when jsonb_typeof(args) = 'array' then args
                        else jsonb_build_array(args)
                    end,
                    'kwargs', case when jsonb_typeof(args) = 'object' then args else '{}' end,
                    'version', version
                )::text,
                'UTF8'
            ),
            'base64'
        ),
        E'\n', ''
    );
    if octet_length(call) > 1048576 then
        raise exception 'the arguments have % bytes as base64, the limit is 1048576',
            octet_length(call)
            using errcode = 'program_limit_exceeded';
    end if;

    -- What was not created by us may be a call without saying so.
    select
        case
            when p.tags ? 'resonate:target' then coalesce(p.tags ->> 'resonate:fn', func || '@')
            else ''
        end into taken
    from promises p where p.id = submit.id;
    -- Two serializable transactions that looked here and then insert would not both be let through.
    if taken is null and current_setting('transaction_isolation') <> 'serializable' then
        select i.tags ->> 'resonate:fn' into taken
        from inbox i where i.id = submit.id and i.refused is null limit 1;
    end if;
    if right(regexp_replace(taken, '@[^@]*$', ''), 200) <> right(func, 200) then
        raise exception 'the id % belongs to another call than one of %',
            quote_literal(left(id, 100)), quote_literal(left(func, 100))
            using errcode = 'unique_violation', hint = 'Give each call an id of its own.';
    end if;
    if taken is not null then
        return false;
    end if;
    insert into inbox (id, timeout_at, tags, param_data)
    values (submit.id, floor(extract(epoch from deadline) * 1000)::bigint, submit.tags, call);
    perform pg_notify(current_schema() || '.inbox', '');
    return true;
end $$;

comment on function submit(text, text, text, jsonb, interval, integer, jsonb) is
    'Starts the execution id of the function func in the group target, if this transaction commits. '
    'False if it can see that it has been started before, which is harmless.';

revoke all on function submit(text, text, text, jsonb, interval, integer, jsonb) from public;

-- A role for applications. It may use the schema, and the other functions in it are carried out with
-- the rights of who calls them: it has none.
do $$
declare
    applications constant text := current_schema() || '_submit';
begin
    if not exists (select from pg_roles where rolname = applications) then
        begin
            execute format('create role %I nologin', applications);
        exception
            when duplicate_object or unique_violation then null;  -- by a migration beside this one
        end;
    end if;
    execute format('grant usage on schema %I to %I', current_schema(), applications);
    execute format(
        'grant execute on function submit(text, text, text, jsonb, interval, integer, jsonb) to %I',
        applications
    );
exception
    -- `resonate migrate` says what to do.
    when insufficient_privilege then null;
end $$;
