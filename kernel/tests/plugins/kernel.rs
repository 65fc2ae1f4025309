//! A kernel without its edge: a database, plugins, one store, and what they announce.

use std::sync::Arc;

use async_trait::async_trait;
use commerce_kernel::caller::Caller;
use commerce_kernel::http::problem::Problem;
use commerce_kernel::plugins::{
    Decision, HandleRequest, HandleResponse, Installed, JobChange, Outbox, Parts, Plugins, PluginsConfig, Published,
    SecretSource, SecretsUnavailable, StoreNumbers, TagInvalidation, Tree,
};
use commerce_kernel::storage::sql::{KernelStatement, Mode, Sql, SqlConfig};
use commerce_kernel::stores::{Store, StoreStatus};
use commerce_kernel::versions::Versions;
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;

pub struct TestKernel {
    pub plugins: Plugins,
    pub sql: Sql,
    pub store: Arc<Store>,
    pub announced: Arc<Announced>,
    pub folder: Arc<TempDir>,
    /// Polled as long as somebody holds it.
    _versions: Versions,
}

/// What left the units of work.
#[derive(Default)]
pub struct Announced {
    pub events: Mutex<Vec<Published>>,
    pub tags: Mutex<Vec<String>>,
}

impl Outbox for Announced {
    fn rows(&self, _: &Installed, _: i64, published: &[Published], _: &[JobChange]) -> Vec<KernelStatement> {
        self.events.lock().extend_from_slice(published);
        Vec::new()
    }

    fn waiting_job(&self) -> &'static str {
        "select 1 from kernel.stores where number = $1 and id = $2 and slug = $3 and name = $4"
    }

    fn committed(&self) {}
}

impl TagInvalidation for Announced {
    fn invalidate(&self, _: i64, plugin: &str, tags: &[String]) {
        self.tags
            .lock()
            .extend(tags.iter().map(|tag| format!("{plugin}:{tag}")));
    }
}

struct NoSecrets;

#[async_trait]
impl SecretSource for NoSecrets {
    async fn secret(&self, _: i64, _: &str, _: &str) -> Result<Option<String>, SecretsUnavailable> {
        Ok(None)
    }
}

struct OneStore;

impl StoreNumbers for OneStore {
    fn numbers(&self) -> Vec<i64> {
        vec![1]
    }
}

impl TestKernel {
    pub async fn start() -> Self {
        Self::with(PluginsConfig::default()).await
    }

