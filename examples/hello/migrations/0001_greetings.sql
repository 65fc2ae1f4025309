-- How often each name was greeted.
create table greetings (
    name text primary key,
    count bigint not null
);
