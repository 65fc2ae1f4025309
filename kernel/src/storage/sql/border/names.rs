//! Which names a plugin may give, and what they become in the database.
//!
//! `"notes.items"` equals `"Notes.Items"` on SQLite, and plugin `a` with a table `b.c` would meet plugin `a.b` with a
//! table `c`: so names are lower case without dots, and the dot is the kernel's.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use super::refusal::{Refusal, RefusalKind};

pub(super) const STORE_COLUMN: &str = "store_id";

const LONGEST: usize = 31;

const RESERVED: &[&str] = &[
    "kernel",
    "public",
    "information_schema",
    STORE_COLUMN,
    "rowid",
    "oid",
    "ctid",
    "xmin",
    "xmax",
    "cmin",
    "cmax",
    "tableoid",
    "excluded",
];

/// Accepts a name for a plugin, table, column, index or constraint.
pub(super) fn accept(what: &str, name: &str) -> Result<(), Refusal> {
    let mut letters = name.chars();
    let shaped = letters.next().is_some_and(|first| first.is_ascii_lowercase())
        && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.len() <= LONGEST;
    if !shaped {
        return Err(Refusal::new(
            RefusalKind::ReservedName,
            format!(
                "{what} name {name:?} is not allowed: use lower case letters, digits and _, a letter first, at most {LONGEST} characters"
            ),
        ));
    }
    if RESERVED.contains(&name) || name.starts_with("pg_") || name.starts_with("sqlite_") {
        return Err(Refusal::new(
            RefusalKind::ReservedName,
            format!("{what} name {name:?} is reserved: choose another"),
        ));
    }
    Ok(())
}

/// An identifier's meaning: unquoted text is folded to lower case, as PostgreSQL does.
pub(super) fn written(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_ascii_lowercase(),
        Some(_) => ident.value.clone(),
    }
}

/// A name of one part.
pub(super) fn single<'a>(what: &str, name: &'a ObjectName) -> Result<&'a Ident, Refusal> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] => Ok(ident),
        _ => Err(Refusal::new(
            RefusalKind::UnknownName,
            format!("{what} `{name}` is written with a prefix: a plugin's own names have none"),
        )),
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn postgres_table(plugin: &str, table: &str) -> String {
    format!("\"{plugin}\".\"{table}\"")
}

pub(super) fn sqlite_table(plugin: &str, table: &str) -> String {
    format!("\"{plugin}.{table}\"")
}