    pub async fn with(config: PluginsConfig) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::open(config, SqlConfig::default(), folder, true).await
    }

    /// Another node on the same database, with the same folder of compiled plugins: how long compiling takes depends on the
    /// machine.
    pub async fn second_node(&self, url: &str) -> Self {
        let folder = self.folder.clone();
        Self::open(
            PluginsConfig::default(),
            SqlConfig {
                url: Some(url.to_owned()),
                ..SqlConfig::default()
            },
            folder,
            false,
        )
        .await
    }

    pub async fn on_postgres(url: &str) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::open(
            PluginsConfig::default(),
            SqlConfig {
                url: Some(url.to_owned()),
                ..SqlConfig::default()
            },
            folder,
            true,
        )
        .await
    }

    /// The same folder again, as after a restart.
    pub async fn restarted(self) -> Self {
        let folder = self.folder.clone();
        self.sql.close().await;
        drop(self.plugins);
        Self::open(PluginsConfig::default(), SqlConfig::default(), folder, false).await
    }

    async fn open(config: PluginsConfig, sql: SqlConfig, folder: Arc<TempDir>, new: bool) -> Self {
        // Whoever comes first; as main does it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sql = Sql::open(&sql, folder.path()).await.unwrap();
        sql.migrate().await.unwrap();
        if new {
            let text = "insert into kernel.stores
                (id, slug, name, hosts, currency, currencies, timezone, status, settings, created_at)
                values ('store_1', 'main', 'Main', '[]', 'USD', '[]', 'UTC', 'active', '{}', $1)";
            let now = commerce_kernel::storage::sql::Time::now();
            sql.kernel().execute(text, &[now.into()]).await.unwrap();
        }
        let versions = Versions::start(sql.clone()).await.unwrap();
        let announced = Arc::new(Announced::default());
        let parts = Parts {
            sql: sql.clone(),
            config,
            stores: Arc::new(OneStore),
            secrets: Arc::new(NoSecrets),
            outbox: announced.clone(),
            tags: announced.clone(),
        };
        let plugins = Plugins::open(parts, folder.path(), &versions, &prometheus::Registry::new())
            .await
            .unwrap();
        let store = Arc::new(Store {
            number: 1,
            id: "store_1".into(),
            slug: "main".into(),
            name: "Main".into(),
            hosts: Vec::new(),
            currency: "USD".into(),
            currencies: Vec::new(),
            timezone: "UTC".into(),
            status: StoreStatus::Active,
        });
        Self {
            plugins,
            sql,
            store,
            announced,
            folder,
            _versions: versions,
        }
    }

    pub async fn install(&self, package: Vec<u8>) {
        self.plugins
            .install(package, Decision::All)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }

    pub fn tree(&self, mode: Mode) -> Tree {
        self.tree_in(self.store.clone(), mode)
    }

    pub fn tree_in(&self, store: Arc<Store>, mode: Mode) -> Tree {
        self.plugins
            .tree(store, Caller::anonymous("192.0.2.1"), "req_test".to_owned(), mode)
    }

    /// As the pipeline does it: the route's owner answers, a good answer commits, anything else rolls back.
    pub async fn request(&self, method: &str, path: &str, body: Value) -> Result<HandleResponse, Problem> {
        let installed = self.plugins.installed();
        let (plugin, route, values) = installed
            .plugins()
            .flat_map(|plugin| plugin.descriptor.routes.iter().map(move |route| (plugin, route)))
            .find_map(|(plugin, route)| Some((plugin, route, values(method, path, route)?)))
            .unwrap_or_else(|| panic!("no route {method} {path}"));
        let mode = match (method, route.staged) {
            ("GET", _) => Mode::Reading,
            (_, true) => Mode::Staged,
            _ => Mode::Changing,
        };
        let tree = self.tree(mode);
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let request = HandleRequest {
            operation: route.operation.clone(),
            path: values,
            body,
            ..HandleRequest::default()
        };
        let answer = self.plugins.handle(&tree, plugin, request).await;
        match &answer {
            Ok(response) if response.status < 400 => tree
                .commit(Vec::new())
                .await
                .map_err(|error| Problem::new(commerce_kernel::http::problem::Code::Internal, error.to_string()))?,
            _ => tree.abandon().await,
        }
        answer
    }

    pub async fn get(&self, path: &str) -> Result<HandleResponse, Problem> {
        self.request("GET", path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<HandleResponse, Problem> {
        self.request("POST", path, body).await
    }

    /// The body of a good answer to a GET.
    pub async fn read(&self, path: &str) -> Value {
        json(
            self.get(path)
                .await
                .unwrap_or_else(|problem| panic!("{path}: {problem:?}")),
        )
    }

    /// How often `misbehaving` has committed this mark.
    pub async fn marks(&self, name: &str) -> i64 {
        let tree = self.tree(Mode::Changing);
        let payload = serde_json::json!({ "name": name }).to_string().into_bytes();
        let answer = self.plugins.call(&tree, "misbehaving", "mark", payload).await.unwrap();
        tree.abandon().await;
        serde_json::from_slice::<i64>(&answer).unwrap() - 1
    }
}

pub fn json(response: HandleResponse) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

fn values(method: &str, path: &str, route: &commerce_contract::Route) -> Option<Vec<String>> {
    let (path, template): (Vec<_>, Vec<_>) = (path.split('/').collect(), route.path.split('/').collect());
    if route.method != method || path.len() != template.len() {
        return None;
    }
    let mut values = Vec::new();
    for (segment, wanted) in path.iter().zip(template) {
        match wanted.starts_with('{') {
            true => values.push((*segment).to_owned()),
            false if *segment == wanted => {}
            false => return None,
        }
    }
    Some(values)
}
