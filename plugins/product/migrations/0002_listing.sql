-- What listings walk, derived from the catalogue in the transaction that changes it (src/shelves.rs, src/terms.rs).

-- A shelf is one set of products that can be listed: `active`, `active/c/<category>`, `active/t/<tag>`, the same for the
-- other states. A page of it is a range of an index in each order, however large the catalogue is.
-- Rows of currency '' carry the price in the product's own currency; more rows follow for each other currency it is
-- priced in. A product without a price has the largest amount there is.
create table shelves (
    shelf text not null,
    currency text not null,
    product_id text not null references products (id) on delete cascade,
    title_key text not null,
    -- The cheapest variant's price in minor units.
    price bigint not null,
    primary key (shelf, currency, product_id)
);

create index shelves_by_title on shelves (shelf, currency, title_key, product_id);
create index shelves_by_price on shelves (shelf, currency, price, product_id);
create index shelves_of_product on shelves (product_id);

-- The words of titles and SKUs, in lower case, for search by prefix.
create table search_terms (
    term text not null,
    product_id text not null references products (id) on delete cascade,
    primary key (term, product_id)
);

create index terms_of_product on search_terms (product_id, term);
