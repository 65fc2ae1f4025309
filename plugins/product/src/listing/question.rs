//! What a client asks of a listing, as values for its statements.

use commerce_sdk::money::MAX_AMOUNT;
use commerce_sdk::prelude::*;
use commerce_sdk::store::Store;

use crate::model::Status;
use crate::{shelves, terms};

/// Sorts after every id.
const AFTER_ALL: &str = "~";

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ListingQuery {
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u32>,
    after: Option<Cursor>,
    /// Words, each the beginning of a word of the title or of a SKU.
    #[schemars(length(max = 200))]
    q: Option<String>,
    /// The id or slug of a category.
    category: Option<String>,
    tag: Option<String>,
    /// Minor units.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    min_price: Option<i64>,
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    max_price: Option<i64>,
    /// `false`: only what is sold out.
    in_stock: Option<bool>,
    /// What prices are shown, compared and sorted in; the store's own where it is absent.
    currency: Option<Currency>,
    sort: Option<Sort>,
}

/// What only staff may ask.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StateQuery {
    pub status: Option<Status>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ProductSort")]
pub enum Sort {
    #[default]
    #[serde(rename = "newest")]
    Newest,
    #[serde(rename = "price")]
    Price,
    #[serde(rename = "-price")]
    PriceDown,
    #[serde(rename = "title")]
    Title,
}

/// Where the page begins: the key of the last product before it, in the order of its sort.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    pub id: String,
    pub title_key: String,
    pub price: i64,
}

#[derive(Clone, Debug)]
pub struct Question {
    pub status: Status,
    pub shelf: String,
    pub category_slug: Option<String>,
    /// Of `shelves.currency`: empty for the product's own.
    pub currency: String,
    pub sort: Sort,
    pub start: Start,
    pub limit: u32,
    pub min_price: i64,
    pub max_price: i64,
    /// A second shelf that products must be on; empty for none.
    pub also: String,
    pub in_stock: Option<bool>,
    pub words: Words,
}

impl ListingQuery {
    /// Nothing but words and a page.
    pub fn is_plain(&self) -> bool {
        self.category.is_none()
            && self.tag.is_none()
            && self.min_price.is_none()
            && self.max_price.is_none()
            && self.in_stock.is_none()
            && self.currency.is_none()
            && matches!(self.sort, None | Some(Sort::Newest))
    }
}

impl Question {
    pub fn new(status: Status, query: ListingQuery, store: &Store) -> Result<Self, Problem> {
        let currency = match query.currency {
            Some(currency) if currency == store.currency => String::new(),
            Some(currency) if store.exponent(currency).is_some() => currency.to_string(),
            Some(_) => {
                let problem = Problem::unprocessable("unknown_currency", "The store does not use this currency.");
                return Err(problem.field("?currency", "is not one of the store's"));
            }
            None => String::new(),
        };
        let sort = query.sort.unwrap_or_default();
        let state = status.as_str();
        let by_tag = query.tag.map(|tag| shelves::of_tag(state, &tag));
        let (by_category, category_slug) = match query.category {
            Some(category) if category.starts_with("cat_") => (Some(shelves::of_category(state, &category)), None),
            slug => (None, slug),
        };
        let by_price = matches!(sort, Sort::Price | Sort::PriceDown);
        // What has no price stands at the end of a shelf, and in no range.
        let most = match by_price || query.min_price.is_some() || query.max_price.is_some() {
            true => MAX_AMOUNT - 1,
            false => MAX_AMOUNT,
        };
        let (min_price, max_price) = (query.min_price.unwrap_or(0), query.max_price.unwrap_or(most).min(most));
        let everything = || shelves::of_status(state);
        let (shelf, also) = match (by_category, category_slug.is_some()) {
            (Some(category), _) => (category, by_tag.unwrap_or_default()),
            // Where the slug leads is looked up first.
            (None, true) => (everything(), by_tag.unwrap_or_default()),
            (None, false) => (by_tag.unwrap_or_else(everything), String::new()),
        };
        Ok(Self {
            status,
            shelf,
            category_slug,
            currency,
            sort,
            start: sort.start(query.after.as_ref())?.within(sort, min_price, max_price),
            limit: query.limit.unwrap_or(20).clamp(1, 100),
            min_price,
            max_price,
            also,
            in_stock: query.in_stock,
            words: Words::new(query.q.as_deref().unwrap_or_default()),
        })
    }
}

