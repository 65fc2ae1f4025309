//! Why a statement failed, and what the client is told.

use std::fmt;

use crate::bindings::commerce::kernel::sql as host;
pub use crate::bindings::commerce::kernel::sql::{Constraint, ConstraintKind};
use crate::problem::Problem;

#[derive(Clone, Debug)]
pub enum SqlError {
    /// The text is outside of what plugins may run; the message names the construct and the remedy.
    Refused(String),
    /// The arguments do not fit the text.
    Arguments(String),
    Constraint(Constraint),
    /// An earlier statement of the innermost open transaction failed; only a rollback is possible.
    Doomed,
    /// The statement ran longer than allowed.
    Timeout,
    /// More rows or bytes than allowed.
    TooLarge,
    /// The database is out of reach or overloaded.
    Unavailable,
    NotGranted,
    /// Everything else; the engine's own words are in the operator's log.
    Failed,
    /// The answer has no row where one was promised.
    NoRow,
    /// The rows do not fit the type they are read into.
    Rows(String),
    /// A failure that [`OnConstraint::on_constraint`] has given its answer.
    Answered(Problem),
}

/// Turns a named constraint into an answer in one call beside the query.
pub trait OnConstraint<T> {
    /// `what` is broken: the columns of a unique constraint, in its order (`"account, title"`: no engine tells its name), the
    /// name of a check, or the column that may not be null. Several may follow each other.
    ///
    /// ```ignore
    /// sql!("insert into products (id, slug) values ($1, $2)", id, slug)
    ///     .execute()
    ///     .on_constraint("slug", || Problem::conflict("slug_taken", "Another product has this slug."))?;
    /// ```
    fn on_constraint(self, what: &str, answer: impl FnOnce() -> Problem) -> Result<T, SqlError>;
}

impl<T> OnConstraint<T> for Result<T, SqlError> {
    fn on_constraint(self, what: &str, answer: impl FnOnce() -> Problem) -> Result<T, SqlError> {
        self.map_err(|error| match error {
            SqlError::Constraint(broken) if broken.name == what || broken.columns.join(", ") == what => {
                SqlError::Answered(answer())
            }
            other => other,
        })
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "statement refused: {why}"),
            Self::Arguments(why) => write!(f, "statement and arguments do not fit: {why}"),
            Self::Constraint(broken) => write!(f, "constraint {} on {}", broken.name, broken.columns.join(", ")),
            Self::Doomed => f.write_str("an earlier statement of this transaction failed"),
            Self::Timeout => f.write_str("the statement ran longer than allowed"),
            Self::TooLarge => f.write_str("the answer has more rows or bytes than allowed"),
            Self::Unavailable => f.write_str("the database is out of reach or overloaded"),
            Self::NotGranted => f.write_str("plugin.toml does not ask for sql, or the operator did not grant it"),
            Self::Failed => f.write_str("the statement failed; the engine's words are in the operator's log"),
            Self::NoRow => f.write_str("the statement gave no row"),
            Self::Rows(why) => write!(f, "the rows do not fit their type: {why}"),
            Self::Answered(problem) => write!(f, "{problem}"),
        }
    }
}

impl std::error::Error for SqlError {}

impl From<host::Error> for SqlError {
    fn from(error: host::Error) -> Self {
        match error {
            host::Error::Refused(why) => Self::Refused(why),
            host::Error::Arguments(why) => Self::Arguments(why),
            host::Error::Constraint(broken) => Self::Constraint(broken),
            host::Error::Doomed => Self::Doomed,
            host::Error::Timeout => Self::Timeout,
            host::Error::TooLarge => Self::TooLarge,
            host::Error::Unavailable => Self::Unavailable,
            host::Error::NotGranted => Self::NotGranted,
            host::Error::Failed => Self::Failed,
        }
    }
}

/// What waiting may cure is a 503; what only a change of the plugin cures is a 500, with its reason in the log.
impl From<SqlError> for Problem {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Answered(problem) => problem,
            SqlError::Timeout | SqlError::Unavailable => {
                Self::unavailable("The database did not answer in time. Try again later.")
            }
            other => Self::internal(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unique_constraint_is_known_by_its_columns_and_a_check_by_its_name() {
        let broken = |kind, name: &str, columns: &[&str]| {
            SqlError::Constraint(Constraint {
                kind,
                name: name.to_owned(),
                columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            })
        };
        let answered = |error: SqlError, what: &str| {
            let failed: Result<(), _> = Err(error);
            matches!(failed.on_constraint(what, Problem::default), Err(SqlError::Answered(_)))
        };
        let unique = || broken(ConstraintKind::Unique, "", &["account", "title"]);
        assert!(answered(unique(), "account, title"));
        assert!(!answered(unique(), "title") && !answered(unique(), "one_title"));
        assert!(answered(
            broken(ConstraintKind::Check, "prices_amount", &[]),
            "prices_amount"
        ));
    }
}
