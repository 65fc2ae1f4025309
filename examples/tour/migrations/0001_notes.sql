-- Notes that customers keep. An account has one note of a title.
create table notes (
    id text primary key,
    account text not null,
    title text not null,
    body text,
    tags text not null,
    written_at timestamptz not null,
    constraint one_title unique (account, title)
);

-- The list, newest first.
create index notes_by_time on notes (account, written_at, id);
