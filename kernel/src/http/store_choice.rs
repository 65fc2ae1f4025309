//! Which store a request is for. Host, `X-Store` and API key may each name one; those that do must agree, so that no proxy,
//! cache or script in front can mean another store than the one that is acted on.

use std::sync::Arc;

use http::HeaderMap;
use http::header::HeaderName;

use super::client::Client;
use super::problem::{Code, Problem};
use super::server::Http;
use crate::stores::{Store, StoreStatus};

static X_STORE: HeaderName = HeaderName::from_static("x-store");

/// The store, if it may be used.
pub(super) fn choose(http: &Http, client: &Client, headers: &HeaderMap) -> Result<Arc<Store>, Problem> {
    let store = match named(http, client, headers)? {
        Some(store) => store,
        None => fallback(http).ok_or_else(|| unknown(client))?,
    };
    match store.status {
        StoreStatus::Active => Ok(store),
        StoreStatus::Suspended => Err(Code::StoreSuspended.into()),
    }
}

fn named(http: &Http, client: &Client, headers: &HeaderMap) -> Result<Option<Arc<Store>>, Problem> {
    // A host that no store has names none: behind a proxy or in a test it is just the machine's.
    let by_host = client.host.as_deref().and_then(|host| http.stores.by_host(host));
    let by_header = by_header(http, headers)?;
    let by_key = http
        .auth
        .store_of_key(headers)?
        .and_then(|number| http.stores.by_number(number));
    let mut named = [by_host, by_header, by_key].into_iter().flatten();
    let Some(store) = named.next() else { return Ok(None) };
    if named.any(|other| other.number != store.number) {
        return Err(Code::StoreMismatch.into());
    }
    Ok(Some(store))
}

fn by_header(http: &Http, headers: &HeaderMap) -> Result<Option<Arc<Store>>, Problem> {
    let mut values = headers.get_all(&X_STORE).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::new(Code::InvalidHeader, "Send X-Store once."));
    }
    let store = value.to_str().ok().and_then(|name| http.stores.named(name));
    store
        .map(Some)
        .ok_or_else(|| Problem::new(Code::UnknownStore, "There is no store of the name that X-Store gives."))
}

fn fallback(http: &Http) -> Option<Arc<Store>> {
    match &http.default_store {
        Some(name) => http.stores.named(name),
        None => http.stores.sole(),
    }
}

fn unknown(client: &Client) -> Problem {
    match &client.host {
        Some(host) => Problem::new(
            Code::UnknownStore,
            format!("No store has the host {host}: name one in the header X-Store."),
        ),
        None => Code::UnknownStore.into(),
    }
}
