//! The statements of listings. Each order has a text of its own, because an order can't be an argument; macros put them
//! together from the same parts, so that they differ in nothing else.
//!
//! Arguments: $1 shelf, $2 its currency, $3 id to start after, $4 limit, $5 and $6 bounds of the price, $7 another shelf,
//! $8 `in` or `out` of stock, $9 to $16 four ranges of terms, $17 the start's title or price.

use commerce_sdk::prelude::*;

use super::question::{Question, Sort};

/// `k` is a page of ids in order; writes their items.
macro_rules! items_of {
    ($page:expr, $order:literal) => {
        concat!(
            "select k.id, k.title_key, k.price, json_object('id', p.id, 'slug', p.slug, 'title', p.title, 'status', p.status,
                'vendor', p.vendor, 'type', p.product_type,
                'image', (case when p.image_url is null then null else json_object('url', p.image_url, 'alt', p.image_alt) end),
                'tags', coalesce((select json_agg(t.tag order by t.tag_key) from product_tags t where t.product_id = p.id), json_array()),
                'variants', coalesce((select json_agg(json_object('id', v.id, 'sku', v.sku, 'title', v.title,
                        'price', (case when r.amount is null then null
                            else json_object('amount', r.amount, 'currency', r.currency) end),
                        'compare_at_price', (case when r.compare_at is null then null
                            else json_object('amount', r.compare_at, 'currency', r.currency) end),
                        'available', greatest(n.on_hand - n.reserved, 0),
                        'in_stock', (not n.tracked or n.policy = 'continue' or n.on_hand > n.reserved)) order by v.position, v.id)
                    from variants v join stock n on n.variant_id = v.id
                        left join prices r on r.variant_id = v.id and r.currency = (case when k.currency = '' then v.currency else k.currency end)
                    where v.product_id = p.id), json_array())) as item
             from (", $page, ") k join products p on p.id = k.id order by ", $order
        )
    };
}

/// What is asked besides the shelf and the order, of each product on the way.
///
/// Not with EXISTS: PostgreSQL may turn that into a join with everything that would answer yes, or a hash of it, and make
/// it whole before the first product. A scalar subquery is asked of each product, until the page is full; in COALESCE it
/// is taken for as likely as not, and not for so rare that sorting the whole shelf looks cheaper.
macro_rules! filters {
    () => {
        " and (cast($7 as text) = '' or coalesce((select true from shelves o
                where o.shelf = $7 and o.currency = '' and o.product_id = s.product_id limit 1), false))
          and (cast($8 as text) = '' or ($8 = 'in') = coalesce((select true from stock n where n.product_id = s.product_id
                and (not n.tracked or n.policy = 'continue' or n.on_hand > n.reserved) limit 1), false))
          and (cast($9 as text) = '' or coalesce((select true from search_terms w
                where w.product_id = s.product_id and w.term >= $9 and w.term < $10 limit 1), false))
          and (cast($11 as text) = '' or coalesce((select true from search_terms w
                where w.product_id = s.product_id and w.term >= $11 and w.term < $12 limit 1), false))
          and (cast($13 as text) = '' or coalesce((select true from search_terms w
                where w.product_id = s.product_id and w.term >= $13 and w.term < $14 limit 1), false))
          and (cast($15 as text) = '' or coalesce((select true from search_terms w
                where w.product_id = s.product_id and w.term >= $15 and w.term < $16 limit 1), false))"
    };
}

/// What is walked: the shelf, or those few on it that have the first word. The limits cut nothing off, they are gathered
/// only where they are fewer; they make both engines begin with the words.
macro_rules! products_on {
    (walk) => {
        "shelves s where s.shelf = $1 and s.currency = $2"
    };
    (gather) => {
        "(select h.shelf, h.currency, h.product_id, h.title_key, h.price
            from (select distinct f.product_id from (select w.product_id from search_terms w
                    where w.term >= $9 and w.term < $10 limit 2001) f) m
                cross join shelves h
            where h.shelf = $1 and h.currency = $2 and h.product_id = m.product_id limit 2001) s
         where s.shelf = $1"
    };
}

macro_rules! shelf {
    ($how:ident, $range:literal, $order:literal) => {
        concat!(
            "select s.product_id as id, s.title_key, s.price, s.currency from ",
            products_on!($how),
            " and ",
            $range,
            filters!(),
            " order by ",
            $order,
            " limit $4"
        )
    };
}

// Inside of COALESCE, which never has anything to do here, the range of prices is a question asked of each product: SQLite
// would otherwise walk the index of prices, and sort, where another order is asked for.
macro_rules! newest {
    ($how:ident) => {
        items_of!(
            shelf!(
                $how,
                "s.product_id < $3 and coalesce(s.price >= $5 and s.price <= $6, false)",
                "s.product_id desc"
            ),
            "k.id desc"
        )
    };
}

macro_rules! by_title {
    ($how:ident) => {
        items_of!(
            shelf!(
                $how,
                "(s.title_key, s.product_id) > ($17, $3) and coalesce(s.price >= $5 and s.price <= $6, false)",
                "s.title_key, s.product_id"
            ),
            "k.title_key, k.id"
        )
    };
}

