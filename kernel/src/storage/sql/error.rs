//! How a statement can fail, as plugins and the kernel see it. The engine's own words never get here: they may quote
//! another store's row, so they go to the operator's log and nowhere else.

use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// Outside of what may be run here; says what and what to do.
    #[error("{0}")]
    Refused(String),
    /// The arguments do not fit the text.
    #[error("{0}")]
    Arguments(String),
    #[error("violates {0}")]
    Constraint(Constraint),
    /// An earlier statement, or a joined call, of the innermost open transaction failed: it accepts only its rollback.
    #[error("the transaction has failed and can only be rolled back")]
    Doomed,
    #[error("the statement ran longer than allowed")]
    Timeout,
    #[error("the answer has more rows or bytes than allowed")]
    TooLarge,
    /// Nothing was done: no connection, too long a queue, a deadlock. The same may be tried again.
    #[error("the database is out of reach or overloaded")]
    Unavailable { retry_after: Duration },
    /// The connection broke while the outcome was on its way: done or not done, nobody here knows.
    #[error("the connection broke before the database confirmed the outcome")]
    Uncertain,
    /// A [`KernelStatement`](super::KernelStatement) did not affect as many rows as expected; all is rolled back.
    #[error("what the transaction relied on has changed meanwhile")]
    Conflict,
    /// A call ended with transactions of its own still open; they are rolled back.
    #[error("the call ended with a transaction left open")]
    LeftOpen,
    /// Only the innermost open transaction can be closed, and only by the call that opened it.
    #[error("this transaction is not the caller's to close now")]
    NotOwner,
    #[error("the statement failed")]
    Failed,
}

impl SqlError {
    pub(super) fn unavailable() -> Self {
        Self::Unavailable {
            retry_after: Duration::from_secs(1),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    pub kind: ConstraintKind,
    /// The name of a check, as the migration gave it. Empty for the others: SQLite does not tell, and both engines
    /// shall look the same to a plugin.
    pub name: String,
    /// The columns of a unique or not-null constraint, without the store's.
    pub columns: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstraintKind {
    Unique,
    ForeignKey,
    Check,
    NotNull,
}

impl std::fmt::Display for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            ConstraintKind::Unique => "unique",
            ConstraintKind::ForeignKey => "foreign key",
            ConstraintKind::Check => "check",
            ConstraintKind::NotNull => "not null",
        };
        write!(f, "{kind} {}({})", self.name, self.columns.join(", "))
    }
}
