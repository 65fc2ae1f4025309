//! What plugins are compared with: native code behind warp, on the kernel's own pool, with the plugin's own statement,
//! in a process of its own as the kernel is. It has no pipeline in front of it, so that it is faster than native code
//! inside the kernel would be: ratios against it are on the strict side.

use std::convert::Infallible;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use commerce_kernel::config::Config;
use commerce_kernel::storage::sql::border::Prepared;
use commerce_kernel::storage::sql::{Answer, Mode, PluginAccess, Sql, args};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use warp::Filter as _;

use crate::listing;

/// Serves in this process until it is killed.
pub async fn serve(data_dir: &Path, port: u16, constant: usize) -> Result<()> {
    // As a kernel is told it; what else is in the environment is the bench's.
    let database = std::env::vars().filter(|(name, _)| name == "COMMERCE_SQL_URL");
    let config = Config::load(None, database).map_err(|error| anyhow::anyhow!("{error}"))?;
    let sql = Sql::open(&config.sql, data_dir).await?;
    let page = Arc::new(Page::new(sql, config.plugins.connections).await?);
    let listed = warp::path!("api" / "products").and_then(move || {
        let page = page.clone();
        async move { Ok::<_, Infallible>(page.answer().await) }
    });
    let text: &'static str = "x".repeat(constant).leak();
    let small = warp::path!("small").map(|| json_answer("1"));
    let large = warp::path!("large").map(move || json_answer(text));
    warp::serve(listed.or(small).or(large))
        .run(([127, 0, 0, 1], port))
        .await;
    Ok(())
}

fn json_answer(body: impl Into<bytes::Bytes>) -> http::Response<bytes::Bytes> {
    let mut answer = http::Response::new(body.into());
    answer
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/json"));
    answer
}

struct Page {
    sql: Sql,
    access: PluginAccess,
    statement: Prepared,
    store: i64,
    arguments: Vec<u8>,
}

#[derive(Serialize)]
struct Listed {
    items: Vec<Box<RawValue>>,
    next: Option<String>,
}

impl Page {
    async fn new(sql: Sql, connections: u32) -> Result<Self> {
        let statement = listing::statement(&sql).await?;
        let row = sql
            .kernel()
            .fetch_one("select number from kernel.stores order by number limit 1", &args![])
            .await?;
        Ok(Self {
            access: sql.access("product", connections),
            statement,
            store: row.get(0)?,
            arguments: rmp_serde::to_vec(&listing::arguments())?,
            sql,
        })
    }

    async fn answer(&self) -> http::Response<bytes::Bytes> {
        match self.page().await {
            Ok(body) => json_answer(body),
            Err(error) => {
                let mut answer = json_answer(error.to_string());
                *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                answer
            }
        }
    }

    async fn page(&self) -> Result<Vec<u8>> {
        let mut work = self.sql.work(self.store, Mode::Reading);
        let limits = self.sql.limits(Instant::now() + Duration::from_secs(5));
        let answered = work
            .statement(&self.access, &self.statement, &self.arguments, limits)
            .await?;
        work.abandon().await;
        let Answer::Rows(rows) = answered else {
            anyhow::bail!("the statement answers rows")
        };
        let (_, rows) = read_rows(&rows)?;
        let next = rows.get(20).map(|_| rows[19].0.clone());
        let items = rows
            .into_iter()
            .take(20)
            .map(|row| RawValue::from_string(row.3))
            .collect::<Result<_, _>>()?;
        Ok(serde_json::to_vec(&Listed { items, next })?)
    }
}

type Row = (String, String, i64, String);

/// The columns' names, then a row each.
fn read_rows(bytes: &[u8]) -> Result<(Vec<String>, Vec<Row>)> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Line {
        Row(Row),
        Columns(Vec<String>),
    }
    let lines: Vec<Line> = rmp_serde::from_slice(bytes)?;
    let mut rows = Vec::with_capacity(lines.len());
    let mut columns = Vec::new();
    for line in lines {
        match line {
            Line::Row(row) => rows.push(row),
            Line::Columns(names) => columns = names,
        }
    }
    Ok((columns, rows))
}

/// A native server in a process of its own.
pub struct Native {
    pub url: String,
    _child: Child,
}

impl Native {
    /// `constant`: how many bytes `/large` answers.
    pub async fn start(data_dir: &Path, sql_url: Option<&str>, constant: usize) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("native")
            .arg(data_dir)
            .arg(port.to_string())
            .arg(constant.to_string());
        if let Some(url) = sql_url {
            command.env("COMMERCE_SQL_URL", url);
        }
        let child = command
            .current_dir(data_dir)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let url = format!("http://127.0.0.1:{port}");
        for _ in 0..400 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(Self { url, _child: child });
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        None.context("the native server did not start")
    }
}
