//! The guest of `guests.rs`.

use commerce_sdk::prelude::*;

commerce_sdk::plugin! {
    routes: [rows, panics, grows, missing],
    functions: [double],
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Row {
    id: String,
    quantity: i64,
    note: Option<String>,
}

#[get("/api/probe/rows/{shelf}", access = public, headers("x-floor"))]
fn rows(cx: &Context, shelf: Path<String>) -> Result<With<Json<Vec<Row>>>, Problem> {
    let floor = cx.header("x-floor");
    let rows = sql!("select id, quantity, note from items where shelf = $1 and floor = $2", shelf.0, floor).all()?;
    Ok(Json(rows).with_header("etag", "\"1\""))
}

#[get("/api/probe/panics", access = public)]
fn panics() -> NoContent {
    panic!("out of flour");
}

#[derive(Deserialize, JsonSchema)]
struct Size {
    items: u32,
}

/// Two lists that grow in turn, so that each must be moved away from the other again and again.
#[get("/api/probe/grows", access = public)]
fn grows(size: Query<Size>) -> Json<u64> {
    let (mut even, mut odd) = (Vec::new(), Vec::new());
    for number in 0..u64::from(size.0.items) {
        if number % 2 == 0 { even.push(number) } else { odd.push(number) }
    }
    Json(even.iter().chain(&odd).sum())
}

#[get("/api/probe/missing", access = public, problems(404 = "no_bread"))]
fn missing() -> Result<NoContent, Problem> {
    Err(Problem::not_found("no_bread", "There is no bread.").field("?kind", "is sold out").with("left", 0))
}

#[function(reads)]
fn double(number: i64) -> Result<i64, Problem> {
    Ok(number * 2)
}
