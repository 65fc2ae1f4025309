-- How many there are. Every change is one conditional statement on `stock` and one row of the ledger, in one
-- transaction: the sums of a variant's ledger equal its stock.

create table stock (
    variant_id text primary key references variants (id) on delete cascade,
    -- The variant's, so that a sale knows which answers it makes stale without another look.
    product_id text not null,
    -- Whether it is counted at all, and whether it may be sold beyond what there is.
    tracked boolean not null default true,
    policy text not null default 'deny',
    on_hand bigint not null default 0,
    -- Promised to checkouts that are not paid yet. What is available is on_hand - reserved.
    reserved bigint not null default 0,
    constraint stock_policy check (policy in ('deny', 'continue')),
    constraint stock_reserved check (reserved >= 0)
);

create index stock_of_product on stock (product_id);

create table stock_ledger (
    id text primary key,
    variant_id text not null,
    -- `reserve`, then `settle` for a sale, whose reference is its transaction: whichever of commit and release comes
    -- first settles it, and the other finds it done. Every other movement has a phase of its own, its id.
    phase text not null,
    kind text not null,
    on_hand_delta bigint not null,
    reserved_delta bigint not null,
    reference text not null,
    reason text not null default '',
    -- The account, or the plugin, that did it.
    actor text not null,
    created_at timestamptz not null,
    constraint stock_ledger_once unique (reference, variant_id, phase),
    constraint stock_ledger_kind check (kind in ('reserve', 'commit', 'release', 'restock', 'adjust', 'import'))
);

-- No foreign key: the history of a variant outlives it.
create index stock_ledger_by_variant on stock_ledger (variant_id, id);
