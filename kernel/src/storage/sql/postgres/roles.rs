//! The second wall on PostgreSQL: roles.
//!
//! Plugins' statements run as one role that has rights on plugins' tables only, none on the kernel's. Between plugins the
//! wall stands where each text is first met: it is planned under a role that has rights on that one plugin's tables,
//! which makes the server check its permissions without running it.
//!
//! Roles belong to the whole server, not to a database, so their names end in a mark of this database.

use sha2::{Digest, Sha256};

use super::{Kind, PostgresConnection};
use crate::storage::sql::border::Prepared;
use crate::storage::sql::{SqlError, Value};

/// Functions that run a text of their own or change the session, and could so step out of the role. The rewriter knows
/// none of them; this is for the day it has a hole.
const STEPS_OUT: [&str; 7] = [
    "set_config",
    "query_to_xml",
    "cursor_to_xml",
    "table_to_xml",
    "database_to_xml",
    "schema_to_xml",
    "ts_stat",
];

/// Where a text is tried.
#[derive(Clone, Copy)]
pub(super) enum Within {
    ItsOwn,
    TheOpenOne,
}

/// The names of this database's roles.
#[derive(Clone, Debug)]
pub(super) struct Roles {
    mark: String,
}

impl Roles {
    pub(super) fn of_database(name: &str) -> Self {
        Self {
            mark: hex::encode(&Sha256::digest(name.as_bytes())[..4]),
        }
    }

    /// Everything a plugin's statement runs as.
    pub(super) fn plugins(&self) -> String {
        format!("commerce_plugins_{}", self.mark)
    }

    fn plugin(&self, plugin: &str) -> String {
        format!("commerce_plugin_{plugin}_{}", self.mark)
    }

    /// The kernel's schema and the role that all plugins' statements share.
    pub(super) async fn ensure_base(&self, owner: &mut PostgresConnection) -> Result<(), SqlError> {
        owner.control(&format!("begin; {ONE_AT_A_TIME}")).await?;
        owner
            .control("create schema if not exists kernel; revoke all on schema kernel from public")
            .await?;
        self.create(owner, &self.plugins()).await?;
        owner.control("commit").await
    }

    /// The plugin's schema, its role, and the rights of both roles on what is in the schema by now.
    pub(super) async fn ensure_plugin(&self, owner: &mut PostgresConnection, plugin: &str) -> Result<(), SqlError> {
        owner.control(&format!("begin; {ONE_AT_A_TIME}")).await?;
        let role = self.plugin(plugin);
        self.create(owner, &role).await?;
        owner
            .control(&format!("create schema if not exists \"{plugin}\""))
            .await?;
        owner.control(&self.grants(plugin)).await?;
        owner.control("commit").await
    }

    pub(super) fn grants(&self, plugin: &str) -> String {
        let roles = format!("\"{}\", \"{}\"", self.plugins(), self.plugin(plugin));
        format!(
            "revoke all on schema \"{plugin}\" from public; grant usage on schema \"{plugin}\" to {roles}; \
             grant select, insert, update, delete on all tables in schema \"{plugin}\" to {roles}"
        )
    }

    /// Gives the rest of the open transaction the rights of one plugin.
    pub(super) fn assume(&self, plugin: &str) -> String {
        format!("set local role \"{}\"", self.plugin(plugin))
    }

    async fn create(&self, owner: &mut PostgresConnection, role: &str) -> Result<(), SqlError> {
        let known = owner
            .simple(
                "select 1 from pg_catalog.pg_roles where rolname = $1",
                &[Value::from(role)],
            )
            .await?;
        if known.is_empty() {
            let made = owner
                .control(&format!(
                    "create role \"{role}\" nologin; grant \"{role}\" to current_user"
                ))
                .await;
            return made.inspect_err(|_| {
                tracing::error!(role, "the database's user must be allowed to create roles (CREATEROLE)");
            });
        }
        let member = owner
            .simple(
                "select pg_catalog.pg_has_role(current_user, $1::name, 'member')",
                &[Value::from(role)],
            )
            .await?;
        if member.first().map(|row| row.get::<bool>(0)) == Some(Ok(true)) {
            return Ok(());
        }
        owner.control(&format!("grant \"{role}\" to current_user")).await
    }

    /// Plans the text under the plugin's role and answers the types of its parameters. In a transaction of its own, or in
    /// the one that is open: there it sees what was made in it, and leaves nothing behind.
    pub(super) async fn check(
        &self,
        owner: &mut PostgresConnection,
        within: Within,
        plugin: &str,
        prepared: &Prepared,
    ) -> Result<Box<[Kind]>, SqlError> {
        let text = &prepared.postgres;
        if let Some(name) = STEPS_OUT.into_iter().find(|name| text.contains(name)) {
            tracing::error!(plugin, function = name, "the database's own wall stopped a statement");
            return Err(SqlError::Refused(
                "the statement reaches for what is not the plugin's".into(),
            ));
        }
        let (begin, end) = match within {
            Within::ItsOwn => ("begin", "rollback"),
            Within::TheOpenOne => (
                "savepoint commerce_wall",
                "rollback to savepoint commerce_wall; release savepoint commerce_wall",
            ),
        };
        let outcome = self.plan(owner, begin, plugin, prepared).await;
        // Also forgets the grants; a prepared statement outlives its transaction.
        owner.control(end).await?;
        // By name: the driver keeps prepared statements of its own on this connection and would go on using them. Where the
        // text was refused there is none.
        if owner.control("deallocate commerce_wall").await.is_err() {
            tracing::debug!(plugin, "the refused text left no prepared statement");
        }
        outcome
    }

    async fn plan(
        &self,
        owner: &mut PostgresConnection,
        begin: &str,
        plugin: &str,
        prepared: &Prepared,
    ) -> Result<Box<[Kind]>, SqlError> {
        let role = self.plugin(plugin);
        let mut setup = format!("{begin}; set local plan_cache_mode = force_generic_plan; ");
        // Where an operator granted a view of another plugin, the rewriter lists its tables: open for this check alone.
        for table in prepared
            .tables
            .iter()
            .filter(|table| table.plugin != plugin && table.plugin != "kernel")
        {
            let (schema, name) = (&table.plugin, &table.table);
            setup.push_str(&format!(
                "grant usage on schema \"{schema}\" to \"{role}\"; grant select on \"{schema}\".\"{name}\" to \"{role}\"; "
            ));
        }
        setup.push_str(&self.assume(plugin));
        owner.control(&setup).await?;
        // Sent as a prepared statement itself, so that a second command hidden in the text is an error.
        owner
            .run_once(&format!("prepare commerce_wall as {}", prepared.postgres))
            .await?;
        let types = owner
            .simple(
                "select pg_catalog.array_to_string(parameter_types::oid[], ',') from pg_catalog.pg_prepared_statements \
                 where name = 'commerce_wall'",
                &[],
            )
            .await?;
        let types = types.first().ok_or(SqlError::Failed)?.get::<String>(0)?;
        let kinds: Box<[Kind]> = types
            .split(',')
            .filter_map(|oid| oid.parse().ok())
            .map(Kind::of_oid)
            .collect();
        let nulls = vec!["null"; kinds.len()].join(", ");
        let call = if nulls.is_empty() {
            String::new()
        } else {
            format!("({nulls})")
        };
        owner.run_once(&format!("explain execute commerce_wall{call}")).await?;
        Ok(kinds)
    }
}

/// Held until the transaction ends: roles and schemas are made by one kernel at a time. "commerce" in hexadecimal.
const ONE_AT_A_TIME: &str = "select pg_catalog.pg_advisory_xact_lock(7165064744911234661)";
