-- Retention: whole trees of settled promises are removed some time after the last of them settled.

create table uses (
    id text collate "C" not null,
    origin text collate "C" not null,
    primary key (id, origin)
);
comment on table uses is
    'An execution of the tree origin has created or settled the promise id, which belongs to '
    'another tree: it stays until the tree that uses it is removed.';

create index uses_origin on uses (origin);
-- Without an order, or the planner would take it for reading awaiters in order.
create index callbacks_awaiter on callbacks using hash (awaiter);

-- Remove a part of a tree if all of it may go; return how many promises went. The children go
-- first, the root last, so that a tree that is half removed can still be found by its root. Rows that
-- somebody else holds make it wait for another time: nobody waits here while holding locks.
create function remove_tree_v1(tree text, settled_before bigint, rows_max integer)
returns bigint language plpgsql as $$
declare
    part text[];
    locked text[];
begin
    part := array(
        select p.id from promises p where p.origin = tree and p.origin <> p.id
        order by p.id limit rows_max
    );
    if cardinality(part) < rows_max then
        part := part || array(
            select p.id from promises p where p.id = tree and coalesce(p.origin, p.id) = p.id
        );
    end if;
    locked := array(
        select p.id from promises p where p.id = any(part) order by p.id for update skip locked
    );
    if cardinality(locked) = 0 or cardinality(locked) < cardinality(part) then
        return 0;
    end if;
    -- With an offset the questions about a row are asked by its key: the planner might as well read
    -- all of the other table into memory.
    if exists (
        select from promises p
        where p.origin = tree and p.origin <> p.id
            and (p.state = 'pending' or p.settled_at > settled_before)
    ) or exists (
        select from promises p
        where p.id = tree and (p.state = 'pending' or p.settled_at > settled_before)
    ) or exists (
        select from promises p
        where p.origin = tree and p.origin <> p.id
            and (
                exists (select from callbacks c where c.awaited = p.id offset 0)
                or exists (select from listeners l where l.awaited = p.id offset 0)
                or exists (select from uses u where u.id = p.id and u.origin <> tree offset 0)
            )
    ) or exists (select from callbacks c where c.awaited = tree)
        or exists (select from listeners l where l.awaited = tree)
        or exists (select from uses u where u.id = tree and u.origin <> tree)
    then
        return 0;
    end if;
    delete from callbacks c using unnest(locked) as l(id) where c.awaiter = l.id;
    if tree = any(locked) or cardinality(part) < rows_max then
        delete from uses u where u.origin = tree;
    end if;
    delete from timers t using promises p
    where p.id = any(locked) and t.due_at = p.timer_at and t.id = p.id;
    delete from promises p where p.id = any(locked);
    return cardinality(locked);
end $$;
