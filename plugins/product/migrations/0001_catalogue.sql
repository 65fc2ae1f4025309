-- What the store sells. A product is what a page shows; a variant is what a cart holds: every product has at least one
-- to be sold, and prices, weight and stock belong to it.

create table products (
    id text primary key,
    -- Addresses the product in URLs. Unique in the store, kept when the title changes.
    slug text not null,
    title text not null,
    -- The title as listings sort by it: lower case, shortened.
    title_key text not null,
    -- Sanitised before it is stored, so that every reader may show it as it is.
    description_html text not null default '',
    vendor text not null default '',
    product_type text not null default '',
    status text not null default 'draft',
    seo_title text,
    seo_description text,
    -- [{"name": "Color", "values": ["Black", "Red"]}], in the order in which variants name their values.
    options jsonb not null default '[]',
    -- [{"id", "url", "alt"}], first is what a listing shows. References only: the files are elsewhere.
    media jsonb not null default '[]',
    -- The first of `media`, for listings and carts.
    image_url text,
    image_alt text,
    -- {plugin: value}, each written by that plugin alone.
    extensions jsonb not null default '{}',
    -- Which source rows the last import made it from; the same rows again change nothing.
    import_digest text,
    -- Grows with every change of the product or its variants; the ETag of its answers.
    version bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint products_slug unique (slug),
    constraint products_status check (status in ('draft', 'active', 'archived'))
);

create index products_by_status on products (status, id);

create table variants (
    id text primary key,
    product_id text not null references products (id) on delete cascade,
    position bigint not null,
    title text not null,
    sku text,
    -- The SKU again, where this variant is the one that owns it. Real catalogues repeat SKUs ("Warranty Item"): an
    -- import keeps each as it was written, and only the first variant can be found and updated by it.
    sku_key text,
    -- ["Black", "54 cm"], one for each option of the product.
    option_values jsonb not null default '[]',
    -- The same in one text, so that no two variants of a product can offer the same.
    option_key text not null,
    barcode text,
    weight_g bigint not null default 0,
    length_mm bigint,
    width_mm bigint,
    height_mm bigint,
    requires_shipping boolean not null default true,
    taxable boolean not null default true,
    tax_category text not null default 'standard',
    image_url text,
    -- The currency shown where none was asked for: the store's where the variant is priced in it. Null without prices.
    currency text,
    extensions jsonb not null default '{}',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint variants_sku unique (sku_key),
    constraint variants_options unique (product_id, option_key),
    constraint variants_size check (weight_g >= 0)
);

create index variants_by_product on variants (product_id, position, id);

create table prices (
    variant_id text not null references variants (id) on delete cascade,
    currency text not null,
    -- Minor units.
    amount bigint not null,
    -- What it cost before, shown struck through.
    compare_at bigint,
    primary key (variant_id, currency),
    constraint prices_amount check (amount >= 0)
);

create table categories (
    id text primary key,
    parent_id text references categories (id),
    slug text not null,
    title text not null,
    description text not null default '',
    position bigint not null default 0,
    -- The ids from the root down to and with its own, each followed by a slash: descendants begin with it.
    path text not null,
    version bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint categories_slug unique (slug)
);

create index categories_by_path on categories (path);
create index categories_by_parent on categories (parent_id, position, id);

-- Every category with each of its ancestors and with itself: listing a category includes what is below it.
create table category_ancestors (
    category_id text not null references categories (id) on delete cascade,
    ancestor_id text not null references categories (id) on delete cascade,
    primary key (category_id, ancestor_id)
);

create index categories_below on category_ancestors (ancestor_id, category_id);

create table product_categories (
    product_id text not null references products (id) on delete cascade,
    category_id text not null references categories (id) on delete cascade,
    primary key (product_id, category_id)
);

create index products_in_category on product_categories (category_id, product_id);

create table product_tags (
    product_id text not null references products (id) on delete cascade,
    -- Lower case: how a tag is asked for.
    tag_key text not null,
    tag text not null,
    primary key (product_id, tag_key)
);
