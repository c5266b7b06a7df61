-- A copy of another store to these tables that is not ended: until it is, nobody else uses them.
create table copies (
    id smallint primary key check (id = 1),
    -- What is copied, as it was when it was begun.
    mark text not null,
    -- The kind that comes next, and the place in it.
    kind text not null,
    after bytea,
    batch bigint not null,
    began timestamptz not null
);
