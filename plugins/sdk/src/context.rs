//! Who asks. The kernel has verified all of it before the plugin is entered.

use crate::bindings::commerce::kernel::types;
pub use crate::bindings::commerce::kernel::types::CallerKind;

/// What a handler knows about its call besides path, query and body.
#[derive(Debug)]
pub struct Context {
    caller: Caller,
    headers: Vec<(String, String)>,
}

impl Context {
    pub(crate) fn new(caller: types::Caller, headers: Vec<types::Header>) -> Self {
        Self {
            caller: Caller(caller),
            headers: headers.into_iter().map(|header| (header.name, header.value)).collect(),
        }
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// A request header that the route declares with `headers(…)`; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The caller of a route or function. On a cacheable route it is always anonymous.
#[derive(Debug)]
pub struct Caller(types::Caller);

impl Caller {
    pub fn kind(&self) -> CallerKind {
        self.0.kind
    }

    /// `user_…` of the signed-in account.
    pub fn account(&self) -> Option<&str> {
        self.0.account.as_deref()
    }

    /// The account's address, only once the account has proved that it is theirs.
    pub fn verified_email(&self) -> Option<&str> {
        self.0.verified_email.as_deref()
    }

    pub fn is_staff(&self) -> bool {
        self.0.kind == CallerKind::Staff
    }

    /// Whether the caller is staff with this permission in this store.
    pub fn may(&self, permission: &str) -> bool {
        // `*` is the owner's permission for everything.
        self.0.permissions.iter().any(|held| held == permission || held == "*")
    }

    /// The plugin that makes this call; none where the kernel itself does.
    pub fn plugin(&self) -> Option<&str> {
        self.0.plugin.as_deref()
    }
}
