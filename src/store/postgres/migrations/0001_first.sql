-- Everything that a store keeps. Instants are milliseconds since 1970, UTC; `record` and `header` are the stored forms of
-- src/store/record.rs, and what is filtered or ordered by has a column of its own beside them.

-- What was accepted. `last` is the newest event's position: its row's lock is the journal's order, so that positions
-- have no gap and are seen in their order.
create table journal (
    id smallint primary key check (id = 1),
    last bigint not null,
    -- Of the append that was made last, by whoever made it.
    mark uuid
);
insert into journal (id, last) values (1, 0);

create table events (
    position bigint not null,
    arrived bigint not null,
    at bigint not null,
    source text not null,
    name text not null,
    -- JSON as it came; null where it is in the record.
    properties text,
    traits text,
    record bytea not null,
    -- Positions are unique by the journal's row; when it came is in the key for who parts the table by it.
    primary key (position, arrived)
);

-- Callers' own positions: pulls, imports.
create table cursors (
    name text primary key,
    value bytea not null
);

-- Who does what only one may do. An epoch is never used twice: whoever writes shows theirs.
create table leases (
    name text primary key,
    holder uuid,
    epoch bigint not null,
    until timestamptz not null
);

-- Where the engine is.
create table engine (
    id smallint primary key check (id = 1),
    version bigint not null,
    -- Of the write that was made last.
    mark uuid,
    decided bigint not null,
    -- The last step taken.
    step bigint not null,
    -- The last number given to an activation.
    seq bigint not null,
    people bigint not null,
    -- The newest arrival decided.
    reached bigint not null,
    program bytea,
    adopted bytea,
    -- The step that is written down and not yet taken.
    open_step bytea
);
insert into engine (id, version, decided, step, seq, people, reached) values (1, 0, 0, 0, 0, 0, 0);

-- Message keys of decided events.
create table dedupe (
    key uuid primary key,
    at bigint not null
);
create index dedupe_by_age on dedupe (at);

create table people (
    id uuid primary key,
    created bigint not null,
    first_seen bigint not null,
    -- The earliest of all timers.
    wake bigint,
    header bytea not null
);
create index people_by_timer on people (wake, id) where wake is not null;

create table history (
    person uuid not null,
    position bigint not null,
    at bigint not null,
    name text not null,
    properties text,
    record bytea not null,
    primary key (person, position)
);

-- Who a name belongs to. `key` stands for the whole of it, however long.
create table identifiers (
    key uuid primary key,
    name text not null,
    person uuid not null
);

-- Who was merged away, and into whom.
create table merged (
    person uuid primary key,
    survivor uuid not null
);

create table joins (
    person uuid not null,
    position bigint not null,
    n integer not null,
    written bigint not null,
    survivor uuid not null,
    refused boolean not null,
    record bytea not null,
    primary key (person, position, n)
);
create index joins_by_age on joins (written);
create index joins_refused on joins (person, position) where refused and person = survivor;

-- Edges and what became of them. `n` is 0 for the edge, and more for what became of its activations afterwards.
create table decisions (
    person uuid not null,
    at bigint not null,
    occasion uuid not null,
    n smallint not null,
    written bigint not null,
    trigger text not null,
    verdict text not null,
    record bytea not null,
    primary key (person, at, occasion, n)
);
create index decisions_by_age on decisions (written);

-- The outbox, and what became of it: one row from being decided to being forgotten.
create table activations (
    seq bigint primary key,
    lane text not null,
    occasion uuid not null,
    -- Which of the occasion's actions in this lane.
    action bigint not null,
    trigger text not null,
    trigger_id bigint not null,
    person uuid not null,
    priority smallint not null,
    state text not null check (state in ('ready', 'waiting', 'held', 'ended')),
    at bigint not null,
    expires_at bigint not null,
    -- When it may be tried next.
    not_before bigint,
    -- When it was to leave.
    planned bigint,
    tries integer not null,
    -- It waits for another try: what is behind it waits too.
    again boolean not null,
    may_have_left boolean not null,
    ended_at bigint,
    -- Of the last try.
    outcome text,
    dead boolean not null,
    -- The last ten tries: JSON.
    attempts text not null,
    payload text,
    record bytea not null,
    unique (occasion, lane, action)
);
create index activations_ready on activations (lane, priority desc, seq) where state = 'ready';
create index activations_waiting on activations (lane, not_before) where state = 'waiting';
create index activations_held on activations (trigger_id, seq) where state = 'held';
create index activations_again on activations (lane, person, priority, seq) where again;
create index activations_queued on activations (lane, priority desc, seq) where state <> 'ended';
create index activations_oldest on activations (lane, at) where state <> 'ended';
create index activations_ended on activations (seq) where state = 'ended';
create index activations_by_age on activations (lane, ended_at) where state = 'ended';
create index activations_dead on activations (seq) where dead;

