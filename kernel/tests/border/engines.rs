//! The same statement on real engines: SQLite in memory, and a PostgreSQL database of the test's own.

use commerce_kernel::storage::sql::border::{ColumnType, Migration, Prepared, Step};
use serde_json::{Value, json};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgConnection, PgRow, PgTypeInfo, PgValueRef, Postgres};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Connection, Decode, Encode, Row, Type, TypeInfo, ValueRef};

/// What a statement did: its rows in a form that is the same for equal rows of both engines, or how many it changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub rows: Vec<Vec<Value>>,
    pub changed: u64,
}

pub enum Engine {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Engine {
    pub async fn sqlite() -> Engine {
        let mut connection = SqliteConnection::connect("sqlite::memory:")
            .await
            .expect("SQLite opens");
        let settings = "pragma case_sensitive_like = on; pragma foreign_keys = on";
        sqlx::raw_sql(settings)
            .execute(&mut connection)
            .await
            .expect("SQLite is set up");
        Engine::Sqlite(connection)
    }

    /// Everything happens in a transaction that is never committed.
    pub async fn postgres() -> Engine {
        let url = commerce_harness::postgres::database().await;
        let mut connection = PgConnection::connect(&url).await.expect("PostgreSQL answers");
        let settings = "set search_path to ''; set time zone 'Asia/Jakarta'; set jit = off; begin";
        sqlx::raw_sql(settings)
            .execute(&mut connection)
            .await
            .expect("PostgreSQL is set up");
        Engine::Postgres(connection)
    }

    pub async fn all() -> [Engine; 2] {
        [Engine::sqlite().await, Engine::postgres().await]
    }

    pub fn name(&self) -> &'static str {
        match self {
            Engine::Sqlite(_) => "sqlite",
            Engine::Postgres(_) => "postgres",
        }
    }

    pub async fn raw(&mut self, text: &str) -> Result<(), sqlx::Error> {
        match self {
            Engine::Sqlite(connection) => sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
                .execute(connection)
                .await
                .map(|_| ()),
            Engine::Postgres(connection) => sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
                .execute(connection)
                .await
                .map(|_| ()),
        }
    }

    pub async fn migrate(&mut self, migration: &Migration, stores: &[i64]) {
        for step in &migration.steps {
            match step {
                Step::Ddl { postgres, sqlite, .. } => {
                    let texts = match self {
                        Engine::Sqlite(_) => sqlite,
                        Engine::Postgres(_) => postgres,
                    };
                    for text in texts {
                        self.raw(text)
                            .await
                            .unwrap_or_else(|error| panic!("{}: {error}\n{text}", self.name()));
                    }
                }
                Step::Data { prepared, .. } => {
                    for store in stores {
                        self.run(prepared, *store, &[])
                            .await
                            .unwrap_or_else(|error| panic!("{}: {error}", self.name()));
                    }
                }
            }
        }
    }

    pub async fn run(&mut self, prepared: &Prepared, store: i64, arguments: &[Value]) -> Result<Answer, sqlx::Error> {
        let kinds: Vec<ColumnType> = prepared.columns.iter().filter_map(|column| column.kind).collect();
        assert_eq!(kinds.len(), prepared.columns.len(), "every column has a kind");
        assert_eq!(prepared.arguments, arguments.len(), "as many arguments as placeholders");
        let arguments: Vec<(ColumnType, Value)> = prepared
            .argument_types
            .iter()
            .copied()
            .zip(arguments.iter().cloned())
            .collect();
        let text = match self {
            Engine::Sqlite(_) => &prepared.sqlite,
            Engine::Postgres(_) => &prepared.postgres,
        };
        self.execute(text, &kinds, &arguments, Some(store)).await
    }

    pub async fn execute(
        &mut self,
        text: &str,
        kinds: &[ColumnType],
        arguments: &[(ColumnType, Value)],
        store: Option<i64>,
    ) -> Result<Answer, sqlx::Error> {
        match self {
            Engine::Sqlite(connection) => {
                let mut bound = SqliteArguments::default();
                for (kind, value) in arguments {
                    bind_sqlite(&mut bound, *kind, value).map_err(sqlx::Error::Encode)?;
                }
                if let Some(store) = store {
                    bound.add(store).map_err(sqlx::Error::Encode)?;
                }
                let query = sqlx::query_with(AssertSqlSafe(text.to_owned()), bound);
                if kinds.is_empty() {
                    let done = query.execute(connection).await?;
                    return Ok(Answer {
                        rows: Vec::new(),
                        changed: done.rows_affected(),
                    });
                }
                let rows = query.fetch_all(connection).await?;
                let rows: Vec<Vec<Value>> = rows.iter().map(|row| sqlite_row(row, kinds)).collect();
                Ok(Answer {
                    changed: rows.len() as u64,
                    rows,
                })
            }
            Engine::Postgres(connection) => {
                let mut bound = PgArguments::default();
                for (kind, value) in arguments {
                    bind_postgres(&mut bound, *kind, value).map_err(sqlx::Error::Encode)?;
                }
                if let Some(store) = store {
                    bound.add(store).map_err(sqlx::Error::Encode)?;
                }
                let query = sqlx::query_with(AssertSqlSafe(text.to_owned()), bound);
                if kinds.is_empty() {
                    let done = query.execute(connection).await?;
                    return Ok(Answer {
                        rows: Vec::new(),
                        changed: done.rows_affected(),
                    });
                }
                let rows = query.fetch_all(connection).await?;
                let rows: Vec<Vec<Value>> = rows.iter().map(|row| postgres_row(row, kinds)).collect();
                Ok(Answer {
                    changed: rows.len() as u64,
                    rows,
                })
            }
        }
    }
}

