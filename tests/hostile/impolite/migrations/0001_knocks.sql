create table knocks (
    id text primary key,
    who text not null
);
