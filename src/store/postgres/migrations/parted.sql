-- Where the database has declarative partitions: what is cut by age lies in weeks, and what is of none in the rest.
-- Right after the first migration, whose tables become the rest.
alter table events rename to events_rest;
alter index events_pkey rename to events_rest_pkey;
create table events (like events_rest including all) partition by range (arrived);
alter table events attach partition events_rest default;

alter table decisions rename to decisions_rest;
alter index decisions_pkey rename to decisions_rest_pkey;
alter index decisions_by_age rename to decisions_rest_by_age;
create table decisions (like decisions_rest including all) partition by range (at);
alter table decisions attach partition decisions_rest default;
