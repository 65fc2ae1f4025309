//! Asks the database for everything it can be asked: work without end, rows without end, texts without end, and a
//! transaction that nobody ends. `query` and `change` send whatever texts they are handed.

use std::hint::black_box;

use commerce_sdk::bindings::commerce::kernel::sql as host;
use commerce_sdk::prelude::*;
use commerce_sdk::sql::{SqlError, sql_text};

commerce_sdk::plugin! {
    routes: [read, write, write_staged],
    functions: [query, change, heaped],
}

/// Checked at run time, so that what the border refuses is refused to the caller and not at install.
#[get("/api/greedy/{what}", access = public, problems(404 = "unknown_greed"))]
fn read(what: Path<String>) -> Result<Json<i64>, Problem> {
    let text = match what.0.as_str() {
        "endless_cte" => "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
        "cross_join" => {
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)
             select count(*) from n a cross join (select i from n) b cross join (select i from n) c"
        }
        "giant_string" => {
            "with recursive s(i, text) as
                 (select 1, 'xxxxxxxxxxxxxxxx' union all select i + 1, replace(text, 'x', 'xxxxxxxx') from s where i < 60)
             select max(length(text)) from s"
        }
        "ten_million_rows" => {
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000000) select i from n"
        }
        _ => return Err(Problem::not_found("unknown_greed", what.0.clone())),
    };
    let rows = sql_text(text, &[]).all::<(i64,)>()?;
    Ok(Json(rows.len() as i64))
}

/// Takes a row that the others want too, and never lets go of it.
#[post("/api/greedy/hold", access = public)]
fn write() -> Result<Json<i64>, Problem> {
    take_the_row()?;
    loop {
        black_box(());
    }
}

/// As `hold`, in a transaction of its own; or leaves that one open.
#[post("/api/greedy/staged/{how}", access = public, staged)]
fn write_staged(how: Path<String>) -> Result<Json<i64>, Problem> {
    if how.0 == "left_open" {
        host::begin().map_err(SqlError::from)?;
        take_the_row()?;
        return Ok(Json(0));
    }
    transaction(|| {
        take_the_row()?;
        loop {
            black_box(());
        }
    })
}

fn take_the_row() -> Result<u64, SqlError> {
    sql!("insert into heap (id, word) values (1, 'mine') on conflict (id) do update set word = 'mine'").execute()
}

#[derive(Deserialize, JsonSchema)]
struct Texts {
    texts: Vec<String>,
    /// Small numbers, the same for each text.
    #[serde(default)]
    arguments: Vec<u8>,
}

/// Sends the texts as they are and answers how each of them ended.
#[function(reads)]
fn query(ask: Texts) -> Result<Vec<String>, Problem> {
    let arguments = ask.arguments();
    let ended = |text: &String| match host::query(text, &arguments) {
        Ok(answer) => format!("answered {} bytes", answer.len()),
        Err(error) => SqlError::from(error).to_string(),
    };
    Ok(ask.texts.iter().map(ended).collect())
}

/// As `query`, for what changes something. Carries on after a failure, as if nothing had happened.
#[function]
fn change(ask: Texts) -> Result<Vec<String>, Problem> {
    let arguments = ask.arguments();
    let ended = |text: &String| match host::execute(text, &arguments) {
        Ok(rows) => format!("changed {rows} rows"),
        Err(host::Error::Refused(why)) if why.contains("use query") => format!("changed and answered: {why}"),
        Err(error) => SqlError::from(error).to_string(),
    };
    Ok(ask.texts.iter().map(ended).collect())
}

impl Texts {
    /// MessagePack, in which an array of few small numbers is one byte for its length and one for each of them.
    fn arguments(&self) -> Vec<u8> {
        let length = 0x90 + self.arguments.len() as u8;
        [&[length], self.arguments.as_slice()].concat()
    }
}

/// The words of this store, in their order.
#[function(reads)]
fn heaped() -> Result<Vec<String>, Problem> {
    Ok(sql!("select word from heap order by id").scalars()?)
}
