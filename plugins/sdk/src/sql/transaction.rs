//! Transactions inside of a call. Requests that change something, events and jobs are each one transaction already:
//! this is for surviving a failure inside of one, and for `staged` handlers, which open their own.

use super::SqlError;
use crate::bindings::commerce::kernel::sql as host;

/// Commits what `work` did if it answers well, and rolls it back otherwise.
pub fn transaction<T, E: From<SqlError>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let transaction = host::begin().map_err(SqlError::from)?;
    match work() {
        Ok(value) => {
            host::commit(transaction).map_err(SqlError::from)?;
            Ok(value)
        }
        Err(error) => {
            host::rollback(transaction).map_err(SqlError::from)?;
            Err(error)
        }
    }
}
