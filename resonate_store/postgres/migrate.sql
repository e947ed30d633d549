-- The statements of a migration.

-- name: schema
select
    current_setting('server_version_num')::integer as server,
    current_setting('server_encoding') as encoding,
    to_regnamespace(quote_ident($1)) is not null as has_schema,
    to_regclass(quote_ident($1) || '.schema_versions') is not null as has_versions,
    format('create schema %I', $1::text) as create_schema;

-- name: take_turns
select pg_advisory_xact_lock(hashtextextended('resonate migrate ' || $1, 0));

-- name: create_versions
create table schema_versions (
    version integer primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now()
);
comment on table schema_versions is 'The migrations that have been applied to this schema.';

-- name: versions
select version, name, checksum from schema_versions order by version;

-- name: record_version
insert into schema_versions (version, name, checksum) values ($1, $2, $3);

-- name: submit_grants
with applications as (
    select
        $1::text as namespace,
        $1 || '_submit' as name,
        format('%I.submit(text, text, text, jsonb, interval, integer, jsonb)', $1::text) as function
), found as (
    select
        a.*,
        to_regprocedure(a.function)::oid as function_oid,
        to_regnamespace(quote_ident(a.namespace))::oid as schema_oid,
        (select r.oid from pg_roles r where r.rolname = a.name) as role_oid
    from applications a
)
select needed.statement
from found f cross join lateral (
    values
        (1, format('create role %I nologin', f.name), f.role_oid is not null),
        (
            2, format('grant usage on schema %I to %I', f.namespace, f.name),
            has_schema_privilege(f.role_oid, f.schema_oid, 'usage')
        ),
        (
            3, format('grant execute on function %s to %I', f.function, f.name),
            has_function_privilege(f.role_oid, f.function_oid, 'execute')
        )
) as needed (position, statement, is_done)
where f.function_oid is not null and needed.is_done is not true
order by needed.position;
