//! Two plugins with tables, two stores, and statements as the border would print them.

use std::time::Duration;

use commerce_kernel::storage::sql::border::{Class, ColumnType, OutputColumn, Prepared, Step, TableAccess};
use commerce_kernel::storage::sql::{
    Answer, Engine, Limits, Mode, PluginAccess, PluginMigration, Sql, SqlConfig, SqlError, Work,
};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

pub const JAKARTA: i64 = 1;
pub const BANDUNG: i64 = 2;

pub struct World {
    pub sql: Sql,
    pub product: PluginAccess,
    pub review: PluginAccess,
    /// Where the database is; none for SQLite.
    pub url: Option<String>,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn new(engine: Engine) -> Self {
        Self::with(engine, SqlConfig::default()).await
    }

    pub async fn with(engine: Engine, config: SqlConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(commerce_harness::postgres::database().await),
        };
        let sql = Sql::open(
            &SqlConfig {
                url: url.clone(),
                ..config
            },
            folder.path(),
        )
        .await
        .expect("opening the database");
        sql.migrate().await.expect("the kernel's migrations");
        let items = "(store_id bigint not null, id text not null, slug text, price bigint, listed boolean, made_at TIME, \
                     body JSON, raw BYTES, ratio double precision, primary key (store_id, id), unique (store_id, slug), \
                     constraint price_positive check (price >= 0))";
        let notes = "(store_id bigint not null, id text not null, text text not null, primary key (store_id, id))";
        for (plugin, table, columns) in [("product", "items", items), ("review", "notes", notes)] {
            let types = |time, json, bytes| {
                columns
                    .replace("TIME", time)
                    .replace("JSON", json)
                    .replace("BYTES", bytes)
            };
            let migration = PluginMigration {
                file: "0001.sql".into(),
                checksum: "1".into(),
                steps: vec![ddl(
                    &format!(
                        "create table \"{plugin}\".\"{table}\" {}",
                        types("timestamptz", "jsonb", "bytea")
                    ),
                    &format!(
                        "create table \"{plugin}.{table}\" {} strict",
                        types("text", "text", "blob")
                    )
                    .replace("bigint", "integer")
                    .replace("boolean", "integer")
                    .replace("double precision", "real"),
                )],
            };
            sql.apply_plugin_migrations(plugin, &[migration], &[], &[])
                .await
                .expect("the plugin's migration");
        }
        let (product, review) = (sql.access("product", 12), sql.access("review", 12));
        Self {
            sql,
            product,
            review,
            url,
            _folder: folder,
        }
    }

    pub fn work(&self, mode: Mode) -> Work {
        self.sql.work(JAKARTA, mode)
    }

    pub async fn insert(&self, work: &mut Work, id: &str) -> Result<(), SqlError> {
        let outcome = work
            .statement(&self.product, &insert(), &args(json!([id, id])), self.limits())
            .await;
        outcome.map(|answer| assert_eq!(answer, Answer::Affected(1)))
    }

    /// The ids in a store, asked from outside of any unit of work.
    pub async fn ids(&self, store: i64) -> Vec<String> {
        let mut work = self.sql.work(store, Mode::Reading);
        let rows = rows(
            work.statement(&self.product, &list(), &args(json!([])), self.limits())
                .await,
        );
        work.finish(Vec::new()).await.expect("finishing a reading");
        rows.into_iter()
            .map(|row| row[0].as_str().expect("an id").to_owned())
            .collect()
    }

    pub fn limits(&self) -> Limits {
        self.sql.limits(Instant::now() + Duration::from_secs(30))
    }
}

pub fn args(values: Json) -> Vec<u8> {
    rmp_serde::to_vec(&values).expect("arguments")
}

/// Every row of an answer, without the column names.
pub fn rows(answer: Result<Answer, SqlError>) -> Vec<Vec<Json>> {
    match answer.expect("an answer") {
        Answer::Rows(bytes) => {
            let mut all: Vec<Vec<Json>> = rmp_serde::from_slice(&bytes).expect("MessagePack");
            all.remove(0);
            all
        }
        Answer::Affected(_) => panic!("rows were expected"),
    }
}

/// What the border would hand over. `{items}` and `{notes}` become the tables, `$n` the engine's placeholders.
pub fn statement(
    text: &str,
    arguments: &[ColumnType],
    columns: &[(&str, Option<ColumnType>)],
    tables: &[TableAccess],
) -> Prepared {
    let postgres = text
        .replace("{items}", "\"product\".\"items\"")
        .replace("{notes}", "\"review\".\"notes\"");
    let sqlite = text
        .replace("{items}", "\"product.items\"")
        .replace("{notes}", "\"review.notes\"")
        .replace('$', "?");
    Prepared {
        postgres,
        sqlite,
        arguments: arguments.len(),
        argument_types: arguments.to_vec(),
        writes: tables.iter().any(|table| table.writes),
        columns: columns
            .iter()
            .map(|(name, kind)| OutputColumn {
                name: (*name).into(),
                kind: *kind,
            })
            .collect(),
        tables: tables.to_vec(),
    }
}

pub fn table(plugin: &str, table: &str, writes: bool) -> TableAccess {
    TableAccess {
        plugin: plugin.into(),
        table: table.into(),
        writes,
    }
}

pub fn insert() -> Prepared {
    statement(
        "insert into {items} (store_id, id, slug) values ($3, $1, $2)",
        &[ColumnType::Text, ColumnType::Text],
        &[],
        &[table("product", "items", true)],
    )
}

pub fn list() -> Prepared {
    statement(
        "select t.id from (select store_id, id from {items} where store_id = $1) as t order by t.id",
        &[],
        &[("id", Some(ColumnType::Text))],
        &[table("product", "items", false)],
    )
}

pub fn ddl(postgres: &str, sqlite: &str) -> Step {
    Step::Ddl {
        postgres: vec![postgres.into()],
        sqlite: vec![sqlite.into()],
        class: Class::Expand,
        describes: "a table".into(),
    }
}
