//! The second wall on SQLite, and the brake: what the engine itself asks before it compiles a statement, and how a
//! statement that runs too long is stopped.
//!
//! The first wall is the rewriter. If it had a hole, the text would still have to get past [`authorize`], which knows only
//! the tables that were listed for it. SQLite asks while it compiles, and compiles again when the schema has changed, so
//! the rights are set anew for every execution, not only for the first.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use libsqlite3_sys as ffi;
use parking_lot::Mutex;
use sqlx::sqlite::LockedSqliteHandle;

use crate::storage::sql::border::TableAccess;

/// Virtual-machine steps between two looks at the clock: some ten microseconds.
const STEPS: c_int = 1_000;
const NEVER: u64 = u64::MAX;
const NOW: u64 = 0;

/// What a plugin's statement may touch.
pub(in crate::storage::sql) struct Allowed {
    /// Physical name → may it be changed?
    tables: HashMap<String, bool>,
    /// `notes.`, where a table of that plugin may be changed. SQLite compiles the foreign keys around a change into the
    /// statement itself, as reads of the tables at their other ends and as cascades into them; they are the same plugin's.
    changed_plugins: Vec<String>,
}

impl Allowed {
    pub(in crate::storage::sql) fn new(listed: &[TableAccess]) -> Self {
        let mut tables = HashMap::new();
        let mut changed_plugins = Vec::new();
        // `kernel` is no plugin: whatever a list says, the kernel's tables are never opened here.
        for access in listed.iter().filter(|access| access.plugin != "kernel") {
            *tables
                .entry(format!("{}.{}", access.plugin, access.table))
                .or_insert(false) |= access.writes;
            if access.writes {
                changed_plugins.push(format!("{}.", access.plugin));
            }
        }
        Self {
            tables,
            changed_plugins,
        }
    }

    fn may_follow_foreign_key(&self, table: &str) -> bool {
        self.changed_plugins.iter().any(|prefix| table.starts_with(prefix))
    }

    fn permits(&self, action: c_int, name: &str, column: &str) -> bool {
        match action {
            ffi::SQLITE_SELECT | ffi::SQLITE_RECURSIVE => true,
            ffi::SQLITE_READ => {
                self.tables.contains_key(name)
                    || self.may_follow_foreign_key(name)
                    || JSON_TABLES.contains(&name)
                    // A reference from which no column is read. Here SQLite also names CTEs and aliases, which have no
                    // dot, as every real table of ours has; its own tables begin with its name.
                    || (column.is_empty() && !name.contains('.') && !name.starts_with("sqlite_") && !name.starts_with("pragma_"))
            }
            ffi::SQLITE_INSERT => self.tables.get(name) == Some(&true),
            ffi::SQLITE_UPDATE | ffi::SQLITE_DELETE => {
                self.tables.get(name) == Some(&true) || self.may_follow_foreign_key(name)
            }
            // The name of a function is the second of its two; the first is always empty.
            ffi::SQLITE_FUNCTION => FUNCTIONS.binary_search(&column.to_ascii_lowercase().as_str()).is_ok(),
            // PRAGMA, ATTACH, BEGIN, COMMIT, SAVEPOINT, every DDL, virtual tables, and whatever SQLite learns next.
            _ => false,
        }
    }
}

const JSON_TABLES: [&str; 2] = ["json_each", "json_tree"];

/// What the rewriter prints and what SQLite needs for it, sorted. Nothing that reads files, loads code, looks at the
/// connection, or makes a long text from a short one.
const FUNCTIONS: &[&str] = &[
    "->",
    "->>",
    "abs",
    "avg",
    "ceil",
    "ceiling",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "count",
    "cume_dist",
    "date",
    "datetime",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "glob",
    "group_concat",
    "hex",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_length",
    "json_error_position",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_patch",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_type",
    "json_valid",
    "julianday",
    "lag",
    "last_value",
    "lead",
    "length",
    "like",
    "ln",
    "log",
    "lower",
    "ltrim",
    "max",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "percent_rank",
    "pow",
    "power",
    "quote",
    "rank",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "sqrt",
    "strftime",
    "string_agg",
    "substr",
    "substring",
    "subtype",
    "sum",
    "time",
    "timediff",
    "total",
    "trim",
    "trunc",
    "typeof",
    "unhex",
    "unicode",
    "unixepoch",
    "upper",
];

/// The state that one connection's callbacks read. Written between statements by whoever holds the connection.
pub(super) struct Guard {
    base: Instant,
    /// Microseconds after `base` at which a running statement is stopped.
    deadline: AtomicU64,
    /// None: the kernel's own statement, which may do everything.
    allowed: Mutex<Option<Arc<Allowed>>>,
}

