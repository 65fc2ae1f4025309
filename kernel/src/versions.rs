//! How nodes learn of each other's changes: a row per topic in `kernel.versions`, counted up in the transaction of a
//! change and read by every node each second. Who keeps a topic in memory loads it again when its number has changed.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::storage::sql::{KernelStatement, Sql, SqlError};

/// Two of these and a load stay under the two seconds that are promised.
const POLL: Duration = Duration::from_millis(750);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Stores,
    /// Roles, who has them, API keys and signing keys.
    Access,
    Secrets,
    /// What is installed, where it is enabled, and how it is set.
    Plugins,
}

impl Topic {
    fn name(self) -> &'static str {
        match self {
            Self::Stores => "stores",
            Self::Access => "access",
            Self::Secrets => "secrets",
            Self::Plugins => "plugins",
        }
    }

    /// To be part of every transaction that changes the topic.
    pub fn changed(self) -> KernelStatement {
        KernelStatement::new(
            "insert into kernel.versions as current (name, generation) values ($1, 1)
             on conflict (name) do update set generation = current.generation + 1",
            crate::args![self.name()],
        )
    }
}

/// The numbers as this node last saw them. Polling ends when the last clone is dropped.
#[derive(Clone)]
pub struct Versions(Arc<watch::Sender<BTreeMap<String, i64>>>);

/// How a load went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    Done,
    /// To be tried again.
    Failed,
    NobodyLeft,
}

impl Versions {
    pub async fn start(sql: Sql) -> Result<Self, SqlError> {
        let versions = Self(Arc::new(watch::Sender::new(read(&sql).await?)));
        let numbers = Arc::downgrade(&versions.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(POLL).await;
                let Some(numbers) = numbers.upgrade() else {
                    return;
                };
                match read(&sql).await {
                    Ok(read) => _ = numbers.send_if_modified(|known| std::mem::replace(known, read) != *known),
                    Err(error) => {
                        tracing::warn!(%error, "changes of other nodes cannot be read; trying again")
                    }
                }
            }
        });
        Ok(versions)
    }

    /// Calls `load` whenever the topic has changed, until it answers that nobody needs it any more. To be called before
    /// the first load, so that no change falls between the two.
    pub fn on_change<F, L>(&self, topic: Topic, mut load: L)
    where
        L: FnMut() -> F + Send + 'static,
        F: Future<Output = Load> + Send,
    {
        let mut numbers = self.0.subscribe();
        let mut loaded = numbers.borrow_and_update().get(topic.name()).copied();
        tokio::spawn(async move {
            while numbers.changed().await.is_ok() {
                let number = numbers.borrow_and_update().get(topic.name()).copied();
                while number != loaded {
                    match load().await {
                        Load::Done => loaded = number,
                        Load::Failed => tokio::time::sleep(POLL).await,
                        Load::NobodyLeft => return,
                    }
                }
            }
        });
    }
}

async fn read(sql: &Sql) -> Result<BTreeMap<String, i64>, SqlError> {
    let rows = sql
        .kernel()
        .fetch_all("select name, generation from kernel.versions", &[])
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}
