//! Who asks. Made by `auth` from what a request proves, handed to plugins as the WIT record `caller`.

use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallerKind {
    Anonymous,
    Customer,
    Staff,
    /// The kernel itself: an event, a job, the operator's command line.
    System,
}

/// The verified caller of one call tree. Holds no token, key or cookie: nothing here would let a reader act as the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub kind: CallerKind,
    /// `user_…`; none for anonymous callers, keys without an account, and the system.
    pub account: Option<String>,
    /// Only once the account's address has been verified.
    pub verified_email: Option<String>,
    pub permissions: BTreeSet<String>,
    /// What an `Idempotency-Key` and a rate limit belong to: the account, the API key's id, or the client's address.
    pub identity: String,
}

impl Caller {
    pub fn anonymous(address: &str) -> Self {
        Self {
            kind: CallerKind::Anonymous,
            account: None,
            verified_email: None,
            permissions: BTreeSet::new(),
            identity: format!("address:{address}"),
        }
    }

    pub fn system() -> Self {
        Self {
            kind: CallerKind::System,
            account: None,
            verified_email: None,
            permissions: BTreeSet::new(),
            identity: "system".to_owned(),
        }
    }

    /// Whether staff may do this in the caller's store. `*` is the owner's permission for everything.
    pub fn may(&self, permission: &str) -> bool {
        self.kind == CallerKind::System || self.permissions.contains("*") || self.permissions.contains(permission)
    }
}