impl Guard {
    pub(super) fn install(handle: &mut LockedSqliteHandle<'_>) -> Arc<Self> {
        let guard = Arc::new(Self {
            base: Instant::now(),
            deadline: AtomicU64::new(NEVER),
            allowed: Mutex::new(None),
        });
        let clock = Arc::clone(&guard);
        handle.set_progress_handler(STEPS, move || clock.in_time());
        let database = handle.as_raw_handle().as_ptr();
        // SAFETY: the handle is locked, so its worker makes no call meanwhile. The pointer given to SQLite stays valid as
        // long as SQLite may use it: the progress handler above owns a reference until the connection is closed.
        unsafe {
            ffi::sqlite3_set_authorizer(database, Some(authorize), Arc::as_ptr(&guard).cast_mut().cast());
            for (limit, value) in LIMITS {
                ffi::sqlite3_limit(database, limit, value);
            }
            for (option, value) in OPTIONS {
                ffi::sqlite3_db_config(database, option, value, std::ptr::null_mut::<c_int>());
            }
        }
        guard
    }

    /// The next statement is a plugin's.
    pub(super) fn plugin(&self, allowed: &Arc<Allowed>, deadline: Instant) {
        *self.allowed.lock() = Some(Arc::clone(allowed));
        let micros = deadline.saturating_duration_since(self.base).as_micros();
        self.deadline
            .store(u64::try_from(micros).unwrap_or(NEVER), Ordering::Relaxed);
    }

    /// The next statement is part of a plugin's migration.
    pub(super) fn plugin_without_deadline(&self, allowed: &Arc<Allowed>) {
        *self.allowed.lock() = Some(Arc::clone(allowed));
        self.deadline.store(NEVER, Ordering::Relaxed);
    }

    /// The next statement is the kernel's.
    pub(super) fn kernel(&self) {
        *self.allowed.lock() = None;
        self.deadline.store(NEVER, Ordering::Relaxed);
    }

    /// Stops what is running.
    pub(super) fn interrupt(&self) {
        self.deadline.store(NOW, Ordering::Relaxed);
    }

    fn in_time(&self) -> bool {
        match self.deadline.load(Ordering::Relaxed) {
            NEVER => true,
            deadline => self.base.elapsed().as_micros() < u128::from(deadline),
        }
    }
}

/// What the border lets through fits into these, so that no text is refused on one engine alone.
const LIMITS: [(c_int, c_int); 10] = [
    (ffi::SQLITE_LIMIT_LENGTH, 32 << 20),
    (ffi::SQLITE_LIMIT_SQL_LENGTH, 512 << 10),
    // The border's own depth, times what its translations add.
    (ffi::SQLITE_LIMIT_EXPR_DEPTH, 1_000),
    (ffi::SQLITE_LIMIT_COMPOUND_SELECT, 50),
    (ffi::SQLITE_LIMIT_VDBE_OP, 100_000),
    (ffi::SQLITE_LIMIT_FUNCTION_ARG, 100),
    (ffi::SQLITE_LIMIT_ATTACHED, 0),
    (ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
    (ffi::SQLITE_LIMIT_VARIABLE_NUMBER, 2_000),
    (ffi::SQLITE_LIMIT_WORKER_THREADS, 0),
];

const OPTIONS: [(c_int, c_int); 4] = [
    (ffi::SQLITE_DBCONFIG_DEFENSIVE, 1),
    (ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
    // An unknown name in double quotes is an error, not a string.
    (ffi::SQLITE_DBCONFIG_DQS_DML, 0),
    (ffi::SQLITE_DBCONFIG_DQS_DDL, 0),
];

/// Called by SQLite for everything that a statement wants, while it is compiled.
unsafe extern "C" fn authorize(
    guard: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    _database: *const c_char,
    _trigger: *const c_char,
) -> c_int {
    // SAFETY: `install` passes a pointer to a `Guard` that outlives the connection; the texts are SQLite's, valid during
    // this call, NUL-terminated or null.
    let (guard, first, second) = unsafe { (&*guard.cast::<Guard>(), text(first), text(second)) };
    match &*guard.allowed.lock() {
        None => ffi::SQLITE_OK,
        Some(allowed) if allowed.permits(action, first, second) => ffi::SQLITE_OK,
        Some(_) => {
            tracing::warn!(action, first, second, "SQLite's authorizer stopped a statement");
            ffi::SQLITE_DENY
        }
    }
}

/// # Safety
/// Null, or a NUL-terminated text that lives as long as the result is used.
unsafe fn text<'a>(pointer: *const c_char) -> &'a str {
    if pointer.is_null() {
        return "";
    }
    // SAFETY: promised by the caller. A name that is not UTF-8 is none of ours and equals none of them.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap_or("\u{fffd}.")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_function_list_is_sorted_for_its_binary_search() {
        assert!(super::FUNCTIONS.is_sorted());
    }
}
