//! Pages of products.
//!
//! A page is a range of an index of `shelves` in the order asked for, so it costs the same at its first product and its
//! millionth. One statement picks the page's ids and writes its items as JSON, which the handler only passes on.
//!
//! Words (`q`) and slugs of categories need a look ahead, a second statement: it finds the category's id, and how common
//! each word is. Where the rarest is in few products, those are gathered and sorted; otherwise nearly every product has
//! the words, and the walk along the shelf finds a page of them soon. Nothing is counted exactly.

mod question;
mod texts;

use commerce_sdk::prelude::*;
use commerce_sdk::store::Store;

use crate::answers::ListedProduct;
use crate::model::Status;
use crate::products::KEEP_S;
use crate::{announce, shelves};

use question::{ListingQuery, Question, StateQuery, Words};

/// What a listing needs from each row besides the item: the key that its cursor is made of.
#[derive(Deserialize)]
struct Row {
    id: String,
    title_key: String,
    price: i64,
    item: String,
}

/// Active products
///
/// `category` is an id or slug and includes what is below it. `min_price` and `max_price` are minor units and are compared
/// with a product's cheapest variant; a product without a price is in no range, and in no order of prices. With `currency`,
/// only products priced in it are listed.
#[get("/api/products", access = public, cacheable, operation = "list", problems(422 = "invalid_cursor", 422 = "unknown_currency"))]
pub fn list(Query(query): Query<ListingQuery>) -> Result<With<Json<Page<ListedProduct>>>, Problem> {
    let question = Question::new(Status::Active, query, &store()?)?;
    Ok(Json(page(question)?).cached(KEEP_S, &[announce::LISTINGS]))
}

/// Products in any state, for staff
///
/// Without `status`: all, newest first, with `q` as the one filter.
#[get("/api/staff/products", access = staff("product.read"), operation = "list_for_staff",
    problems(422 = "invalid_cursor", 422 = "unknown_currency", 422 = "status_required"))]
pub fn list_for_staff(
    Query(state): Query<StateQuery>,
    Query(listing): Query<ListingQuery>,
) -> Result<Json<Page<ListedProduct>>, Problem> {
    let store = store()?;
    match state.status {
        Some(status) => page(Question::new(status, listing, &store)?).map(Json),
        None if listing.is_plain() => everything(listing, &store).map(Json),
        None => Err(
            Problem::unprocessable("status_required", "Filters and orders other than q need a status.")
                .field("?status", "is missing"),
        ),
    }
}

fn page(mut question: Question) -> Result<Page<ListedProduct>, Problem> {
    let gather = match look_ahead(&mut question)? {
        Some(gather) => gather,
        None => {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
    };
    let rows = texts::page(&question, gather).all::<Row>()?;
    finish(rows, question.limit, |row| {
        question.sort.cursor(&row.id, &row.title_key, row.price)
    })
}

fn everything(query: ListingQuery, store: &Store) -> Result<Page<ListedProduct>, Problem> {
    let mut question = Question::new(Status::Active, query, store)?;
    let Some(gather) = look_ahead(&mut question)? else {
        return Ok(Page {
            items: Vec::new(),
            next: None,
        });
    };
    let rows = texts::everything(&question, gather).all::<Row>()?;
    finish(rows, question.limit, |row| {
        question.sort.cursor(&row.id, &row.title_key, row.price)
    })
}

fn finish(rows: Vec<Row>, limit: u32, cursor: impl FnOnce(&Row) -> Cursor) -> Result<Page<ListedProduct>, Problem> {
    let Page { items, next } = Page::of(rows, limit, cursor);
    let items = items
        .into_iter()
        .map(|row| ListedProduct::from_json(row.item))
        .collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

/// Whether to gather by the first word instead of walking; none where nothing can be found.
fn look_ahead(question: &mut Question) -> Result<Option<bool>, Problem> {
    if question.words.is_empty() && question.category_slug.is_none() {
        return Ok(Some(false));
    }
    let (category, counts) = texts::look_ahead(question)?;
    if question.category_slug.is_some() {
        let Some(category) = category else { return Ok(None) };
        question.shelf = shelves::of_category(question.status.as_str(), &category);
    }
    Ok(match question.words.order_by_rarity(&counts) {
        Some(0) => None,
        Some(rarest) => Some(rarest <= Words::FEW),
        None => Some(false),
    })
}
