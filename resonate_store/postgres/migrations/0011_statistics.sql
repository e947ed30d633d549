-- What the planner is to believe of columns whose averages mislead it. Plans are made without the
-- values of the parameters, so that a table with one large tree, or with one awaiter for nearly every
-- callback, would get plans that are good for these and read the whole table for all others.

-- A tree, a branch, the children of a promise: always few, so always by their own index, and never
-- along the primary key until enough of them have turned up.
alter table promises alter column origin set (n_distinct = -1);
alter table promises alter column branch set (n_distinct = -1);
alter table promises alter column parent set (n_distinct = -1);

-- An awaiter: always many. A callback is found by its key, and not among all that its awaiter waits
-- for, which are the thousands of a join.
alter table callbacks alter column awaiter set (n_distinct = 1);

analyze promises, callbacks;
