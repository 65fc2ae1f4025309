-- How often each name was greeted. Every store has its own rows; the kernel sees to that.
create table greetings (
    name text primary key,
    count bigint not null
);
