//! The checkouts that a kernel did, done again by a client that does nothing else: the same statements with the same
//! arguments, prepared once per connection. It is what pgbench does, for statements whose arguments depend on each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Result;
use sqlx::{AssertSqlSafe, Connection, Executor as _, PgConnection};
use tokio::task::JoinSet;

use crate::postgres::Logged;

/// The statements of one checkout, from what begins its transaction to its commit.
pub type Recorded = Vec<Logged>;

/// Cuts what each connection sent into its transactions, and keeps those that are checkouts.
pub fn checkouts(sessions: HashMap<String, Vec<Logged>>) -> Vec<Recorded> {
    let mut found = Vec::new();
    for statements in sessions.into_values() {
        let mut current: Option<Recorded> = None;
        for statement in statements {
            let word = statement.text.trim_start().to_ascii_lowercase();
            if word.starts_with("begin") {
                current = Some(Vec::new());
            }
            let Some(transaction) = &mut current else { continue };
            transaction.push(statement);
            if word.starts_with("commit") {
                found.extend(current.take().filter(is_checkout));
            }
        }
    }
    found
}

fn is_checkout(transaction: &Recorded) -> bool {
    transaction.iter().any(|statement| {
        statement.text.contains("\"transaction\".\"transactions\"")
            && statement.text.to_ascii_lowercase().starts_with("insert")
    })
}

/// How many of them a second, over so many connections. Each checkout must find the database as the kernel found it.
pub async fn replay(url: &str, recorded: &[Recorded], connections: usize) -> Result<f64> {
    let left = Arc::new(Mutex::new(recorded.to_vec()));
    let mut ready = Vec::with_capacity(connections);
    for _ in 0..connections {
        ready.push(Session::open(url, recorded).await?);
    }
    let began = Instant::now();
    let mut running = JoinSet::new();
    for mut session in ready {
        let left = left.clone();
        running.spawn(async move {
            loop {
                let next = left.lock().ok().and_then(|mut left| left.pop());
                let Some(checkout) = next else { return anyhow::Ok(()) };
                for statement in &checkout {
                    session.run(statement).await?;
                }
            }
        });
    }
    for ended in running.join_all().await {
        ended?;
    }
    Ok(recorded.len() as f64 / began.elapsed().as_secs_f64())
}

struct Session {
    connection: PgConnection,
    /// By text: the name it was prepared under; none where the server can't guess the arguments' types.
    prepared: HashMap<String, Option<String>>,
}

impl Session {
    async fn open(url: &str, recorded: &[Recorded]) -> Result<Self> {
        let mut connection = PgConnection::connect(url).await?;
        let mut prepared = HashMap::new();
        for statement in recorded
            .iter()
            .flatten()
            .filter(|statement| !statement.arguments.is_empty())
        {
            if !prepared.contains_key(&statement.text) {
                let name = format!("s{}", prepared.len());
                let made = connection
                    .execute(AssertSqlSafe(format!("prepare {name} as {}", statement.text)))
                    .await;
                prepared.insert(statement.text.clone(), made.ok().map(|_| name));
            }
        }
        Ok(Self { connection, prepared })
    }

    async fn run(&mut self, statement: &Logged) -> Result<()> {
        let text = match self.prepared.get(&statement.text) {
            Some(Some(name)) => format!("execute {name}({})", statement.arguments.join(", ")),
            Some(None) => inlined(statement),
            None => statement.text.clone(),
        };
        self.connection.execute(sqlx::raw_sql(AssertSqlSafe(text))).await?;
        Ok(())
    }
}

fn inlined(statement: &Logged) -> String {
    let numbered = statement.arguments.iter().enumerate().rev();
    numbered.fold(statement.text.clone(), |text, (at, literal)| {
        text.replace(&format!("${}", at + 1), literal)
    })
}
