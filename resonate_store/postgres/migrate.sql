-- The statements of a migration.

-- name: schema
select
    current_setting('server_version_num')::integer,
    current_setting('server_encoding'),
    to_regnamespace(quote_ident($1)) is not null,
    to_regclass(quote_ident($1) || '.schema_versions') is not null,
    format('create schema %I', $1::text);

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
