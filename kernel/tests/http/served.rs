//! A kernel on a free port, without events, and a client that can misbehave: bytes in, bytes out.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use commerce_kernel::auth::{Auth, AuthConfig};
use commerce_kernel::config::Config;
use commerce_kernel::http::problem::Problem;
use commerce_kernel::http::response_cache::ResponseCache;
use commerce_kernel::http::{self, Http};
use commerce_kernel::plugins::{
    self, Decision, Installed, JobChange, Outbox, Plugins, PluginsConfig, Published, SecretSource, SecretsUnavailable,
    StoreNumbers,
};
use commerce_kernel::secrets::{MasterKey, Secret};
use commerce_kernel::storage::sql::{KernelStatement, Sql, SqlConfig};
use commerce_kernel::stores::{NewStore, Provisioned, Store, StorePlugins, Stores};
use commerce_kernel::telemetry::Metrics;
use commerce_kernel::versions::Versions;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const PASSWORD: &str = "correct horse battery";

/// Of every test kernel: the same on all its nodes.
static MASTER: OnceLock<MasterKey> = OnceLock::new();

pub struct Served {
    pub address: SocketAddr,
    pub plugins: Plugins,
    pub stores: Arc<Stores>,
    pub auth: Auth,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _versions: Versions,
    _folder: TempDir,
}

