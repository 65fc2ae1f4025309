//! The planner's statistics, for tables to which many rows came at once.

use super::{Engine, Sql, SqlError, transaction};

impl Sql {
    /// Looks at a plugin's tables again. PostgreSQL does so by itself within a minute or so, and plans for empty tables
    /// until then; SQLite's plans rest on the keys alone.
    pub async fn refresh_statistics(&self, plugin: &str, tables: &[&str]) -> Result<(), SqlError> {
        if self.engine() == Engine::Sqlite || tables.is_empty() {
            return Ok(());
        }
        let tables: Vec<String> = tables.iter().map(|table| format!("\"{plugin}\".\"{table}\"")).collect();
        let analyze = format!("set local statement_timeout = 0; analyze {}", tables.join(", "));
        let (mut lease, _) = transaction::begin(self.kernel_writes()).await?;
        match lease.run(async |connection| connection.control(&analyze).await).await {
            Ok(()) => transaction::commit(&mut lease).await,
            Err(error) => {
                transaction::rollback(&mut lease).await;
                Err(error)
            }
        }
    }
}
