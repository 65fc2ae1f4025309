//! What a key belongs to: the store, whoever sent it, method and path.

use sha2::{Digest, Sha256};

use super::Request;
use crate::caller::CallerKind;
use crate::http::openapi::is_proof;
use crate::storage::sql::Value;

/// A shorter key may be guessed, `try-1` for one. Where nothing but the address tells guests apart, whole companies and
/// everybody behind an undeclared proxy are one caller: a guess must not get anyone the answer, with the token in it, that
/// another guest got. UUIDs and the like are longer.
pub(super) const UNGUESSABLE: usize = 16;

/// As the row's key.
pub(super) struct Name {
    store: i64,
    caller: String,
    method: String,
    path: String,
    key: String,
    /// Whether somebody else could come by the same name.
    pub guessable: bool,
}

impl Name {
    pub fn of(request: &Request<'_>, key: String) -> Self {
        let owner = owner(request);
        Self {
            store: request.store,
            guessable: owner.is_none() && key.len() < UNGUESSABLE,
            caller: owner.unwrap_or_else(|| request.caller.identity.clone()),
            method: request.method.as_str().to_owned(),
            path: request.path.to_owned(),
            key,
        }
    }

    /// `$1` to `$5` of every statement, and what follows.
    pub fn with(&self, further: impl IntoIterator<Item = Value<'static>>) -> Vec<Value<'static>> {
        let texts = [&self.caller, &self.method, &self.path, &self.key];
        let own = texts.into_iter().map(|text| Value::from(text.clone()));
        std::iter::once(Value::from(self.store))
            .chain(own)
            .chain(further)
            .collect()
    }

    /// For what is kept in memory.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.store.to_be_bytes());
        for part in [&self.caller, &self.method, &self.path, &self.key] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// Whose key it is, where the request proves that. For somebody who is not signed in but holds a proof that the route asks
/// for, it is the proof: a phone that changes its network in the middle of a change must not make it twice.
fn owner(request: &Request<'_>) -> Option<String> {
    if request.caller.kind != CallerKind::Anonymous {
        return Some(request.caller.identity.clone());
    }
    let proofs: Vec<_> = request
        .route
        .headers
        .iter()
        .filter(|name| is_proof(name.as_str()))
        .filter_map(|name| Some((name, request.headers.get(name)?)))
        .collect();
    if proofs.is_empty() {
        return None;
    }
    let mut digest = Sha256::new();
    for (name, value) in proofs {
        digest.update(name.as_str());
        digest.update([0]);
        digest.update(value.as_bytes());
        digest.update([0]);
    }
    Some(format!("proof:{}", hex::encode(digest.finalize())))
}
