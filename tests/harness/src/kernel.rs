//! A real kernel: the `commerce` binary in a process of its own, with a data folder and a database of its own.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::client::Client;
use crate::openapi::OpenApi;
use crate::postgres;
use crate::store::Store;

/// Every end-to-end test runs on each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// The plugins that every test kernel has installed.
const PLUGINS: [&str; 4] = ["product", "flat_rate", "cart", "transaction"];

pub const OWNER_EMAIL: &str = "owner@example.com";
pub const PASSWORD: &str = "correct horse battery";

/// A kernel's data folder and database, on which one or more kernels run.
pub struct Ground {
    pub engine: Engine,
    data: TempDir,
    /// The database of a PostgreSQL ground.
    database: Option<String>,
}

/// A running kernel. Dropping it kills the process.
pub struct TestKernel {
    pub ground: std::sync::Arc<Ground>,
    pub url: String,
    pub metrics_url: String,
    child: Child,
    /// The data folder of this kernel; another than the ground's where several share a database.
    data_dir: PathBuf,
    environment: Vec<(String, String)>,
    openapi: OnceCell<OpenApi>,
}

impl TestKernel {
    /// A migrated kernel with the plugins installed and no store.
    pub async fn start(engine: Engine) -> TestKernel {
        Self::start_with(engine, &[]).await
    }

    /// As `start`, with further environment variables.
    pub async fn start_with(engine: Engine, environment: &[(&str, &str)]) -> TestKernel {
        let ground = std::sync::Arc::new(Ground::prepare(engine).await);
        let data_dir = ground.data.path().to_owned();
        let environment = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Self::spawn(ground, data_dir, environment).await
    }

    /// Another kernel on the same database, as a second node. PostgreSQL only.
    pub async fn second_node(&self) -> TestKernel {
        assert_eq!(
            self.ground.engine,
            Engine::Postgres,
            "a second node needs a database that nodes can share"
        );
        let data_dir = self.ground.data.path().join("second-node");
        std::fs::create_dir_all(&data_dir).unwrap();
        // Nodes of one installation share the master key; an operator would mount the same file.
        let _ = std::fs::copy(self.data_dir.join("master.key"), data_dir.join("master.key"));
        Self::spawn(self.ground.clone(), data_dir, self.environment.clone()).await
    }

    async fn spawn(
        ground: std::sync::Arc<Ground>,
        data_dir: PathBuf,
        environment: Vec<(String, String)>,
    ) -> TestKernel {
        crate::install_tls();
        let (port, metrics_port) = (free_port(), free_port());
        let child = serve_command(&ground, &data_dir, &environment, port, metrics_port)
            .spawn()
            .expect("commerce serve");
        let kernel = TestKernel {
            url: format!("http://127.0.0.1:{port}"),
            metrics_url: format!("http://127.0.0.1:{metrics_port}"),
            ground,
            child,
            data_dir,
            environment,
            openapi: OnceCell::new(),
        };
        kernel.wait_until_ready().await;
        kernel
    }

    /// Kills the process with SIGKILL, at once, as a power cut would.
    pub async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }

    /// Asks it to stop and waits for its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().expect("a running kernel") as i32;
        // SAFETY: sends a signal to a child that has not been waited for, so that the number is still its own.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        self.child.wait().await.ok().and_then(|status| status.code())
    }

    /// Starts it again on the same port, data folder and database.
    pub async fn restart(&mut self) {
        let _ = self.child.kill().await;
        let port = port_of(&self.url);
        let metrics_port = port_of(&self.metrics_url);
        self.child = serve_command(&self.ground, &self.data_dir, &self.environment, port, metrics_port)
            .spawn()
            .expect("commerce serve");
        self.wait_until_ready().await;
    }

    /// The same with these environment variables instead of those it had.
    pub async fn restart_with(&mut self, environment: &[(&str, &str)]) {
        self.environment = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        self.restart().await;
    }

    async fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let client = reqwest::Client::new();
        while Instant::now() < deadline {
            if let Ok(answer) = client.get(format!("{}/readyz", self.url)).send().await
                && answer.status() == 200
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!(
            "the kernel at {} was not ready in time; its log:\n{}",
            self.url,
            self.log()
        );
    }

    /// What the kernel wrote to standard error and standard output so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data_dir.join("kernel.log")).unwrap_or_default()
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// A client that names no store and no account.
    pub async fn client(&self) -> Client {
        Client::new(self.url.clone(), self.openapi().await)
    }

    pub async fn openapi(&self) -> OpenApi {
        self.openapi
            .get_or_init(|| async {
                let document = reqwest::get(format!("{}/openapi.json", self.url)).await.unwrap();
                OpenApi::new(document.json().await.unwrap())
            })
            .await
            .clone()
    }

    /// A store with its owner, through the command line.
    pub async fn store(&self, slug: &str, currency: &str) -> Store {
        let answer = self
            .commerce(&[
                "store",
                "create",
                slug,
                "--name",
                slug,
                "--currency",
                currency,
                "--owner-email",
                OWNER_EMAIL,
                "--owner-password",
                PASSWORD,
                "--json",
            ])
            .await
            .json();
        Store::new(self.client().await, slug.to_owned(), currency.to_owned(), answer)
    }

    /// Two stores of one kernel, to try what must never cross between them.
    pub async fn two_stores(&self) -> (Store, Store) {
        (self.store("jakarta", "IDR").await, self.store("bandung", "IDR").await)
    }

    /// Runs the command line against this kernel's configuration.
    pub async fn commerce<S: AsRef<OsStr>>(&self, arguments: &[S]) -> CommandOutput {
        commerce(&self.ground, &self.data_dir, arguments).await
    }

    /// The same in another folder, with a text on standard input.
    pub async fn commerce_in(&self, folder: &Path, input: &str, arguments: &[&str]) -> CommandOutput {
        let mut command = command(&self.ground, &self.data_dir);
        command
            .current_dir(folder)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the commerce binary");
        let mut stdin = child.stdin.take().expect("a piped standard input");
        // A command that reads nothing may be gone already.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await.expect("the commerce binary").into()
    }

    /// A URL for reading the database behind the kernel's back.
    pub fn database_url(&self) -> String {
        match &self.ground.database {
            Some(url) => url.clone(),
            None => format!("sqlite:{}", self.data_dir.join("commerce.db").display()),
        }
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl CommandOutput {
    /// The result of a command that must succeed, printed with `--json`.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "the command failed: {}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {}", self.stdout))
    }
}

