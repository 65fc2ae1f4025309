//! Carries out what an operator asks for, on the parts of one kernel: a file per kind of thing, with its requests.

mod accounts;
mod data;
mod events;
mod keys;
mod plugins;
mod secrets;
mod stores;

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};

pub use self::accounts::AccountRequest;
pub use self::data::DataRequest;
pub use self::events::EventRequest;
pub use self::keys::{KeyKind, KeyRequest};
pub use self::plugins::{Grants, PluginRequest};
pub use self::secrets::SecretRequest;
pub use self::stores::{StoreCreate, StoreRequest};

use self::data::Growth;
use super::{Operate, Progress, Request};
use crate::http::problem::{Code, Problem};
use crate::http::{Http, openapi};
use crate::kernel::Kernel;
use crate::storage::sql::Time;
use crate::stores::{Currency, Store, currencies};

pub struct Operator {
    kernel: Arc<Kernel>,
    /// How and where it is served, if it is.
    served: Option<(Arc<Http>, String)>,
    started_at: Time,
    growth: Mutex<Growth>,
}

type Tell<'a> = &'a mut (dyn FnMut(Progress) + Send);

#[async_trait]
impl Operate for Operator {
    async fn carry_out(&self, request: Request, progress: Tell<'_>) -> Result<Value, Problem> {
        match request {
            Request::Status => Ok(self.status()),
            Request::Store(request) => self.stores(request).await,
            Request::Plugin(request) => self.plugins(request).await,
            Request::Account(request) => self.accounts(request).await,
            Request::Key(request) => self.keys(request).await,
            Request::Secret(request) => self.secrets(request).await,
            Request::Data(request) => self.data(request, progress).await,
            Request::Event(request) => self.events(request).await,
            Request::OpenApi { store } => self.openapi(store.as_deref()),
        }
    }
}

impl Operator {
    /// For a kernel that serves nothing: the command line's own.
    pub fn new(kernel: Arc<Kernel>) -> Self {
        Self {
            kernel,
            served: None,
            started_at: Time::now(),
            growth: Mutex::default(),
        }
    }

    pub fn serving(kernel: Arc<Kernel>, http: Arc<Http>, url: String) -> Self {
        Self {
            served: Some((http, url)),
            ..Self::new(kernel)
        }
    }

    fn status(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "started_at": self.started_at.text().map(|text| text.to_string()),
            "url": self.served.as_ref().map(|(_, url)| url),
            "generation": self.kernel.plugins.installed().generation,
        })
    }

    /// By slug or id.
    fn store(&self, name: &str) -> Result<Arc<Store>, Problem> {
        self.kernel.stores.named(name).ok_or_else(|| {
            Problem::new(
                Code::UnknownStore,
                format!("There is no store {name}; `commerce store list` shows them."),
            )
        })
    }

    /// The number of the store that was named, if one was.
    fn number(&self, store: Option<&str>) -> Result<Option<i64>, Problem> {
        store.map(|name| Ok(self.store(name)?.number)).transpose()
    }

    fn openapi(&self, store: Option<&str>) -> Result<Value, Problem> {
        let installed = self.kernel.plugins.installed();
        let number = self.number(store)?;
        let plugins = installed
            .plugins()
            .filter(|plugin| number.is_none_or(|number| installed.enabled(number, &plugin.name)));
        Ok(openapi::of_plugins(plugins))
    }
}

fn items(values: impl Iterator<Item = Value>) -> Value {
    json!({ "items": values.collect::<Vec<_>>() })
}

fn currency(code: &str) -> Result<Currency, Problem> {
    currencies::find(&code.to_uppercase()).ok_or_else(|| {
        let detail = format!("{code} is no currency code of ISO 4217, such as USD.");
        Problem::new(Code::InvalidBody, detail)
    })
}
