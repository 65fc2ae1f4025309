create table marks (
    name text primary key,
    count bigint not null
);