impl Start {
    /// By price, what is out of bounds is not even walked over.
    fn within(self, sort: Sort, min_price: i64, max_price: i64) -> Self {
        match sort {
            Sort::Price if self.price < min_price => Self {
                price: min_price,
                id: String::new(),
                ..self
            },
            Sort::PriceDown if self.price > max_price => Self {
                price: max_price,
                id: AFTER_ALL.to_owned(),
                ..self
            },
            _ => self,
        }
    }
}

impl Sort {
    fn name(self) -> &'static str {
        match self {
            Self::Newest => "n",
            Self::Price => "p",
            Self::PriceDown => "-p",
            Self::Title => "t",
        }
    }

    /// A cursor holds the name of its order, and is refused in another.
    pub fn cursor(self, id: &str, title_key: &str, price: i64) -> Cursor {
        match self {
            Self::Newest => Cursor::new(&(self.name(), "", id)),
            Self::Title => Cursor::new(&(self.name(), title_key, id)),
            Self::Price | Self::PriceDown => Cursor::new(&(self.name(), price, id)),
        }
    }

    fn start(self, after: Option<&Cursor>) -> Result<Start, Problem> {
        let Some(after) = after else {
            return Ok(self.beginning());
        };
        let (name, start) = match self {
            Self::Newest | Self::Title => {
                let (name, title_key, id) = after.key::<(String, String, String)>()?;
                (
                    name,
                    Start {
                        id,
                        title_key,
                        price: 0,
                    },
                )
            }
            Self::Price | Self::PriceDown => {
                let (name, price, id) = after.key::<(String, i64, String)>()?;
                (
                    name,
                    Start {
                        id,
                        title_key: String::new(),
                        price,
                    },
                )
            }
        };
        if name != self.name() {
            let problem = Problem::unprocessable("invalid_cursor", "The cursor belongs to another order.");
            return Err(problem.field("?after", "is a cursor of another order"));
        }
        Ok(start)
    }

    fn beginning(self) -> Start {
        let (id, price) = match self {
            Self::Newest => (AFTER_ALL, 0),
            Self::PriceDown => (AFTER_ALL, MAX_AMOUNT),
            Self::Price => ("", -1),
            Self::Title => ("", 0),
        };
        Start {
            id: id.to_owned(),
            title_key: String::new(),
            price,
        }
    }
}

/// The words of `q`; the first is the one that products are gathered by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Words(Vec<String>);

impl Words {
    /// So many rows are gathered and sorted faster than a shelf is walked for products that have the word.
    pub const FEW: i64 = 2_000;

