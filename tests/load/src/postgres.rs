//! PostgreSQL as the bench needs it: durable, with pgbench beside it, and a log of what the kernel sends.

use std::collections::HashMap;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use commerce_harness::postgres::{OPTIONS, private_log, programs};
use commerce_kernel::storage::sql::border::Prepared;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::process::Command;

/// Nothing here weakens durability: fsync, full_page_writes and synchronous_commit stay on.
const DURABLE: &str = "-c shared_buffers=256MB -c max_wal_size=4GB -c log_parameter_max_length=-1";

/// Must come before anything asks the harness for a database.
pub fn make_durable() {
    // SAFETY: called at the start of `main`, while this process has one thread.
    unsafe { std::env::set_var(OPTIONS, DURABLE) };
}

/// How many transactions of this one statement pgbench does in a second.
pub async fn pgbench(url: &str, statement: &Prepared, arguments: &[Value], store: i64, seconds: u64) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("statement.sql");
    // pgbench names its variables; from behind, so that $1 is not found in $12.
    let mut text = statement.postgres.clone();
    let mut variables = Vec::new();
    let values = arguments.iter().map(plain).chain([store.to_string()]);
    for (at, value) in values.enumerate().collect::<Vec<_>>().into_iter().rev() {
        let parameter = format!("${}", at + 1);
        if value.is_empty() {
            // It has no empty variables.
            text = text.replace(&parameter, "''");
        } else {
            text = text.replace(&parameter, &format!(":a{}", at + 1));
            variables.push(format!("-Da{}={value}", at + 1));
        }
    }
    tokio::fs::write(&script, text.replace('\n', " ") + ";\n").await?;
    let mut command = Command::new(programs().join("pgbench"));
    command
        .args([
            "-n",
            "-c",
            "64",
            "-j",
            "4",
            "-M",
            "prepared",
            "-T",
            &seconds.to_string(),
            "-f",
        ])
        .arg(&script);
    let output = command.args(variables).arg(url).stdin(Stdio::null()).output().await?;
    ensure!(
        output.status.success(),
        "pgbench: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = report
        .lines()
        .find(|line| line.starts_with("tps = "))
        .with_context(|| report.clone())?;
    Ok(line["tps = ".len()..].split(' ').next().unwrap_or_default().parse()?)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Has the server write down every statement of new connections to this database, or stop doing so.
pub async fn log_statements(url: &str, all: bool) -> Result<()> {
    let (server, database) = url.rsplit_once('/').context("a database's URL")?;
    let mut admin = PgConnection::connect(&format!("{}/postgres", server.replace("commerce@", "postgres@"))).await?;
    let level = if all { "all" } else { "none" };
    sqlx::query(AssertSqlSafe(format!(
        "alter database {database} set log_statement = '{level}'"
    )))
    .execute(&mut admin)
    .await?;
    Ok(())
}

/// A statement as it came, with its arguments as SQL literals.
#[derive(Clone, Debug)]
pub struct Logged {
    pub text: String,
    pub arguments: Vec<String>,
}

/// The log from this byte on, by server process: what each connection sent, in order.
pub fn read_log(from: u64) -> Result<HashMap<String, Vec<Logged>>> {
    let bytes = std::fs::read(private_log())?;
    let log = String::from_utf8_lossy(&bytes[usize::try_from(from)?.min(bytes.len())..]).into_owned();
    let mut entries: Vec<String> = Vec::new();
    for line in log.lines() {
        // What goes on over several lines is indented by a tab.
        match (line.strip_prefix('\t'), entries.last_mut()) {
            (Some(rest), Some(entry)) => {
                entry.push('\n');
                entry.push_str(rest);
            }
            _ => entries.push(line.to_owned()),
        }
    }
    let mut sessions: HashMap<String, Vec<Logged>> = HashMap::new();
    for entry in entries {
        let Some((head, rest)) = entry.split_once("] ") else {
            continue;
        };
        let session = head.rsplit('[').next().unwrap_or_default().to_owned();
        let statements = sessions.entry(session).or_default();
        if let Some(text) = rest.strip_prefix("LOG:  statement: ") {
            statements.push(Logged {
                text: text.to_owned(),
                arguments: Vec::new(),
            });
        } else if let Some(executed) = rest.strip_prefix("LOG:  execute ") {
            let text = executed.split_once(": ").map_or(executed, |(_, text)| text);
            statements.push(Logged {
                text: text.to_owned(),
                arguments: Vec::new(),
            });
        } else if let (Some(list), Some(last)) = (rest.strip_prefix("DETAIL:  parameters: "), statements.last_mut()) {
            last.arguments = literals(list);
        }
    }
    Ok(sessions)
}

pub fn log_length() -> u64 {
    std::fs::metadata(private_log()).map_or(0, |metadata| metadata.len())
}

/// `$1 = 'it''s', $2 = NULL` as literals, in order.
fn literals(list: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), list);
    while let Some((_, value)) = rest.split_once(" = ") {
        let end = if value.starts_with('\'') {
            closing_quote(value)
        } else {
            value.find(',').unwrap_or(value.len())
        };
        found.push(value[..end].to_owned());
        rest = &value[end..];
    }
    found
}

/// Just after the quote that ends the literal; a doubled one does not.
fn closing_quote(literal: &str) -> usize {
    let bytes = literal.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'\'', Some(b'\'')) => at += 2,
            (b'\'', _) => return at + 1,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logged_arguments_are_read_whatever_is_in_them() {
        let list = "$1 = 'it''s, $2 = x', $2 = NULL, $3 = '', $4 = '{\"a\": 1}'";
        assert_eq!(literals(list), ["'it''s, $2 = x'", "NULL", "''", "'{\"a\": 1}'"]);
    }
}
