//! A PostgreSQL for tests: the server that `COMMERCE_TEST_POSTGRES_URL` names, or a private one, started once per test
//! process and gone with it. Every test gets a database of its own. A machine without PostgreSQL fails; it never skips.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// The owner of the test databases: no superuser, with just the right that a kernel needs, to create roles.
const OWNER: &str = "commerce";

/// Options of a private server, instead of what makes tests fast and a power cut fatal.
pub const OPTIONS: &str = "COMMERCE_TEST_POSTGRES_OPTIONS";

/// The URL of a fresh, empty database.
pub async fn database() -> String {
    create("template1").await
}

/// The URL of a fresh copy of a database of [`database`], to which nobody may be connected meanwhile.
pub async fn copy_of(url: &str) -> String {
    let name = url.rsplit('/').next().unwrap_or(url);
    create(name.split('?').next().unwrap_or(name)).await
}

async fn create(template: &str) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let server = tokio::task::spawn_blocking(server).await.expect("starting PostgreSQL");
    let name = format!(
        "commerce_test_{}_{}",
        std::process::id(),
        MADE.fetch_add(1, Ordering::Relaxed)
    );
    let mut admin = PgConnection::connect(&with_database(server, "postgres"))
        .await
        .expect("connecting to PostgreSQL");
    let create = format!("create database {name} template {template}");
    sqlx::query(AssertSqlSafe(create))
        .execute(&mut admin)
        .await
        .expect("creating a database");
    with_database(server, &name)
}

fn with_database(server: &str, database: &str) -> String {
    let (base, options) = server
        .split_once('?')
        .map_or((server, String::new()), |(base, rest)| (base, format!("?{rest}")));
    let host_end = base
        .find("//")
        .and_then(|at| base[at + 2..].find('/').map(|slash| at + 2 + slash))
        .unwrap_or(base.len());
    format!("{}/{database}{options}", &base[..host_end])
}

fn server() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| match std::env::var("COMMERCE_TEST_POSTGRES_URL") {
        Ok(url) => url,
        Err(_) => start_private(),
    })
}

/// Keeps the watcher's standard input open as long as this process lives, however it ends.
static WATCHER: Mutex<Option<Child>> = Mutex::new(None);

/// What a private server of this process logs.
pub fn private_log() -> PathBuf {
    private_folder().join("log")
}

fn private_folder() -> PathBuf {
    std::env::temp_dir().join(format!("commerce-postgres-{}", std::process::id()))
}

fn start_private() -> String {
    let programs = programs();
    let folder = private_folder();
    std::fs::create_dir_all(&folder).expect("a folder for PostgreSQL");
    // The server refuses to run as root.
    let user = if is_root() { Some(postgres_user()) } else { None };
    if let Some((uid, gid)) = user {
        chown(&folder, Some(uid), Some(gid)).expect("giving the folder to the user postgres");
    }
    let data = folder.join("data");
    let mut initdb = Command::new(programs.join("initdb"));
    initdb
        .args([
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
            "--username=postgres",
            "-D",
        ])
        .arg(&data);
    let made = as_user(&mut initdb, user)
        .current_dir(&folder)
        .output()
        .expect("initdb");
    assert!(
        made.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&made.stderr)
    );

    let port = free_port();
    let mut watcher = Command::new("sh");
    // Ends the server when this process is gone: its end of the pipe closes, whatever killed it.
    watcher
        .args(["-c", "\"$1\" -D \"$2\" -p \"$3\" -h 127.0.0.1 -k \"$4\" $5 -c max_connections=500 >\"$4/log\" 2>&1 & server=$!; read _; kill -INT $server; wait $server; rm -rf \"$4\"", "sh"])
        .arg(programs.join("postgres"))
        .arg(&data)
        .arg(port.to_string())
        .arg(&folder)
        .arg(std::env::var(OPTIONS).unwrap_or_else(|_| "-c fsync=off".to_owned()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // A group of its own: an interrupt at the terminal reaches the tests first, and the watcher then cleans up.
    let child = as_user(&mut watcher, user)
        .process_group(0)
        .current_dir(&folder)
        .spawn()
        .expect("postgres");
    *WATCHER.lock().expect("the watcher") = Some(child);

    let create_owner = format!("create role {OWNER} login createdb createrole");
    let waiting_since = Instant::now();
    // The port opens before the server takes commands: ask until it answers.
    while !psql(&programs, port, &create_owner) {
        assert!(
            waiting_since.elapsed() < Duration::from_secs(60),
            "PostgreSQL did not start: see {}/log",
            folder.display()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    format!("postgres://{OWNER}@127.0.0.1:{port}")
}

fn psql(programs: &Path, port: u16, command: &str) -> bool {
    let mut psql = Command::new(programs.join("psql"));
    psql.args([
        "-qX",
        "-h",
        "127.0.0.1",
        "-U",
        "postgres",
        "-p",
        &port.to_string(),
        "-c",
        command,
    ]);
    psql.stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("psql")
        .success()
}

fn as_user(command: &mut Command, user: Option<(u32, u32)>) -> &mut Command {
    match user {
        Some((uid, gid)) => command.uid(uid).gid(gid),
        None => command,
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// User and group of `postgres`, which Debian's package creates.
fn postgres_user() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    users
        .lines()
        .filter_map(|line| line.strip_prefix("postgres:"))
        .find_map(|line| {
            let mut fields = line.split(':').skip(1);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .expect("running as root, PostgreSQL needs the user `postgres`")
}

/// Where initdb and postgres are: the newest of the system's versions, or what PATH offers.
pub fn programs() -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    let installed = versions.pop().map(|(_, path)| path);
    let path = std::env::var_os("PATH").unwrap_or_default();
    installed
        .into_iter()
        .chain(std::env::split_paths(&path))
        .find(|folder| has_programs(folder))
        .expect(
            "PostgreSQL is not installed (apt-get install postgresql), nor does COMMERCE_TEST_POSTGRES_URL name one",
        )
}

fn has_programs(folder: &Path) -> bool {
    ["initdb", "postgres", "psql"]
        .iter()
        .all(|program| folder.join(program).is_file())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}
