//! The one table of configuration keys. The variables, `commerce.toml`, `docs/configuration.md` and every check come from it.

use super::form::Form;

/// One setting. Its name is its path in `commerce.toml`, and by that its environment variable.
#[derive(Debug)]
pub struct Key {
    /// `http.port`, or `data_dir` at the top level.
    pub path: &'static str,
    pub kind: Kind,
    /// As written in TOML. None: the setting is absent unless given.
    pub default: Option<&'static str>,
    pub secrecy: Secrecy,
    /// Shown as the value of a key that has no default.
    pub example: Option<&'static str>,
    pub about: &'static str,
}

#[derive(Debug)]
pub enum Kind {
    Text(Form),
    Integer {
        min: i64,
        max: i64,
    },
    Boolean,
    Choice(&'static [&'static str]),
    /// Texts; in a variable separated by commas.
    List(Form),
}

/// What `commerce config show` and messages may say of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    Open,
    /// A URL that may carry a user and a password.
    Credentials,
    Secret,
}

impl Key {
    pub fn section(&self) -> Option<&'static str> {
        self.path.rsplit_once('.').map(|(section, _)| section)
    }

    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }

    /// `http.port` is overridden by `COMMERCE_HTTP_PORT`.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.path.replace('.', "_").to_uppercase())
    }
}

pub const VARIABLE_PREFIX: &str = "COMMERCE_";

/// Variables with our prefix that are not settings. The command line reads the first before there is a configuration.
pub const OTHER_VARIABLES: &[&str] = &["COMMERCE_CONFIG"];

/// Variables of tests are theirs: a test may start a kernel that inherits them.
pub const TEST_VARIABLE_PREFIX: &str = "COMMERCE_TEST_";

/// Sections in the order they are written, with what each is about.
pub const SECTIONS: &[(&str, &str)] = &[
    ("http", "The listener that clients talk to."),
    (
        "metrics",
        "Metrics are served by a listener of their own, which the outside must not reach.",
    ),
    (
        "sql",
        "The relational store: SQLite in the data folder, or PostgreSQL by giving its URL.",
    ),
    (
        "plugins",
        "What calls into plugins may use. A manifest may ask for less, or for more up to the cap.",
    ),
    ("events", "Delivery of events and jobs."),
    ("auth", "Accounts, tokens and password hashing."),
    (
        "rate_limits",
        "Requests per minute; 0 switches a limit off. Bursts up to the same number are let through.",
    ),
    ("stores", "How a request names its store."),
    ("log", "The log, on standard error."),
];

/// What is asked for where nobody says otherwise, and the most that can be asked for.
pub const UNDER_CAPS: &[(&str, &str)] = &[
    ("plugins.deadline_ms", "plugins.deadline_cap_ms"),
    ("plugins.memory_mib", "plugins.memory_cap_mib"),
    ("plugins.answer_kib", "plugins.answer_cap_kib"),
    ("plugins.instances", "plugins.instances_cap"),
    ("plugins.connections", "plugins.connections_cap"),
];

pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

const MEGA: i64 = 1_000_000;

