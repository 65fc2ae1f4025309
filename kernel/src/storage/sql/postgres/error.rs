//! PostgreSQL's errors, read from its codes.

use sqlx::Error;
use sqlx::postgres::PgDatabaseError;

use crate::storage::sql::{Constraint, ConstraintKind, SqlError};

/// `who` is the plugin, or `kernel`. True beside the error: the connection can't be used any more.
pub(super) fn translate(error: Error, who: &str) -> (SqlError, bool) {
    let Some(database) = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
    else {
        tracing::warn!(plugin = who, %error, "PostgreSQL connection failed");
        return (SqlError::unavailable(), true);
    };
    let code = database.code();
    let (translated, broken) = match code {
        "23505" => (constraint(ConstraintKind::Unique, database), false),
        "23503" => (constraint(ConstraintKind::ForeignKey, database), false),
        "23514" => (constraint(ConstraintKind::Check, database), false),
        "23502" => (constraint(ConstraintKind::NotNull, database), false),
        "57014" => (SqlError::Timeout, false),
        // Lock timeout, serialization failure, deadlock: another transaction was first.
        "55P03" | "40001" | "40P01" => (SqlError::unavailable(), false),
        "42501" => (
            SqlError::Refused("the statement reaches for what is not the plugin's".into()),
            false,
        ),
        "25006" => (SqlError::Refused("a reading call cannot change anything".into()), false),
        // "cached plan must not change result type": a migration changed what the text means; a new connection knows.
        "0A000" => (SqlError::unavailable(), true),
        "25P03" | "57P01" | "57P02" | "57P03" | "57P05" => (SqlError::unavailable(), true),
        _ if code.starts_with("08") || code.starts_with("53") => (SqlError::unavailable(), true),
        _ => (SqlError::Failed, false),
    };
    let message = database.message();
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
        _ => tracing::warn!(
            plugin = who,
            code,
            message,
            detail = database.detail(),
            "statement failed"
        ),
    }
    (translated, broken)
}

fn constraint(kind: ConstraintKind, error: &PgDatabaseError) -> SqlError {
    let name = match kind {
        ConstraintKind::Check => error.constraint().unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let columns = match kind {
        ConstraintKind::NotNull => error.column().map(str::to_owned).into_iter().collect(),
        ConstraintKind::Unique => error.detail().map(key_columns).unwrap_or_default(),
        _ => Vec::new(),
    };
    SqlError::Constraint(Constraint { kind, name, columns })
}

/// `Key (store_id, slug)=(1, chair) already exists.` The names end before the values begin; only the names are used.
fn key_columns(detail: &str) -> Vec<String> {
    let names = detail
        .strip_prefix("Key (")
        .and_then(|rest| rest.split_once(")=("))
        .map_or("", |(names, _)| names);
    names
        .split(", ")
        .map(|name| name.trim_matches('"'))
        .filter(|name| !name.is_empty() && *name != "store_id")
        .map(str::to_owned)
        .collect()
}
