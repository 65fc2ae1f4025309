//! The keys that sign access tokens: sealed in the database, open in memory, replaced without anybody noticing.

use std::sync::Arc;

use anyhow::Context;

use super::Auth;
use super::tokens::{SigningKey, SigningKeys};
use crate::args;
use crate::http::problem::Problem;
use crate::secrets::{MasterKey, Place, SecretsError, random_bytes};
use crate::storage::sql::{KernelStatement, Sql, SqlError, Time};
use crate::versions::Topic;

/// Until then every node has loaded a new key. (Within two seconds, and clocks differ.)
const HEAD_START_US: i64 = 10_000_000;

/// The first key has a fixed id, so that of two nodes that start together only one makes it.
const FIRST: &str = "key_1";

/// As it lies in the database.
pub struct SealedKey {
    id: String,
    sealed: Vec<u8>,
}

impl SealedKey {
    /// Fails where this is not the master key that sealed it.
    pub fn opens_with(&self, master: &MasterKey) -> Result<(), SecretsError> {
        master.open(place(&self.id), &self.sealed).map(drop)
    }
}

/// Any one of them; none where nothing was sealed in this database yet.
pub async fn a_sealed_key(sql: &Sql) -> Result<Option<SealedKey>, SqlError> {
    let text = "select kid, sealed from kernel.signing_keys limit 1";
    let Some(row) = sql.kernel().fetch_optional(text, &[]).await? else {
        return Ok(None);
    };
    Ok(Some(SealedKey {
        id: row.get(0)?,
        sealed: row.get(1)?,
    }))
}

impl Auth {
    /// A new key begins to sign in ten seconds. The old one is accepted until what it signed has expired. Answers the
    /// new key's id.
    pub async fn rotate_signing_key(&self) -> Result<String, Problem> {
        let id = crate::typeid::new("key");
        let insert = self
            .new_signing_key(&id, Time(Time::now().0 + HEAD_START_US))
            .map_err(load_failed)?;
        self.0
            .sql
            .kernel()
            .transaction(vec![insert, self.outlived(), Topic::Access.changed()])
            .await?;
        self.load_access().await.map_err(load_failed)?;
        Ok(id)
    }

    pub(super) async fn ensure_signing_key(&self) -> anyhow::Result<()> {
        if a_sealed_key(&self.0.sql).await?.is_none() {
            let first = self.new_signing_key(FIRST, Time::now())?;
            self.0
                .sql
                .kernel()
                .transaction(vec![first, Topic::Access.changed()])
                .await?;
        }
        Ok(())
    }

    /// Opening them is where a wrong master key shows first: at the start, before anything is served.
    pub(super) async fn load_signing_keys(&self) -> anyhow::Result<()> {
        let rows = self
            .0
            .sql
            .kernel()
            .fetch_all("select kid, sealed, signs_from from kernel.signing_keys", &[])
            .await?;
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            let (id, sealed, from): (String, Vec<u8>, Time) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let secret = self
                .0
                .master
                .open(place(&id), &sealed)
                .context("signing keys cannot be opened")?;
            keys.push(SigningKey::new(id, from.0.div_euclid(1_000_000), &secret));
        }
        self.0.signing_keys.store(Arc::new(SigningKeys::new(keys)));
        Ok(())
    }

    /// Keys whose successor has been signing for longer than a token lives.
    fn outlived(&self) -> KernelStatement {
        let before = Time(Time::now().0 - self.access_token_life_us() - HEAD_START_US);
        KernelStatement::new(
            "delete from kernel.signing_keys where signs_from <
             (select max(newer.signs_from) from kernel.signing_keys as newer where newer.signs_from < $1)",
            args![before],
        )
    }

    fn new_signing_key(&self, id: &str, signs_from: Time) -> Result<KernelStatement, SecretsError> {
        let sealed = self.0.master.seal(place(id), &random_bytes::<32>())?;
        Ok(KernelStatement::new(
            "insert into kernel.signing_keys (kid, sealed, created_at, signs_from) values ($1, $2, $3, $4)
             on conflict (kid) do nothing",
            args![id.to_owned(), sealed, Time::now(), signs_from],
        ))
    }
}

/// No plugin's name has a space: none can ask for a secret of this place.
fn place(id: &str) -> Place<'_> {
    Place {
        store: 0,
        plugin: "the kernel",
        name: id,
    }
}

pub(super) fn load_failed(error: impl Into<anyhow::Error>) -> Problem {
    let error = error.into();
    match error.downcast::<SqlError>() {
        Ok(error) => error.into(),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "roles and keys could not be loaded");
            Problem::internal()
        }
    }
}
