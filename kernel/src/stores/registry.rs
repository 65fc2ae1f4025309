//! All stores in memory, replaced whole when one changes.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Currency, Store, StoreStatus, names};
use crate::plugins::StoreNumbers;
use crate::storage::sql::{Row, Sql, SqlError};
use crate::versions::{Load, Topic, Versions};

pub struct Stores {
    pub(super) sql: Sql,
    snapshot: ArcSwap<Snapshot>,
    /// Of two loads that run at once, the one that began later must win.
    loading: tokio::sync::Mutex<()>,
    /// Creating looks at what there is before it writes.
    pub(super) changing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Snapshot {
    /// In the order in which they were created.
    stores: Vec<Arc<Store>>,
    by_number: HashMap<i64, usize>,
    by_id: HashMap<String, usize>,
    by_slug: HashMap<String, usize>,
    by_host: HashMap<String, usize>,
}

impl Stores {
    pub async fn open(sql: Sql, versions: &Versions) -> Result<Arc<Self>, SqlError> {
        let stores = Arc::new(Self {
            sql,
            snapshot: ArcSwap::default(),
            loading: tokio::sync::Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        });
        let weak = Arc::downgrade(&stores);
        versions.on_change(Topic::Stores, move || {
            let stores = weak.upgrade();
            async move {
                let Some(stores) = stores else {
                    return Load::NobodyLeft;
                };
                match stores.load().await {
                    Ok(()) => Load::Done,
                    Err(error) => {
                        tracing::warn!(%error, "the stores could not be loaded; trying again");
                        Load::Failed
                    }
                }
            }
        });
        stores.load().await?;
        Ok(stores)
    }

    /// `host`: as the `Host` header gives it, with or without port.
    pub fn by_host(&self, host: &str) -> Option<Arc<Store>> {
        let host = names::host(host)?;
        self.find(|snapshot| snapshot.by_host.get(&host))
    }

    pub fn by_slug(&self, slug: &str) -> Option<Arc<Store>> {
        self.find(|snapshot| snapshot.by_slug.get(slug))
    }

    pub fn by_id(&self, id: &str) -> Option<Arc<Store>> {
        self.find(|snapshot| snapshot.by_id.get(id))
    }

    pub fn by_number(&self, number: i64) -> Option<Arc<Store>> {
        self.find(|snapshot| snapshot.by_number.get(&number))
    }

    /// By slug or id, as operators and `X-Store` name one. The two cannot be confused: a slug has no underscore.
    pub fn named(&self, name: &str) -> Option<Arc<Store>> {
        self.by_slug(name).or_else(|| self.by_id(name))
    }

    /// In the order in which they were created.
    pub fn all(&self) -> Vec<Arc<Store>> {
        self.snapshot.load().stores.clone()
    }

    /// The only store, where there is just one.
    pub fn sole(&self) -> Option<Arc<Store>> {
        match self.snapshot.load().stores.as_slice() {
            [only] => Some(Arc::clone(only)),
            _ => None,
        }
    }

    fn find(&self, position: impl Fn(&Snapshot) -> Option<&usize>) -> Option<Arc<Store>> {
        let snapshot = self.snapshot.load();
        position(&snapshot)
            .and_then(|position| snapshot.stores.get(*position))
            .cloned()
    }

    pub(super) async fn load(&self) -> Result<(), SqlError> {
        let _one_at_a_time = self.loading.lock().await;
        let rows = self
            .sql
            .kernel()
            .fetch_all(
                "select number, id, slug, name, hosts, currency, currencies, timezone, status
                 from kernel.stores order by number",
                &[],
            )
            .await?;
        let stores = rows.iter().map(store_of).collect::<Result<Vec<_>, _>>()?;
        self.snapshot.store(Arc::new(Snapshot::of(stores)));
        Ok(())
    }
}

impl StoreNumbers for Stores {
    fn numbers(&self) -> Vec<i64> {
        self.snapshot.load().stores.iter().map(|store| store.number).collect()
    }
}

impl Snapshot {
    fn of(stores: Vec<Store>) -> Self {
        let mut snapshot = Self::default();
        for (position, store) in stores.into_iter().enumerate() {
            snapshot.by_number.insert(store.number, position);
            snapshot.by_id.insert(store.id.clone(), position);
            snapshot.by_slug.insert(store.slug.clone(), position);
            snapshot
                .by_host
                .extend(store.hosts.iter().map(|host| (host.clone(), position)));
            snapshot.stores.push(Arc::new(store));
        }
        snapshot
    }
}

fn store_of(row: &Row) -> Result<Store, SqlError> {
    let currency = |code: String| super::currencies::find(&code).unwrap_or(Currency { code, exponent: 2 });
    Ok(Store {
        number: row.get(0)?,
        id: row.get(1)?,
        slug: row.get(2)?,
        name: row.get(3)?,
        hosts: strings(&row.get::<String>(4)?),
        currency: row.get(5)?,
        currencies: strings(&row.get::<String>(6)?).into_iter().map(currency).collect(),
        timezone: row.get(7)?,
        status: match row.get::<String>(8)?.as_str() {
            "active" => StoreStatus::Active,
            _ => StoreStatus::Suspended,
        },
    })
}

/// A JSON array that this module wrote itself.
fn strings(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}
