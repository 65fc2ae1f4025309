//! Everything one call can do to hurt the others, by name, and a static counter that shows whether an instance is fresh.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use commerce_sdk::prelude::*;

commerce_sdk::plugin! {
    routes: [read, write],
    functions: [count, fail, mark],
    consumers: [on_said],
    jobs: [work],
    publishes: { "happened": String },
}

/// In a fresh instance the first call is always the first.
static CALLS: AtomicU32 = AtomicU32::new(0);

fn calls() -> u32 {
    CALLS.fetch_add(1, Ordering::SeqCst) + 1
}

fn must_be_fresh() -> Result<(), Problem> {
    match calls() {
        1 => Ok(()),
        more => Err(Problem::new(500, "not_fresh", format!("call {more} of this instance"))),
    }
}

#[get("/api/misbehaving/{how}", access = public, problems(404 = "unknown_misdeed"))]
fn read(how: Path<String>) -> Result<Response, Problem> {
    misbehave(&how.0)
}

#[post("/api/misbehaving/{how}", access = public, problems(404 = "unknown_misdeed"))]
fn write(how: Path<String>) -> Result<Response, Problem> {
    set_mark(&how.0)?;
    misbehave(&how.0)
}

fn misbehave(how: &str) -> Result<Response, Problem> {
    match how {
        "nothing" => {}
        "loop" => loop {
            black_box(calls());
        },
        "bomb" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        "recursion" => {
            black_box(deeper(0));
        }
        "panic" => panic!("on purpose"),
        "huge_answer" => return Ok(Response::new(200).body("text/plain", vec![b'x'; 2 << 20])),
        "huge_headers" => {
            let mut response = Response::new(200);
            for _ in 0..5_000 {
                response = response.header("link", "x".repeat(100));
            }
            return Ok(response);
        }
        "huge_problem" => return Err(Problem::new(409, "huge", "x".repeat(200_000))),
        "odd_problem" => return Err(Problem::new(200, "Not A Code!", "odd")),
        "chatter" => {
            for line in 0..10_000 {
                log::info!("line {line}");
            }
        }
        "bad_prefix" => {
            black_box(ids::new("No Prefix"));
        }
        _ => return Err(Problem::not_found("unknown_misdeed", how)),
    }
    Response::json(200, &calls())
}

#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let space = black_box([depth; 64]);
    if space[0] == u64::MAX {
        return 0;
    }
    deeper(depth + 1) + space[0]
}

/// How often this instance was called.
#[function(reads)]
fn count() -> Result<u32, Problem> {
    Ok(calls())
}

#[derive(Deserialize, JsonSchema)]
struct Fail {
    how: String,
}

#[function]
fn fail(ask: Fail) -> Result<u32, Problem> {
    set_mark(&ask.how)?;
    misbehave(&ask.how)?;
    Ok(0)
}

#[derive(Deserialize, JsonSchema)]
struct Mark {
    name: String,
}

#[function]
fn mark(ask: Mark) -> Result<i64, Problem> {
    set_mark(&ask.name)
}

fn set_mark(name: &str) -> Result<i64, Problem> {
    Ok(sql!(
        "insert into marks (name, count) values ($1, 1)
         on conflict (name) do update set count = marks.count + 1
         returning count",
        name
    )
    .scalar()?)
}

#[consumer("relay.said")]
fn on_said(event: Event<String>) -> Result<(), Problem> {
    log::debug!("{}", event.payload);
    must_be_fresh()
}

#[job("work")]
fn work(job: Job<String>) -> Result<(), Problem> {
    log::debug!("{}", job.payload);
    must_be_fresh()
}
