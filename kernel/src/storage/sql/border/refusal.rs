//! What a plugin's author is told when a text does not pass: which rule, which construct, what to write instead.
//!
//! A refusal is made from the text and the recorded schema alone, so it is the same on both engines and tells nothing
//! about any row.

use sqlparser::tokenizer::{Location, Span};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("{message}{}", .at.map(|at| format!(" (line {}, column {})", at.line, at.column)).unwrap_or_default())]
pub struct Refusal {
    pub kind: RefusalKind,
    pub message: String,
    pub at: Option<Place>,
}

/// One-based, as editors count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// Not SQL, or more than one statement.
    Syntax,
    /// Beyond a bound on length, depth or number of parts.
    TooLarge,
    /// Placeholders other than exactly `$1..$k`, or one whose type nothing tells.
    Parameters,
    /// No such table, column, alias or view in this scope.
    UnknownName,
    /// More than one table of the scope has this column.
    AmbiguousName,
    /// A name that plugins may not give.
    ReservedName,
    /// SQL that exists but is not on the allow-list.
    NotAllowed,
    /// A function, operator or cast target that is not on the allow-list.
    UnknownFunction,
    /// Values of kinds that do not go together.
    Type,
    /// A selected column that is neither grouped nor aggregated.
    Grouping,
    /// A schema change that cannot be made, or not safely.
    Migration,
    /// The kernel's own output failed its proof: a bug in the border, and the text is not run.
    Proof,
}

impl Refusal {
    pub(super) fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Refusal {
            kind,
            message: message.into(),
            at: None,
        }
    }

    pub(super) fn not_allowed(message: impl Into<String>) -> Self {
        Refusal::new(RefusalKind::NotAllowed, message)
    }

    pub(super) fn wrong_type(message: impl Into<String>) -> Self {
        Refusal::new(RefusalKind::Type, message)
    }

    /// Keeps the innermost place: it is the most exact.
    pub(super) fn within(mut self, span: Span) -> Self {
        if self.at.is_none() {
            self.at = Place::of(span.start);
        }
        self
    }
}

impl Place {
    pub(super) fn of(location: Location) -> Option<Place> {
        (location.line > 0).then_some(Place {
            line: location.line,
            column: location.column,
        })
    }
}

/// Refuses each named part that is present: how the walk says no to every field it does not translate.
macro_rules! refuse_if {
    ($($present:expr => $message:expr),+ $(,)?) => {
        $(if $present {
            return Err($crate::storage::sql::border::refusal::Refusal::not_allowed($message));
        })+
    };
}
pub(super) use refuse_if;