    fn new(q: &str) -> Self {
        Self(terms::of_question(q))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The range of terms that begin with the word at this place; empty texts where there is none.
    pub fn range(&self, at: usize) -> (String, String) {
        self.0
            .get(at)
            .map_or_else(Default::default, |word| (word.clone(), terms::upper_bound(word)))
    }

    /// Puts the rarest word first, and says how often it comes up; none without words.
    pub fn order_by_rarity(&mut self, counts: &[i64]) -> Option<i64> {
        let (rarest, count) = counts
            .iter()
            .copied()
            .enumerate()
            .take(self.0.len())
            .min_by_key(|(_, count)| *count)?;
        self.0.swap(0, rarest);
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        serde_json::from_value(serde_json::json!({
            "id": "store_1", "slug": "s", "name": "S", "currency": "IDR", "timezone": "Asia/Jakarta",
            "currencies": [{"code": "IDR", "exponent": 0}, {"code": "USD", "exponent": 2}],
        }))
        .expect("a store")
    }

    fn ask(query: ListingQuery) -> Result<Question, Problem> {
        Question::new(Status::Active, query, &store())
    }

    #[test]
    fn a_page_goes_on_where_the_one_before_ended() {
        for sort in [Sort::Newest, Sort::Title, Sort::Price, Sort::PriceDown] {
            let after = Some(sort.cursor("prod_1", "mug", 1_099));
            let start = ask(ListingQuery {
                after,
                sort: Some(sort),
                ..Default::default()
            })
            .expect("its own cursor")
            .start;
            assert_eq!(start.id, "prod_1");
            match sort {
                Sort::Title => assert_eq!(start.title_key, "mug"),
                Sort::Price | Sort::PriceDown => assert_eq!(start.price, 1_099),
                Sort::Newest => {}
            }
        }
    }

    #[test]
    fn a_range_of_prices_is_where_the_walk_begins() {
        let priced = |sort| ListingQuery {
            sort: Some(sort),
            min_price: Some(100),
            max_price: Some(200),
            ..Default::default()
        };
        let up = ask(priced(Sort::Price)).expect("valid").start;
        assert_eq!((up.price, up.id.as_str()), (100, ""));
        let down = ask(priced(Sort::PriceDown)).expect("valid").start;
        assert_eq!((down.price, down.id.as_str()), (200, AFTER_ALL));
        let after = Some(Sort::Price.cursor("prod_1", "", 150));
        let on = ask(ListingQuery {
            after,
            ..priced(Sort::Price)
        })
        .expect("valid")
        .start;
        assert_eq!((on.price, on.id.as_str()), (150, "prod_1"));
    }

    #[test]
    fn a_cursor_of_another_order_is_refused() {
        for (made, used) in [
            (Sort::Newest, Sort::Title),
            (Sort::Price, Sort::PriceDown),
            (Sort::Price, Sort::Newest),
        ] {
            let after = Some(made.cursor("prod_1", "mug", 1));
            let refused = ask(ListingQuery {
                after,
                sort: Some(used),
                ..Default::default()
            })
            .map(|_| ());
            assert_eq!(
                refused.map_err(|problem| problem.code.into_owned()),
                Err("invalid_cursor".to_owned())
            );
        }
    }

    #[test]
    fn filters_choose_the_shelf_that_is_walked() {
        let text = |text: &str| Some(text.to_owned());
        let both = ask(ListingQuery {
            category: text("cat_1"),
            tag: text(" Red "),
            ..Default::default()
        })
        .expect("valid");
        assert_eq!(
            (both.shelf.as_str(), both.also.as_str()),
            ("active/c/cat_1", "active/t/red")
        );
        let tagged = ask(ListingQuery {
            tag: text("red"),
            ..Default::default()
        })
        .expect("valid");
        assert_eq!((tagged.shelf.as_str(), tagged.also.as_str()), ("active/t/red", ""));
        let slug = ask(ListingQuery {
            category: text("mugs"),
            tag: text("red"),
            ..Default::default()
        })
        .expect("valid");
        assert_eq!(
            (slug.category_slug.as_deref(), slug.also.as_str()),
            (Some("mugs"), "active/t/red")
        );
    }

    #[test]
    fn the_stores_own_currency_is_the_one_products_are_shelved_in() {
        let currency = |code: &str| {
            ask(ListingQuery {
                currency: code.parse().ok(),
                ..Default::default()
            })
            .map(|asked| asked.currency)
        };
        assert_eq!(currency("IDR"), Ok(String::new()));
        assert_eq!(currency("USD"), Ok("USD".to_owned()));
        assert_eq!(
            currency("EUR").map_err(|problem| problem.code.into_owned()),
            Err("unknown_currency".to_owned())
        );
    }

    #[test]
    fn the_rarest_word_is_gathered_by() {
        let mut words = Words::new("red mug large");
        assert_eq!(words.order_by_rarity(&[2_001, 5, 900, 0]), Some(5));
        assert_eq!(words.range(0).0, "mug");
        assert_eq!(Words::default().order_by_rarity(&[0, 0, 0, 0]), None);
    }
}
