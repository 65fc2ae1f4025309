//! Lists that are read page by page, by the key of the last item and never by an offset.
//!
//! ```ignore
//! #[derive(Deserialize, JsonSchema)]
//! struct Listing { limit: Option<u32>, after: Option<Cursor> }
//!
//! let limit = query.limit.unwrap_or(20).min(100);
//! let after: Option<(Timestamp, String)> = Cursor::read(&query.after)?;
//! let rows = sql!("… limit $1", limit + 1).all::<Row>()?;      // one more, to learn whether there is a next page
//! Ok(Json(Page::of(rows, limit, |row| Cursor::new(&(row.created_at, &row.id)))))
//! ```

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// `{"items": […], "next": cursor|null}`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    pub items: Vec<T>,
    /// What to give as `after` for the next page; null where this is the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// `items` are one more than `limit` where there is a next page.
    pub fn of(mut items: Vec<T>, limit: u32, cursor: impl FnOnce(&T) -> Cursor) -> Self {
        let limit = limit as usize;
        let next = if items.len() > limit {
            items.truncate(limit);
            items.last().map(cursor)
        } else {
            None
        };
        Self { items, next }
    }

    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(each).collect(),
            next: self.next,
        }
    }
}

/// Where a page ended, opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// `key`: the values of the last item that the list is ordered by.
    pub fn new(key: &impl Serialize) -> Self {
        // Keys are texts, numbers and moments: writing them as JSON can't fail. Were it to, the next read is refused.
        Self(URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default()))
    }

    /// The key again; refused where it was not made by [`Cursor::new`] for this list.
    pub fn key<K: DeserializeOwned>(&self) -> Result<K, Problem> {
        let json = URL_SAFE_NO_PAD.decode(&self.0).ok();
        // Anybody can write a cursor, and no database takes a NUL in a text; no key of a list has one.
        let json = json.filter(|json| !json.windows(6).any(|escape| escape == br"\u0000"));
        json.and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(|| {
            Problem::unprocessable("invalid_cursor", "The cursor does not belong to this list.")
                .field("?after", "is not a cursor of this list")
        })
    }

    /// The key of a cursor that may not be there.
    pub fn read<K: DeserializeOwned>(cursor: &Option<Self>) -> Result<Option<K>, Problem> {
        cursor.as_ref().map(Self::key).transpose()
    }
}

impl JsonSchema for Cursor {
    fn schema_name() -> Cow<'static, str> {
        "Cursor".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_points_behind_its_last_item() {
        let page = Page::of(vec![1, 2, 3], 2, Cursor::new);
        assert_eq!(page.items, [1, 2]);
        assert_eq!(Cursor::read::<i64>(&page.next).unwrap(), Some(2));
        assert_eq!(Page::of(vec![1, 2], 2, Cursor::new).next, None);
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let nul = Cursor::new(&(1, "\0"));
        for text in ["", "?", "bnVsbA", "WzFd", &nul.0] {
            let problem = Cursor(text.to_owned()).key::<(i64, String)>().unwrap_err();
            assert_eq!((problem.status, &*problem.code), (422, "invalid_cursor"), "{text}");
        }
    }
}
