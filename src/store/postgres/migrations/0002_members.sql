-- Who shares these tables. Rows of the dead go after a day.
create table members (
    id uuid primary key,
    name text not null,
    version text not null,
    -- The newest layout that it knows.
    schema integer not null,
    address text,
    since timestamptz not null,
    seen timestamptz not null,
    gone boolean not null
);

-- What each told the others last.
create table said (
    member uuid not null,
    name text not null,
    value bytea not null,
    primary key (member, name)
);

-- Who had a lease before who has it.
alter table leases add column before uuid;

create table takeovers (
    lease text not null,
    epoch bigint not null,
    at timestamptz not null,
    from_whom text not null,
    to_whom text not null,
    primary key (lease, epoch)
);
create index takeovers_by_time on takeovers (at);