#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    text("data_dir", Form::Any, "\".commerce\"", "Folder for everything the kernel keeps on this machine: the embedded database, compiled plugins, the control socket, and the master key if none is given. Relative to the working directory."),
    secret("master_key", "32 random bytes in hex or base64, which seal every stored secret. Absent: data_dir/master.key, made at the first start on a new database. With PostgreSQL every node needs the same one. Better given as COMMERCE_MASTER_KEY_FILE than written here."),

    text("http.host", Form::Host, "\"127.0.0.1\"", "Address to listen on. 0.0.0.0 listens on all."),
    integer("http.port", "8080", 0, 65_535, "Port to listen on. 0 takes any free one."),
    list("http.trusted_proxies", Form::Network, "[]", "Networks (10.0.0.0/8) of the proxies in front of the kernel. X-Forwarded-* headers are believed from these only."),
    list("http.cors_origins", Form::Origin, "[\"*\"]", "Origins (https://example.com) that browsers may call from. \"*\" allows all, which is safe here because no cookie is ever used."),
    integer("http.body_kib", "1024", 1, 1_048_576, "Largest request body, unless the route says otherwise."),
    integer("http.header_kib", "32", 4, 1024, "Largest request head."),
    integer("http.headers", "100", 10, 1000, "Most headers in a request."),
    integer("http.connections", "10000", 1, 10 * MEGA, "Connections open at once; more wait to be accepted."),
    integer("http.connections_per_address", "1000", 1, 10 * MEGA, "Connections open at once from one address that is no trusted proxy."),
    integer("http.header_timeout_ms", "10000", 100, 600_000, "A request's head must be complete by then."),
    integer("http.body_timeout_ms", "30000", 100, 3_600_000, "A request's body must be complete by then."),
    integer("http.idle_timeout_ms", "75000", 100, 3_600_000, "A connection without a request is closed after this."),
    integer("http.request_timeout_ms", "60000", 100, 3_600_000, "A whole request, its answer included, is ended after this."),
    integer("http.shutdown_timeout_ms", "30000", 0, 3_600_000, "Time that running requests have to end after SIGTERM."),
    integer("http.shutdown_delay_ms", "0", 0, 600_000, "Time between /readyz turning 503 and the listener closing, for balancers to notice."),
    boolean("http.compression", "true", "Compress answers for clients that accept it."),
    integer("http.cache_mib", "64", 0, 1_048_576, "Memory for kept answers of cacheable routes. 0 keeps none."),
    integer("http.idempotency_hours", "24", 1, 8760, "How long an Idempotency-Key and its answer are remembered."),

    boolean("metrics.enabled", "true", "Serve /metrics."),
    text("metrics.host", Form::Host, "\"127.0.0.1\"", "Address of the metrics listener."),
    integer("metrics.port", "9090", 0, 65_535, "Port of the metrics listener. 0 takes any free one."),

    credentials("sql.url", "postgres://commerce:password@localhost/commerce", "The database. Absent: SQLite in data_dir/commerce.db. Give sqlite:PATH for another file, or postgres://user:password@host/database."),
    integer("sql.max_connections", "16", 1, 10_000, "Connections for requests, events and jobs (PostgreSQL), or readers (SQLite, which has one writer)."),
    integer("sql.statement_timeout_ms", "5000", 10, 600_000, "A statement is ended after this."),
    integer("sql.lock_timeout_ms", "3000", 10, 600_000, "A statement waits at most this long for a lock."),
    integer("sql.queue_wait_ms", "10000", 10, 600_000, "A call waits at most this long for a connection; then the answer is 503."),
    integer("sql.max_rows", "10000", 1, 10 * MEGA, "Most rows that one statement of a plugin may answer."),
    integer("sql.max_bytes", "8388608", 1024, 1024 * MEGA, "Most bytes that one statement of a plugin may answer."),
    integer("sql.transaction_max_age_ms", "15000", 100, 3_600_000, "A transaction is rolled back when it is older than this."),

    integer("plugins.concurrent_calls", "512", 1, 100_000, "Requests, events and jobs that plugins answer at once on this node; more wait, then get 503."),
    integer("plugins.call_depth", "8", 1, 64, "How deep plugins may call each other within one call."),
    integer("plugins.queue_wait_ms", "10000", 0, 600_000, "How long a call waits for its turn."),
    integer("plugins.deadline_ms", "5000", 10, 600_000, "A call, with all it calls, is ended after this."),
    integer("plugins.deadline_cap_ms", "60000", 10, 3_600_000, "The longest deadline a manifest may ask for."),
    integer("plugins.memory_mib", "64", 2, 4096, "Memory of one call."),
    integer("plugins.memory_cap_mib", "256", 2, 4096, "The most memory a manifest may ask for."),
    integer("plugins.plugin_memory_mib", "512", 2, 1_048_576, "Memory of all calls of one plugin together, beyond the first 4 MiB of each."),
    integer("plugins.answer_kib", "4096", 1, 1_048_576, "Largest answer of one call."),
    integer("plugins.answer_cap_kib", "16384", 1, 1_048_576, "The largest answer a manifest may ask for."),
    integer("plugins.instances", "64", 1, 100_000, "Calls of one plugin at once on this node."),
    integer("plugins.instances_cap", "256", 1, 100_000, "The most calls at once a manifest may ask for."),
    integer("plugins.connections", "12", 1, 10_000, "Database connections that one plugin may hold or wait for at once on this node. Fewer than sql.max_connections leaves some to others."),
    integer("plugins.connections_cap", "64", 1, 10_000, "The most connections a manifest may ask for."),
    integer("plugins.warm_instances", "48", 0, 10_000, "Idle instances that stay warm; each keeps up to 2 MiB of memory."),
    integer("plugins.http_timeout_cap_ms", "30000", 10, 600_000, "The longest that a plugin's outgoing request may take."),
    integer("plugins.http_answer_kib", "4096", 1, 1_048_576, "Largest answer to a plugin's outgoing request."),
    list("plugins.http_plain_hosts", Form::HostAndPort, "[]", "Hosts with ports (127.0.0.1:9000) to which granted plugins may send plain HTTP, private addresses included. For simulators and tests."),
    list("plugins.http_private_networks", Form::Network, "[]", "Networks (10.1.0.0/16) inside which granted hosts may lie although they are private."),

    integer("events.workers", "8", 0, 1000, "Events, and as many jobs, under way at once on this node. 0: this node leaves them to others."),
    integer("events.poll_ms", "500", 10, 60_000, "How often to look for what other nodes left to do, and for jobs that have become due."),
    integer("events.lease_ms", "15000", 1000, 3_600_000, "What a node was doing when it died is taken over after this. A living node renews in time, however long a call takes."),
    integer("events.max_attempts", "12", 1, 1000, "Attempts with growing pauses before an event or a job becomes a dead letter."),
    integer("events.backoff_ms", "1000", 1, 3_600_000, "The pause after the first failure; it doubles with each further one."),
    integer("events.backoff_cap_ms", "3600000", 1, 86_400_000, "The longest such pause."),
    integer("events.keep_hours", "72", 1, 87_600, "How long finished events and jobs stay listed. Dead letters stay until they are replayed or skipped."),

    integer("auth.access_token_minutes", "15", 1, 1440, "Life of an access token. A change of an account's rights reaches every node within two seconds, whatever this says."),
    integer("auth.refresh_token_days", "30", 1, 3650, "Life of a refresh token, renewed with each use."),
    integer("auth.refresh_grace_ms", "0", 0, 60_000, "A refresh token sent again within this time after its use gets the same answer instead of ending the session. Two requests at the same moment always do."),
    integer("auth.argon2_memory_kib", "19456", 8, 4_194_304, "Memory of one password hash (argon2id)."),
    integer("auth.argon2_iterations", "2", 1, 100, "Passes of one password hash."),
    integer("auth.argon2_lanes", "1", 1, 64, "Lanes of one password hash."),
    integer("auth.hashing_concurrency", "0", 0, 1024, "Password hashes computed at once. 0: one per processor."),
    integer("auth.hashing_queue", "64", 0, 100_000, "Sign-ins that may wait for a hash; more get 503 with Retry-After."),
    integer("auth.login_attempts", "5", 1, 1000, "Failed sign-ins to one account from one address before each further one must wait, twice as long every time."),
    integer("auth.login_attempts_per_address", "50", 1, 100_000, "Failed sign-ins from one address to any account before the same."),
    integer("auth.login_delay_ms", "1000", 1, 3_600_000, "The first such wait."),
    integer("auth.login_max_delay_ms", "900000", 1, 86_400_000, "The longest such wait."),
    integer("auth.login_forget_minutes", "60", 1, 100_000, "Failed sign-ins are forgotten after this long without another."),

    integer("rate_limits.per_address", "6000", 0, 100 * MEGA, "Requests of one address that carry no credentials."),
    integer("rate_limits.per_caller", "12000", 0, 100 * MEGA, "Requests of one account or API key."),
    integer("rate_limits.sign_in_per_address", "600", 0, MEGA, "Requests of one address to register, login and refresh together. Failed sign-ins are slowed down much earlier: see auth.login_attempts."),
    list("rate_limits.spared", Form::Network, "[\"127.0.0.0/8\", \"::1/128\"]", "Networks that per_address does not hold for. The own machine is among them: what arrives from there is a proxy that nobody declared, and all its clients would share one limit."),

    text_optional("stores.default", "demo", "The store of a request that names none by host, X-Store or key. Absent: the only store, if there is one; else the answer is 404."),

    choice("log.format", "\"text\"", &["text", "json"], "Lines for people or for machines."),
    text("log.level", Form::LogFilter, "\"info\"", "error, warn, info, debug or trace; or by module: info,commerce_kernel::events=debug"),
];

