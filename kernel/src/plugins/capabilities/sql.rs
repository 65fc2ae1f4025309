//! `sql`: the plugin's own tables in this store's slice. What a text may say is the border's business, what it does the
//! unit of work's; here the two meet the call.

use super::super::bindings::imports::sql::{Constraint, ConstraintKind, Error, Host};
use super::super::instance::{CallContext, CallState};
use crate::storage::sql::{self, Answer, SqlError};

impl Host for CallState {
    async fn query(&mut self, text: String, arguments: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        Ok(match self.statement(&text, &arguments).await? {
            Ok(Answer::Rows(rows)) => Ok(rows),
            Ok(Answer::Affected(_)) => Err(Error::Refused("this statement answers no rows: use execute".to_owned())),
            Err(error) => Err(error),
        })
    }

    async fn execute(&mut self, text: String, arguments: Vec<u8>) -> wasmtime::Result<Result<u64, Error>> {
        Ok(match self.statement(&text, &arguments).await? {
            Ok(Answer::Affected(rows)) => Ok(rows),
            Ok(Answer::Rows(_)) => Err(Error::Refused("this statement answers rows: use query".to_owned())),
            Err(error) => Err(error),
        })
    }

    async fn begin(&mut self) -> wasmtime::Result<Result<u32, Error>> {
        self.clock.leave_lane();
        let call = self.context()?;
        if !call.plugin.grants.sql {
            return Ok(Err(Error::NotGranted));
        }
        let begun = call.tree.begin(call.frame, &call.plugin.access).await;
        self.not_counting_queues().await?;
        Ok(begun.map_err(wit_error))
    }

    async fn commit(&mut self, transaction: u32) -> wasmtime::Result<Result<(), Error>> {
        self.clock.leave_lane();
        let call = self.context()?;
        Ok(call
            .tree
            .commit_transaction(call.frame, transaction)
            .await
            .map_err(wit_error))
    }

    async fn rollback(&mut self, transaction: u32) -> wasmtime::Result<Result<(), Error>> {
        self.clock.leave_lane();
        let call = self.context()?;
        Ok(call
            .tree
            .rollback_transaction(call.frame, transaction)
            .await
            .map_err(wit_error))
    }
}

impl CallState {
    async fn statement(&mut self, text: &str, arguments: &[u8]) -> wasmtime::Result<Result<Answer, Error>> {
        self.clock.leave_lane();
        let deadline = self.clock.deadline;
        let call = self.context()?;
        let answered = run(call, text, arguments, deadline).await;
        self.not_counting_queues().await?;
        Ok(answered)
    }

    /// Time spent in the queue for a connection is not the call's time.
    pub(super) async fn not_counting_queues(&mut self) -> wasmtime::Result<()> {
        let waited = self.context()?.tree.waited().await;
        self.clock.waited(waited);
        Ok(())
    }
}

async fn run(
    call: &CallContext,
    text: &str,
    arguments: &[u8],
    deadline: tokio::time::Instant,
) -> Result<Answer, Error> {
    let plugin = &call.plugin;
    if !plugin.grants.sql {
        return Err(Error::NotGranted);
    }
    let prepared = plugin
        .statements
        .prepare(text)
        .map_err(|refusal| Error::Refused(refusal.to_string()))?;
    let limits = call.tree.plugins().sql().limits(deadline);
    let mut work = call.tree.work().await.map_err(wit_error)?;
    work.statement(&plugin.access, &prepared, arguments, limits)
        .await
        .map_err(wit_error)
}

fn wit_error(error: SqlError) -> Error {
    match error {
        SqlError::Refused(message) => Error::Refused(message),
        SqlError::Arguments(message) => Error::Arguments(message),
        SqlError::Constraint(constraint) => Error::Constraint(Constraint {
            kind: match constraint.kind {
                sql::ConstraintKind::Unique => ConstraintKind::Unique,
                sql::ConstraintKind::ForeignKey => ConstraintKind::ForeignKey,
                sql::ConstraintKind::Check => ConstraintKind::Check,
                sql::ConstraintKind::NotNull => ConstraintKind::NotNull,
            },
            name: constraint.name,
            columns: constraint.columns,
        }),
        SqlError::Doomed => Error::Doomed,
        SqlError::Timeout => Error::Timeout,
        SqlError::TooLarge => Error::TooLarge,
        SqlError::Unavailable { .. } => Error::Unavailable,
        SqlError::NotOwner => {
            Error::Refused("only the innermost transaction, opened by this call, can be closed".to_owned())
        }
        SqlError::Uncertain | SqlError::Conflict | SqlError::LeftOpen | SqlError::Failed => Error::Failed,
    }
}
