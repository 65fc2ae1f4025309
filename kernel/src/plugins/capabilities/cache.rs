//! `cache`: values of one plugin in one store, in this process, that may be lost at any time.
//!
//! They never join a SQL transaction, so a write inside one is refused: a value cached from rows that are then rolled back
//! would outlive them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;

use super::super::bindings::imports::cache::Host;
use super::super::bindings::imports::types::Refusal;
use super::super::grants::not_granted;
use super::super::instance::{CallContext, CallState};

const MAX_KEY_BYTES: usize = 512;
const MAX_VALUE_BYTES: usize = 1 << 20;
const MAX_TOTAL_BYTES: u64 = 64 << 20;
const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
const MAX_TAGS: usize = 100;

/// All cached values of this process.
#[derive(Clone)]
pub struct CacheStore(moka::sync::Cache<Key, Entry>);

/// The plugin and the store are part of the key, and neither is the plugin's to choose.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    store: i64,
    plugin: Arc<str>,
    key: String,
}

#[derive(Clone)]
struct Entry {
    value: Arc<[u8]>,
    ttl: Duration,
}

struct OwnTtl;

impl Expiry<Key, Entry> for OwnTtl {
    fn expire_after_create(&self, _: &Key, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(&self, _: &Key, entry: &Entry, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.ttl)
    }
}

impl Default for CacheStore {
    fn default() -> Self {
        let weigh =
            |key: &Key, entry: &Entry| u32::try_from(key.key.len() + entry.value.len() + 128).unwrap_or(u32::MAX);
        Self(
            moka::sync::Cache::builder()
                .max_capacity(MAX_TOTAL_BYTES)
                .weigher(weigh)
                .expire_after(OwnTtl)
                .build(),
        )
    }
}

/// The key under which a call finds its own value, if it may use the cache at all.
fn own_key(call: &CallContext, key: String) -> Result<Key, Refusal> {
    if !call.plugin.grants.cache {
        return Err(not_granted(call.plugin.manifest.capabilities.cache, "cache = true"));
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(Refusal::Invalid(format!("a key has at most {MAX_KEY_BYTES} bytes")));
    }
    Ok(Key {
        store: call.tree.store().number,
        plugin: call.plugin.name.clone(),
        key,
    })
}

impl Host for CallState {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Refusal>> {
        let call = self.context()?;
        let found = own_key(call, key).map(|key| call.tree.plugins().cache().0.get(&key));
        Ok(found.map(|entry| entry.map(|entry| entry.value.to_vec())))
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: u64) -> wasmtime::Result<Result<(), Refusal>> {
        let call = self.context()?;
        let key = match own_key(call, key) {
            Ok(key) => key,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if value.len() > MAX_VALUE_BYTES {
            return Ok(Err(Refusal::Invalid(format!(
                "a value has at most {MAX_VALUE_BYTES} bytes"
            ))));
        }
        if call.tree.in_transaction() {
            return Ok(Err(Refusal::InTransaction));
        }
        let entry = Entry {
            value: value.into(),
            ttl: Duration::from_millis(ttl_ms).min(MAX_TTL),
        };
        call.tree.plugins().cache().0.insert(key, entry);
        Ok(Ok(()))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), Refusal>> {
        let call = self.context()?;
        if call.tree.in_transaction() {
            return Ok(Err(Refusal::InTransaction));
        }
        Ok(own_key(call, key).map(|key| call.tree.plugins().cache().0.invalidate(&key)))
    }

    fn invalidate(&mut self, tags: Vec<String>) -> wasmtime::Result<Result<(), Refusal>> {
        let call = self.context()?;
        if !call.plugin.grants.cache {
            return Ok(Err(not_granted(
                call.plugin.manifest.capabilities.cache,
                "cache = true",
            )));
        }
        if tags.len() > MAX_TAGS || tags.iter().any(|tag| tag.is_empty() || tag.len() > MAX_KEY_BYTES) {
            return Ok(Err(Refusal::Invalid(format!(
                "at most {MAX_TAGS} tags of 1 to {MAX_KEY_BYTES} bytes"
            ))));
        }
        if !call.tree.may_announce() {
            return Ok(Err(Refusal::Invalid(
                "a GET changes nothing, so it invalidates nothing".to_owned(),
            )));
        }
        let kept = call.tree.invalidate(&call.plugin.name, tags);
        Ok(kept.map_err(|too_many| Refusal::Invalid(too_many.to_string())))
    }
}
