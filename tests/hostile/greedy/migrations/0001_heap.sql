create table heap (
    id bigint primary key,
    word text not null
);
