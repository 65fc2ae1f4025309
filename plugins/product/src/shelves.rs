//! The rows that listings walk (see `migrations/0002_listing.sql`), derived from the catalogue by one statement, so that
//! they can't say anything else than it does.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;

/// Products whose rows are derived again at once.
const BATCH: usize = 500;

/// Everything in one state.
pub fn of_status(status: &str) -> String {
    status.to_owned()
}

pub fn of_category(status: &str, category: &str) -> String {
    format!("{status}/c/{category}")
}

pub fn of_tag(status: &str, tag: &str) -> String {
    format!("{status}/t/{}", tag.trim().to_lowercase())
}

pub fn clear(products: &[&str]) -> Result<(), Problem> {
    sql!("delete from shelves where product_id = any($1)", JsonColumn(products)).execute()?;
    Ok(())
}

/// Puts products, which are on no shelf, where they belong. `home` is the store's currency.
///
/// Prices are looked up product by product and never joined as a whole: PostgreSQL takes a table that has just been
/// filled for empty, and would read all prices again for each shelf of each product.
pub fn fill(products: &[&str], home: Currency) -> Result<(), Problem> {
    sql!(
        "insert into shelves (shelf, currency, product_id, title_key, price)
         with placed as (
            select p.id as product_id, p.title_key, p.status as shelf from products p where p.id = any($1)
            union
            select p.id, p.title_key, p.status || '/t/' || t.tag_key
            from product_tags t join products p on p.id = t.product_id where t.product_id = any($1)
            union
            select p.id, p.title_key, p.status || '/c/' || a.ancestor_id
            from product_categories l join category_ancestors a on a.category_id = l.category_id
                join products p on p.id = l.product_id where l.product_id = any($1)
         )
         select a.shelf, '', a.product_id, a.title_key,
            coalesce((select min(r.amount) from variants v join prices r on r.variant_id = v.id and r.currency = v.currency
                where v.product_id = a.product_id), 9007199254740991)
         from placed a
         union all
         select a.shelf, r.currency, a.product_id, a.title_key, min(r.amount)
         from placed a join variants v on v.product_id = a.product_id join prices r on r.variant_id = v.id
         where v.product_id = any($1) and r.currency <> $2 group by a.shelf, r.currency, a.product_id, a.title_key",
        JsonColumn(products),
        home
    )
    .execute()?;
    Ok(())
}

/// Derives the rows of all products in a category or below it.
pub fn refill_category(category: &str, home: Currency) -> Result<(), Problem> {
    let products = sql!(
        "select distinct l.product_id from product_categories l
            join category_ancestors a on a.category_id = l.category_id
         where a.ancestor_id = $1",
        category
    )
    .scalars::<String>()?;
    refill(&products, home)
}

pub fn refill(products: &[String], home: Currency) -> Result<(), Problem> {
    for batch in products.chunks(BATCH) {
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        clear(&batch)?;
        fill(&batch, home)?;
    }
    Ok(())
}
