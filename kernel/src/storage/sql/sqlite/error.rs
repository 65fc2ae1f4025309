//! SQLite's errors, read from its codes and messages.

use sqlx::Error;

use crate::storage::sql::{Constraint, ConstraintKind, SqlError};

const CONSTRAINT_CHECK: i32 = 275;
const CONSTRAINT_FOREIGN_KEY: i32 = 787;
const CONSTRAINT_NOT_NULL: i32 = 1299;
const CONSTRAINT_PRIMARY_KEY: i32 = 1555;
const CONSTRAINT_UNIQUE: i32 = 2067;

/// `who` is the plugin, or `kernel`. True beside the error: the connection can't be used any more.
pub(super) fn translate(error: Error, who: &str) -> (SqlError, bool) {
    let Some(code) = error
        .as_database_error()
        .and_then(|database| database.code()?.parse::<i32>().ok())
    else {
        tracing::error!(plugin = who, %error, "SQLite connection failed");
        return (SqlError::unavailable(), true);
    };
    let message = error
        .as_database_error()
        .map(|database| database.message().to_owned())
        .unwrap_or_default();
    let translated = match code {
        CONSTRAINT_CHECK => constraint(ConstraintKind::Check, &message),
        CONSTRAINT_FOREIGN_KEY => constraint(ConstraintKind::ForeignKey, &message),
        CONSTRAINT_NOT_NULL => constraint(ConstraintKind::NotNull, &message),
        CONSTRAINT_PRIMARY_KEY | CONSTRAINT_UNIQUE => constraint(ConstraintKind::Unique, &message),
        _ => match code & 0xff {
            libsqlite3_sys::SQLITE_INTERRUPT => SqlError::Timeout,
            libsqlite3_sys::SQLITE_BUSY | libsqlite3_sys::SQLITE_LOCKED => SqlError::unavailable(),
            libsqlite3_sys::SQLITE_FULL | libsqlite3_sys::SQLITE_NOMEM => SqlError::unavailable(),
            libsqlite3_sys::SQLITE_TOOBIG => SqlError::TooLarge,
            libsqlite3_sys::SQLITE_AUTH => wall(),
            libsqlite3_sys::SQLITE_READONLY => SqlError::Refused("a reading call cannot change anything".into()),
            _ if message.starts_with("not authorized") => wall(),
            _ => SqlError::Failed,
        },
    };
    match &translated {
        SqlError::Constraint(_) | SqlError::Timeout => {
            tracing::debug!(plugin = who, code, message, "statement failed")
        }
        SqlError::Refused(_) => tracing::error!(
            plugin = who,
            code,
            message,
            "the database's own wall stopped a statement"
        ),
        _ => tracing::warn!(plugin = who, code, message, "statement failed"),
    }
    (translated, false)
}

fn wall() -> SqlError {
    SqlError::Refused("the statement reaches for what is not the plugin's".into())
}

/// `UNIQUE constraint failed: notes.items.store_id, notes.items.slug` and `CHECK constraint failed: size_positive`.
fn constraint(kind: ConstraintKind, message: &str) -> SqlError {
    let subject = message.split_once("failed: ").map_or("", |(_, subject)| subject);
    let name = match kind {
        ConstraintKind::Check => subject.rsplit('.').next().unwrap_or(subject).to_owned(),
        _ => String::new(),
    };
    let columns = match kind {
        ConstraintKind::Unique | ConstraintKind::NotNull => subject
            .split(", ")
            .filter_map(|column| column.rsplit('.').next())
            .filter(|column| !column.is_empty() && *column != "store_id")
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    };
    SqlError::Constraint(Constraint { kind, name, columns })
}