macro_rules! cheapest {
    ($how:ident) => {
        items_of!(
            shelf!(
                $how,
                "(s.price, s.product_id) > ($17, $3) and s.price >= $5 and s.price <= $6",
                "s.price, s.product_id"
            ),
            "k.price, k.id"
        )
    };
}

macro_rules! dearest {
    ($how:ident) => {
        items_of!(
            shelf!(
                $how,
                "(s.price, s.product_id) < ($17, $3) and s.price >= $5 and s.price <= $6",
                "s.price desc, s.product_id desc"
            ),
            "k.price desc, k.id desc"
        )
    };
}

pub fn page(question: &Question, gather: bool) -> Statement {
    let Question {
        shelf,
        currency,
        start,
        limit,
        min_price,
        max_price,
        also,
        in_stock,
        words,
        ..
    } = question;
    let ((w1, x1), (w2, x2), (w3, x3), (w4, x4)) = (words.range(0), words.range(1), words.range(2), words.range(3));
    // One more than asked for tells whether there is a next page.
    let limit = limit + 1;
    let in_stock = match in_stock {
        None => "",
        Some(true) => "in",
        Some(false) => "out",
    };
    macro_rules! with_arguments {
        ($text:expr $(, $key:expr)?) => {
            sql!($text, shelf, currency, start.id, limit, min_price, max_price, also, in_stock, w1, x1, w2, x2, w3, x3, w4, x4 $(, $key)?)
        };
    }
    match (question.sort, gather) {
        (Sort::Newest, false) => with_arguments!(newest!(walk)),
        (Sort::Newest, true) => with_arguments!(newest!(gather)),
        (Sort::Title, false) => with_arguments!(by_title!(walk), start.title_key),
        (Sort::Title, true) => with_arguments!(by_title!(gather), start.title_key),
        (Sort::Price, false) => with_arguments!(cheapest!(walk), start.price),
        (Sort::Price, true) => with_arguments!(cheapest!(gather), start.price),
        (Sort::PriceDown, false) => with_arguments!(dearest!(walk), start.price),
        (Sort::PriceDown, true) => with_arguments!(dearest!(gather), start.price),
    }
}

/// $1 id to start after, $2 limit, $3 to $10 the ranges of terms.
macro_rules! any_state {
    ($products:literal) => {
        items_of!(
            concat!(
                "select s.id, s.title_key, 0 as price, '' as currency from ",
                $products,
                " where s.id < $1
                    and (cast($3 as text) = '' or coalesce((select true from search_terms w
                        where w.product_id = s.id and w.term >= $3 and w.term < $4 limit 1), false))
                    and (cast($5 as text) = '' or coalesce((select true from search_terms w
                        where w.product_id = s.id and w.term >= $5 and w.term < $6 limit 1), false))
                    and (cast($7 as text) = '' or coalesce((select true from search_terms w
                        where w.product_id = s.id and w.term >= $7 and w.term < $8 limit 1), false))
                    and (cast($9 as text) = '' or coalesce((select true from search_terms w
                        where w.product_id = s.id and w.term >= $9 and w.term < $10 limit 1), false))
                  order by s.id desc limit $2"
            ),
            "k.id desc"
        )
    };
}

/// Products in every state, newest first.
pub fn everything(question: &Question, gather: bool) -> Statement {
    let Question {
        start, limit, words, ..
    } = question;
    let ((w1, x1), (w2, x2), (w3, x3), (w4, x4)) = (words.range(0), words.range(1), words.range(2), words.range(3));
    let limit = limit + 1;
    macro_rules! with_arguments {
        ($text:expr) => {
            sql!($text, start.id, limit, w1, x1, w2, x2, w3, x3, w4, x4)
        };
    }
    if gather {
        with_arguments!(any_state!(
            "(select p.id, p.title_key, p.version
                from (select distinct f.product_id from (select w.product_id from search_terms w
                        where w.term >= $3 and w.term < $4 limit 2001) f) m
                    cross join products p
                where p.id = m.product_id limit 2001) s"
        ))
    } else {
        with_arguments!(any_state!("products s"))
    }
}

/// The id of the category's slug, and how many products have each word, counted no further than it matters.
pub fn look_ahead(question: &Question) -> Result<(Option<String>, [i64; 4]), Problem> {
    let ranges = [0, 1, 2, 3].map(|at| question.words.range(at));
    let [(w1, x1), (w2, x2), (w3, x3), (w4, x4)] = ranges;
    let (category, a, b, c, d) = sql!(
        "select (select c.id from categories c where c.slug = $1) as category,
            (select count(*) from (select w.term from search_terms w where w.term >= $2 and w.term < $3 limit 2001) m) as first,
            (select count(*) from (select w.term from search_terms w where w.term >= $4 and w.term < $5 limit 2001) m) as second,
            (select count(*) from (select w.term from search_terms w where w.term >= $6 and w.term < $7 limit 2001) m) as third,
            (select count(*) from (select w.term from search_terms w where w.term >= $8 and w.term < $9 limit 2001) m) as fourth",
        question.category_slug.as_deref().unwrap_or_default(),
        w1,
        x1,
        w2,
        x2,
        w3,
        x3,
        w4,
        x4
    )
    .one::<(Option<String>, i64, i64, i64, i64)>()?;
    Ok((category, [a, b, c, d]))
}