-- What a sender has in its hands. Rows of an earlier epoch of the lane's lease are in nobody's.
create table hands (
    seq bigint primary key,
    lane text not null,
    person uuid not null,
    epoch bigint not null
);
create index hands_by_person on hands (lane, person);

-- Counts of lanes, a row for each who writes: 1 is the engine, 2 who sends, 3 people. A lane's is the sum.
create table lane_counts (
    lane text not null,
    side smallint not null,
    version bigint not null,
    queued bigint not null,
    deferred bigint not null,
    dead bigint not null,
    made bigint not null,
    accepted bigint not null,
    refused bigint not null,
    expired bigint not null,
    cancelled bigint not null,
    forgotten bigint not null,
    primary key (lane, side)
);
create table lane_triggers (
    lane text not null,
    side smallint not null,
    trigger text not null,
    version bigint not null,
    queued bigint not null,
    primary key (lane, side, trigger)
);

create table trigger_states (
    trigger_id bigint primary key,
    record bytea not null
);

create table catalogue (
    key uuid primary key,
    id text not null,
    -- Of the catalogue when this word came.
    version bigint not null,
    record bytea not null
);
create index catalogue_by_version on catalogue (version);

create table pools (
    name text primary key,
    added bigint not null,
    next bigint not null
);
create table codes (
    code text primary key,
    pool text not null,
    place bigint not null
);
create unique index codes_by_place on codes (pool, place);

-- What is counted beside lanes.
create table totals (
    name text primary key,
    version bigint not null,
    value bigint not null
);
insert into totals (name, version, value) values ('catalogue', 0, 0), ('codes', 0, 0), ('set_aside', 0, 0);

create table kept (
    name text primary key,
    value bytea not null
);

create table set_aside (
    id bigint generated always as identity primary key,
    at bigint not null,
    source text not null,
    record bytea not null
);
create index set_aside_by_age on set_aside (at);

-- Who was forgotten, and how that ended at each destination.
create table erasures (
    id uuid primary key,
    decided bigint not null,
    person uuid not null,
    position bigint not null,
    record bytea not null
);
create index erasures_by_time on erasures (decided, id);
create table erased (
    id uuid not null,
    lane text not null,
    at bigint not null,
    record bytea not null,
    primary key (id, lane)
);
create index erased_by_age on erased (at);
-- Names that are still to be forgotten in the journal, by what stands for them, and up to where.
create table forgotten (
    key uuid primary key,
    until bigint not null
);

-- Demands to see what is kept.
create table accesses (
    id uuid primary key,
    asked bigint not null,
    written bigint not null,
    answered bigint,
    record bytea not null
);
create index accesses_open on accesses (asked, id) where answered is null;
create index accesses_answered on accesses (asked, id) where answered is not null;

-- Who may come in.
create table register (
    id smallint primary key check (id = 1),
    version bigint not null,
    value bytea not null
);
create table audit (
    id bigint generated always as identity primary key,
    at bigint not null,
    by_whom text not null,
    did text not null,
    of_what text not null,
    status integer,
    note text not null
);

-- For people who look: what the tables have in other words. Nothing of Espalier's reads these.

create view timers as
    select id as person, wake as at from people where wake is not null;

create view dead_letters as
    select seq, lane, trigger, person, at, ended_at, outcome, tries, payload from activations where dead;

create view attempts as
    select a.seq, a.lane, a.trigger, a.person, t.n, (t.one ->> 'at')::bigint as at, (t.one ->> 'status')::integer as status,
    t.one ->> 'outcome' as outcome, t.one ->> 'code' as code, t.one ->> 'words' as words,
    (t.one ->> 'not_before')::bigint as not_before
    from activations a cross join lateral json_array_elements(a.attempts::json) with ordinality as t (one, n);

-- Of nights, the last thirty.
create view reports as
    select r.report ->> 'of' as of, r.report ->> 'ended' as ended, r.report ->> 'why' as why,
    (r.report ->> 'accepted')::bigint as accepted, (r.report ->> 'undecided')::bigint as undecided, r.report
    from (select convert_from(value, 'UTF8')::json as report from kept where name like 'night:report:%') r;
