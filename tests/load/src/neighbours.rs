//! What a plugin feels of others that misbehave, sixty-four of a kind at once: a client of product waits longer for a page,
//! and gets every one.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::client::{Call, alone, crowd, round};
use crate::{Bench, OPEN_DOORS, listing, note};

const MISDEEDS: [&str; 11] = [
    "/api/misbehaving/loop",
    "/api/misbehaving/bomb",
    "/api/misbehaving/recursion",
    "/api/misbehaving/panic",
    "/api/misbehaving/huge_answer",
    "/api/misbehaving/huge_headers",
    "/api/misbehaving/chatter",
    "/api/greedy/endless_cte",
    "/api/greedy/cross_join",
    "/api/greedy/giant_string",
    "/api/greedy/ten_million_rows",
];

pub async fn measure(bench: &mut Bench) -> Result<Value> {
    bench.install("greedy").await?;
    let uncached = [&OPEN_DOORS[..], &[("COMMERCE_HTTP_CACHE_MIB", "0")]].concat();
    bench.kernel.restart_with(&uncached).await;
    let page = Call::get(listing::PATH, "bench");
    let url = &bench.kernel.url;
    alone(url, &page, bench.time / 5).await?;
    let idle = alone(url, &page, bench.time).await?;
    let mut beside = Map::new();
    for path in MISDEEDS {
        note(&format!("  {path}"));
        let misdeed = Call::get(path, "bench");
        let (crowd, felt) = tokio::join!(crowd(url, &misdeed, bench.time), async {
            // They are all at it by then.
            tokio::time::sleep(Duration::from_millis(200)).await;
            alone(url, &page, bench.time.saturating_sub(Duration::from_millis(400))).await
        });
        let felt = felt?;
        let figures = json!({
            "their_answers": crowd?,
            "p99_ms": round(felt.p99_ms()),
            "p99_to_idle": round(felt.p99_ms() / idle.p99_ms()),
        });
        beside.insert(path.to_owned(), figures);
    }
    Ok(json!({ "idle": idle.json(), "aim": "p99_to_idle <= 2", "beside_64_of": beside }))
}