impl Ground {
    /// A copy of a database that was migrated and had the plugins installed once in this test run.
    async fn prepare(engine: Engine) -> Ground {
        static SQLITE: OnceCell<Ground> = OnceCell::const_new();
        static POSTGRES: OnceCell<Ground> = OnceCell::const_new();
        let template = match engine {
            Engine::Sqlite => SQLITE.get_or_init(|| Ground::install(engine)).await,
            Engine::Postgres => POSTGRES.get_or_init(|| Ground::install(engine)).await,
        };
        let data = tempfile::tempdir().unwrap();
        copy_folder(template.data.path(), data.path());
        let database = match &template.database {
            Some(url) => Some(postgres::copy_of(url).await),
            None => None,
        };
        Ground { engine, data, database }
    }

    async fn install(engine: Engine) -> Ground {
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(postgres::database().await),
        };
        let ground = Ground {
            engine,
            data: tempfile::tempdir().unwrap(),
            database,
        };
        let data_dir = ground.data.path().to_owned();
        let run = async |arguments: &[&str]| {
            let output = commerce(&ground, &data_dir, arguments).await;
            assert_eq!(
                output.code,
                0,
                "commerce {} failed: {}",
                arguments.join(" "),
                output.stderr
            );
        };
        run(&["migrate", "up"]).await;
        for plugin in PLUGINS {
            run(&["plugin", "install", &package(plugin).display().to_string(), "--yes"]).await;
        }
        ground
    }
}

/// The built package of a plugin of this repository.
pub fn package(name: &str) -> PathBuf {
    let path = repository().join("target/wasm/plugins").join(format!("{name}.wasm"));
    assert!(
        path.exists(),
        "{} is missing: run `commerce plugin build --all` first, as `make test` does",
        path.display()
    );
    path
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The `commerce` that is tested.
pub fn binary() -> PathBuf {
    let path = match std::env::var_os("COMMERCE_TEST_BINARY") {
        Some(path) => PathBuf::from(path),
        None => repository().join("target/debug/commerce"),
    };
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --bin commerce` first, as `make test` does",
        path.display()
    );
    path
}

fn command(ground: &Ground, data_dir: &Path) -> Command {
    let mut command = Command::new(binary());
    // Nothing of the developer's own environment or commerce.toml reaches a test.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COMMERCE_")) {
        command.env_remove(name);
    }
    command.current_dir(data_dir).env("COMMERCE_DATA_DIR", data_dir);
    if let Some(url) = &ground.database {
        command.env("COMMERCE_SQL_URL", url);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn serve_command(
    ground: &Ground,
    data_dir: &Path,
    environment: &[(String, String)],
    port: u16,
    metrics_port: u16,
) -> Command {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(data_dir.join("kernel.log"))
        .unwrap();
    let mut command = command(ground, data_dir);
    command
        .arg("serve")
        .env("COMMERCE_HTTP_PORT", port.to_string())
        .env("COMMERCE_METRICS_PORT", metrics_port.to_string())
        .envs(environment.iter().cloned())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command
}

async fn commerce<S: AsRef<OsStr>>(ground: &Ground, data_dir: &Path, arguments: &[S]) -> CommandOutput {
    command(ground, data_dir)
        .args(arguments)
        .output()
        .await
        .expect("the commerce binary")
        .into()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().parse().unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
