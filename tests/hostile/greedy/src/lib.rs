//! Asks the database for everything it can be asked: work without end, rows without end, texts without end, and a
//! transaction that nobody ends.

use std::hint::black_box;

use commerce_sdk::prelude::*;
use commerce_sdk::sql::sql_text;

commerce_sdk::plugin! {
    routes: [read, write],
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
    sql!(
        "insert into heap (id, word) values (1, 'mine')
         on conflict (id) do update set word = 'mine'"
    )
    .execute()?;
    loop {
        black_box(());
    }
}