fn bind_sqlite(bound: &mut SqliteArguments, kind: ColumnType, value: &Value) -> Result<(), BoxDynError> {
    match (kind, value) {
        (ColumnType::Jsonb, value) if !value.is_null() => bound.add(value.to_string()),
        (_, Value::Null) => bound.add(None::<String>),
        (ColumnType::Bigint, value) => bound.add(value.as_i64().ok_or("not a bigint")?),
        (ColumnType::Double, value) => bound.add(value.as_f64().ok_or("not a double")?),
        (ColumnType::Boolean, value) => bound.add(value.as_bool().ok_or("not a boolean")?),
        (_, value) => bound.add(value.as_str().ok_or("not text")?.to_owned()),
    }
}

fn bind_postgres(bound: &mut PgArguments, kind: ColumnType, value: &Value) -> Result<(), BoxDynError> {
    match (kind, value) {
        (ColumnType::Jsonb, value) => bound.add((!value.is_null()).then(|| Jsonb(value.to_string()))),
        (ColumnType::Bigint, value) => bound.add(value.as_i64()),
        (ColumnType::Double, value) => bound.add(value.as_f64()),
        (ColumnType::Boolean, value) => bound.add(value.as_bool()),
        (ColumnType::Timestamptz, value) => bound.add(value.as_str().map(Time::parse)),
        (ColumnType::Bytea, _) => bound.add(None::<Vec<u8>>),
        (ColumnType::Text, value) => bound.add(value.as_str().map(str::to_owned)),
    }
}

fn sqlite_row(row: &SqliteRow, kinds: &[ColumnType]) -> Vec<Value> {
    let value = |(index, kind): (usize, &ColumnType)| {
        let raw = row.try_get_raw(index).expect("the row has the column");
        if raw.is_null() {
            return Value::Null;
        }
        let found = raw.type_info().name().to_owned();
        match (kind, found.as_str()) {
            (ColumnType::Text | ColumnType::Timestamptz, "TEXT") => Value::String(row.get_unchecked(index)),
            (ColumnType::Jsonb, "TEXT") => {
                plain(serde_json::from_str(row.get_unchecked(index)).expect("jsonb is JSON"))
            }
            (ColumnType::Bigint, "INTEGER") => json!(row.get_unchecked::<i64, _>(index)),
            (ColumnType::Boolean, "INTEGER" | "BOOLEAN") => {
                json!(row.get_unchecked::<i64, _>(index) != 0)
            }
            (ColumnType::Double, "REAL") => rounded(row.get_unchecked(index)),
            (kind, found) => panic!("a {kind:?} came back as {found}"),
        }
    };
    kinds.iter().enumerate().map(value).collect()
}

fn postgres_row(row: &PgRow, kinds: &[ColumnType]) -> Vec<Value> {
    let value = |(index, kind): (usize, &ColumnType)| match kind {
        ColumnType::Text => json!(row.get::<Option<String>, _>(index)),
        ColumnType::Bigint => json!(row.get::<Option<i64>, _>(index)),
        ColumnType::Boolean => json!(row.get::<Option<bool>, _>(index)),
        ColumnType::Double => row.get::<Option<f64>, _>(index).map_or(Value::Null, rounded),
        ColumnType::Timestamptz => json!(row.get::<Option<Time>, _>(index).map(|time| time.text())),
        ColumnType::Jsonb => row.get::<Option<Jsonb>, _>(index).map_or(Value::Null, |json| {
            plain(serde_json::from_str(&json.0).expect("jsonb is JSON"))
        }),
        ColumnType::Bytea => json!(row.get::<Option<Vec<u8>>, _>(index)),
    };
    kinds.iter().enumerate().map(value).collect()
}

/// Sums of doubles may differ in their last digits.
fn rounded(value: f64) -> Value {
    json!(format!("{value:.9e}"))
}

/// `1` and `1.0` are one number in JSON.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => rounded(number.as_f64().unwrap_or_default()),
        Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        Value::Object(members) => Value::Object(members.into_iter().map(|(key, value)| (key, plain(value))).collect()),
        other => other,
    }
}

struct Jsonb(String);

impl Type<Postgres> for Jsonb {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("jsonb")
    }
}

impl Encode<'_, Postgres> for Jsonb {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.push(1);
        buffer.extend(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r, Postgres> for Jsonb {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Jsonb(String::from_utf8(value.as_bytes()?[1..].to_vec())?))
    }
}

/// Microseconds since 2000, as PostgreSQL sends it.
struct Time(i64);

const EPOCH_2000: i64 = 946_684_800;

impl Time {
    fn parse(text: &str) -> Time {
        let time = chrono::DateTime::parse_from_rfc3339(text).expect("a time");
        Time(time.timestamp_micros() - EPOCH_2000 * 1_000_000)
    }

    fn text(&self) -> String {
        let time = chrono::DateTime::from_timestamp_micros(self.0 + EPOCH_2000 * 1_000_000).expect("a time in range");
        time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
    }
}

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r, Postgres> for Time {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Time(i64::from_be_bytes(value.as_bytes()?.try_into()?)))
    }
}