const fn key(path: &'static str, kind: Kind, default: Option<&'static str>, about: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        secrecy: Secrecy::Open,
        example: None,
        about,
    }
}

const fn text(path: &'static str, form: Form, default: &'static str, about: &'static str) -> Key {
    key(path, Kind::Text(form), Some(default), about)
}

const fn text_optional(path: &'static str, example: &'static str, about: &'static str) -> Key {
    Key {
        example: Some(example),
        ..key(path, Kind::Text(Form::Any), None, about)
    }
}

const fn secret(path: &'static str, about: &'static str) -> Key {
    Key {
        secrecy: Secrecy::Secret,
        example: Some("…"),
        ..key(path, Kind::Text(Form::Key), None, about)
    }
}

const fn credentials(path: &'static str, example: &'static str, about: &'static str) -> Key {
    Key {
        secrecy: Secrecy::Credentials,
        example: Some(example),
        ..key(path, Kind::Text(Form::Database), None, about)
    }
}

const fn integer(path: &'static str, default: &'static str, min: i64, max: i64, about: &'static str) -> Key {
    key(path, Kind::Integer { min, max }, Some(default), about)
}

const fn boolean(path: &'static str, default: &'static str, about: &'static str) -> Key {
    key(path, Kind::Boolean, Some(default), about)
}

const fn choice(
    path: &'static str,
    default: &'static str,
    choices: &'static [&'static str],
    about: &'static str,
) -> Key {
    key(path, Kind::Choice(choices), Some(default), about)
}

const fn list(path: &'static str, form: Form, default: &'static str, about: &'static str) -> Key {
    key(path, Kind::List(form), Some(default), about)
}
