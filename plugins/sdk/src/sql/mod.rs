//! The plugin's own tables, in the slice of the store that this call is for.
//!
//! ```ignore
//! #[derive(Deserialize)]
//! struct Item { id: String, quantity: i64 }
//!
//! let items = sql!("select id, quantity from items where cart_id = $1 order by id", cart).all::<Item>()?;
//! let count = sql!("select count(*) from items").scalar::<i64>()?;
//! let changed = sql!("update stock set on_hand = on_hand - $2 where id = $1 and on_hand >= $2", id, 3).execute()?;
//! ```
//!
//! Columns become fields by position, and their names must agree; tuples take any names. PostgreSQL's dialect, `$1 … $k`;
//! what a text may say is checked when the plugin is installed.

mod error;
mod rows;
mod transaction;
mod values;

pub use error::{Constraint, ConstraintKind, OnConstraint, SqlError};
pub use transaction::transaction;
pub use values::{Argument, Blob, JsonColumn};

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::bindings::commerce::kernel::sql as host;

/// A statement with its arguments.
#[macro_export]
macro_rules! sql {
    ($text:expr $(, $argument:expr)* $(,)?) => {{
        const TEXT: &str = $text;
        // Installing the plugin checks every text that stands in this section.
        #[cfg(target_arch = "wasm32")]
        #[used]
        #[unsafe(link_section = "commerce:sql")]
        static RECORDED: [u8; TEXT.len() + 1] = $crate::__private::nul_terminated(TEXT);
        $crate::sql::Statement::new(TEXT, &[$(&$argument as &dyn $crate::sql::Argument),*])
    }};
}

/// A statement whose text is made at run time. Prefer [`sql!`](crate::sql!), which is checked at install.
pub fn sql_text(text: impl Into<Cow<'static, str>>, arguments: &[&dyn Argument]) -> Statement {
    Statement::new(text, arguments)
}

#[doc(hidden)]
pub const fn nul_terminated<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let mut at = 0;
    while at < text.len() {
        bytes[at] = text.as_bytes()[at];
        at += 1;
    }
    bytes
}

#[derive(Debug)]
pub struct Statement {
    text: Cow<'static, str>,
    /// A MessagePack array; or why an argument could not be written.
    arguments: Result<Vec<u8>, SqlError>,
}

impl Statement {
    #[doc(hidden)]
    pub fn new(text: impl Into<Cow<'static, str>>, arguments: &[&dyn Argument]) -> Self {
        Self {
            text: text.into(),
            arguments: values::encode(arguments),
        }
    }

    pub fn all<T: DeserializeOwned>(self) -> Result<Vec<T>, SqlError> {
        self.rows(|rows| rows.collect())
    }

    /// The first row, where there is one.
    pub fn optional<T: DeserializeOwned>(self) -> Result<Option<T>, SqlError> {
        self.rows(|mut rows| rows.next().transpose())
    }

    /// The first row of a statement that always has one: an aggregate, an insert with `returning`.
    pub fn one<T: DeserializeOwned>(self) -> Result<T, SqlError> {
        self.optional()?.ok_or(SqlError::NoRow)
    }

    /// The first column of the first row.
    pub fn scalar<T: DeserializeOwned>(self) -> Result<T, SqlError> {
        self.one::<(T,)>().map(|(value,)| value)
    }

    /// The first and only column of every row.
    pub fn scalars<T: DeserializeOwned>(self) -> Result<Vec<T>, SqlError> {
        self.rows(|rows| rows.map(|row| row.map(|(value,)| value)).collect())
    }

    /// How many rows were changed.
    pub fn execute(self) -> Result<u64, SqlError> {
        Ok(host::execute(&self.text, &self.arguments?)?)
    }

    fn rows<T: DeserializeOwned, C>(
        self,
        collect: impl FnOnce(rows::Rows<'_, T>) -> Result<C, SqlError>,
    ) -> Result<C, SqlError> {
        let answer = host::query(&self.text, &self.arguments?)?;
        collect(rows::Rows::read(&answer)?)
    }
}
