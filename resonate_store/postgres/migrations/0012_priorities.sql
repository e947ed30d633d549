-- What triggers start has a key and a priority; and a priority that is none is refused where it is given.

alter table triggers add column concurrency_key text, add column priority text;
comment on column triggers.concurrency_key is 'Template of the tag resonate:key; null: there is none.';
comment on column triggers.priority is 'Template of the tag resonate:priority; null: there is none.';

-- What follows keeps this search path: whoever calls the function chooses neither the tables nor the
-- operators that it uses.
select set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- What was granted stays. What it says of priorities is all that has changed.
create or replace function submit(
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
    celery constant text := '^celery://(?:(.*)/)?([^/]*)$';
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

    foreach part in array coalesce(
        regexp_match(target collate "C", exchange), regexp_match(target collate "C", celery), '{}'
    ) loop
        if octet_length(regexp_replace(part, '%[0-9A-Fa-f]{2}', '.', 'g')) > 255 then
            raise exception 'the target % has a part of more than 255 bytes',
                left(target, 100) || '...'
                using errcode = 'program_limit_exceeded';
        end if;
    end loop;
    if not (
        target collate "C" ~ '^[A-Za-z0-9_-]{1,64}$'
        or (target collate "C" ~ address and target !~ '^[a-z]+://uni@')
        or target collate "C" ~ process
        or (target collate "C" ~ exchange and target <> 'amqp-exchange:///')
        or (target collate "C" ~ celery and target not in ('celery://', 'celery:///'))
    ) then
        raise exception 'the target % is no address', left(target, 100)
            using errcode = 'invalid_parameter_value',
            hint = 'Write a group name like ''billing'', ''amqp://any@group'', '
                '''amqp://any@group/pid'', ''amqp://uni@group/pid'', '
                '''amqp-exchange://exchange/routing.key'' or ''celery://queue''.';
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
        if tag.key = 'resonate:priority'
            and (tag.value #>> '{}') collate "C" !~ '^[0-9]$'
        then
            raise exception 'a priority is a number from 0 to 9, 9 goes first, found %',
                quote_literal(left(tag.value #>> '{}', 40))
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