impl Served {
    /// Without a store.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With settings as their environment variables.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        Self::on(None, variables).await
    }

    /// A node, on its own SQLite or on a shared PostgreSQL.
    pub async fn on(url: Option<&str>, variables: &[(&str, &str)]) -> Self {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::load(None, variables).unwrap();
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        // As the start of `main` does it; every test of the process tries.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let sql = Sql::open(
            &SqlConfig {
                url: url.map(str::to_owned),
                ..SqlConfig::default()
            },
            folder.path(),
        )
        .await
        .unwrap();
        sql.migrate().await.unwrap();
        let versions = Versions::start(sql.clone()).await.unwrap();
        let stores = Stores::open(sql.clone(), &versions).await.unwrap();
        let fast = AuthConfig {
            argon2_memory_kib: 64,
            argon2_iterations: 1,
            ..AuthConfig::default()
        };
        let master = MASTER.get_or_init(MasterKey::generate).clone();
        let auth = Auth::open(sql.clone(), fast, master, &versions).await.unwrap();
        let metrics = Metrics::new().unwrap();
        let cache = Arc::new(ResponseCache::new(config.http.cache_mib, None));
        let nothing = Arc::new(Nothing(stores.clone()));
        let parts = plugins::Parts {
            sql: sql.clone(),
            config: PluginsConfig::default(),
            stores: nothing.clone(),
            secrets: nothing.clone(),
            outbox: nothing,
            tags: cache.clone(),
        };
        let plugins = Plugins::open(parts, folder.path(), &versions, metrics.registry())
            .await
            .unwrap();
        let http = Http::new(http::Parts {
            config: config.http,
            limits: config.rate_limits,
            default_store: config.stores.default,
            sql: sql.clone(),
            stores: stores.clone(),
            auth: auth.clone(),
            plugins: plugins.clone(),
            cache,
            metrics,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(http::serve(http.unwrap(), listener, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            plugins,
            stores,
            auth,
            stop: Some(stop),
            serving,
            _versions: versions,
            _folder: folder,
        }
    }

    /// With the impolite plugin and two stores, `jakarta` and `bandung`, known by their hosts.
    pub async fn impolite(variables: &[(&str, &str)]) -> Self {
        let served = Self::with(variables).await;
        served.install("impolite").await;
        served.store("jakarta").await;
        served.store("bandung").await;
        served
    }

    /// One of the repository's plugins.
    pub async fn install(&self, name: &str) {
        let package = std::fs::read(commerce_harness::kernel::package(name)).unwrap();
        self.plugins
            .install(package, Decision::All)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }

    pub async fn store(&self, slug: &str) -> Provisioned {
        let store = NewStore {
            slug: slug.to_owned(),
            name: slug.to_owned(),
            currency: "IDR".to_owned(),
            currencies: Vec::new(),
            hosts: vec![format!("{slug}.example")],
            timezone: None,
            owner_email: format!("owner@{slug}.example"),
            owner_password: Secret::new(PASSWORD.to_owned()),
        };
        self.stores.create(store, &self.auth, &NoPlugins).await.unwrap()
    }

    /// The access token of somebody who signs in.
    pub async fn login(&self, store: &str, email: &str) -> String {
        let body = format!(r#"{{"email": "{email}", "password": "{PASSWORD}"}}"#);
        let answer = self.send("POST", "/api/auth/login", &[("x-store", store)], &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn connect(&self) -> Client {
        Client {
            stream: TcpStream::connect(self.address).await.unwrap(),
        }
    }

    /// One request on a connection of its own.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            request.push_str("host: localhost\r\n");
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            if !headers.iter().any(|(name, _)| *name == "content-type") {
                request.push_str("content-type: application/json\r\n");
            }
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        let mut client = self.connect().await;
        client.write(&request).await;
        Answer::parse(&client.read_to_end().await)
    }

    /// Tells the server to stop, as SIGTERM does.
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub async fn stopped(self) {
        tokio::time::timeout(Duration::from_secs(10), self.serving)
            .await
            .expect("it should have stopped")
            .unwrap();
    }
}

/// The parts of a kernel that these tests do without.
struct Nothing(Arc<Stores>);

impl Outbox for Nothing {
    fn rows(&self, _: &Installed, _: i64, _: &[Published], _: &[JobChange]) -> Vec<KernelStatement> {
        Vec::new()
    }

    fn waiting_job(&self) -> &'static str {
        "select 1 from kernel.stores where number = $1 and id = $2 and slug = $3 and name = $4"
    }

    fn committed(&self) {}
}

#[async_trait]
impl SecretSource for Nothing {
    async fn secret(&self, _: i64, _: &str, _: &str) -> Result<Option<String>, SecretsUnavailable> {
        Ok(None)
    }
}

impl StoreNumbers for Nothing {
    fn numbers(&self) -> Vec<i64> {
        self.0.all().iter().map(|store| store.number).collect()
    }
}

struct NoPlugins;

#[async_trait]
impl StorePlugins for NoPlugins {
    async fn provision(&self, _: &Arc<Store>) -> Result<(), Problem> {
        Ok(())
    }

    async fn remove(&self, _: &Arc<Store>) -> Result<Vec<(String, u64)>, Problem> {
        Ok(Vec::new())
    }
}

pub struct Client {
    stream: TcpStream,
}

impl Client {
    pub async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Whether the bytes could still be sent.
    pub async fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    pub async fn finish_writing(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Everything until the server closes; fails after ten seconds.
    pub async fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read_to_end(&mut bytes)).await;
        // A reset after the answer is what a client that sent too much gets.
        let _ = read.expect("the server should have closed the connection");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What comes until a whole answer with a `Content-Length` is there.
    pub async fn read_answer(&mut self) -> Answer {
        let mut text = String::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let answer = Answer::parse(&text);
                let length = answer
                    .header("content-length")
                    .and_then(|length| length.parse().ok())
                    .unwrap_or(0);
                if body.len() >= length {
                    assert_eq!(body.len(), length, "more than one answer after {head}");
                    return answer;
                }
            }
            let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read(&mut buffer)).await;
            let read = read.expect("an answer should have come").unwrap();
            assert!(read > 0, "closed in the middle of {text:?}");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .unwrap_or_else(|| panic!("no answer in {text:?}"));
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Self {
            status,
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// The code of a problem, checked to be one.
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(self.header("x-request-id"), problem["request_id"].as_str());
        problem["code"].as_str().unwrap().to_owned()
    }
}
