//! Reading: pages made anew and pages kept, a handler that does nothing, and what a kernel takes to be there at all.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use commerce_harness::Engine;
use commerce_kernel::config::Config;
use commerce_kernel::storage::sql::Sql;
use serde_json::{Value, json};

use crate::client::{Call, repeat, round};
use crate::native::Native;
use crate::{Bench, OPEN_DOORS, listing, machine, postgres, ratio};

/// A handler that computes nothing and asks nothing.
const TRIVIAL: &str = "/api/misbehaving/nothing";

/// Everything is compiled and cached; the process starts anew.
pub async fn start(bench: &mut Bench) -> Result<Value> {
    let mut times = Vec::new();
    // So that it says how it resets plugin memory.
    let talkative = [&OPEN_DOORS[..], &[("COMMERCE_LOG_LEVEL", "info")]].concat();
    for _ in 0..5 {
        let began = Instant::now();
        bench.kernel.restart_with(&talkative).await;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let pid = bench.kernel.pid().context("a running kernel")?;
    Ok(json!({
        "to_first_200_ms": { "median_of_5": times[2].as_millis() as u64, "aim": "< 500" },
        "resident_idle_mb": { "reached": round(machine::resident_mb(pid)), "aim": "< 80" },
        "plugin_memory": pagemap_mode(&bench.kernel.log()),
    }))
}

/// What the kernel says at start about how plugin memory is reset.
fn pagemap_mode(log: &str) -> String {
    let line = log.lines().rfind(|line| line.contains("pagemap_scan"));
    let mode = line.and_then(|line| line.find("pagemap_scan").map(|at| &line[at..]));
    mode.unwrap_or("unknown").to_owned()
}

pub async fn measure(bench: &mut Bench) -> Result<Value> {
    let page = Call::get(listing::PATH, "bench");
    let trivial = Call::get(TRIVIAL, "bench");
    let url = bench.kernel.url.clone();

    // As it is by default: the same page again and again comes from the response cache.
    let kept = repeat(&url, &page, bench.time).await?;
    let native = Native::start(
        bench.kernel.data_dir(),
        bench.sql_url().as_deref(),
        kept.bytes / kept.answers.max(1),
    )
    .await?;
    let constant = repeat(&native.url, &Call::get("/large", "bench"), bench.time).await?;
    let small = repeat(&native.url, &Call::get("/small", "bench"), bench.time).await?;

    bench
        .kernel
        .restart_with(&[&OPEN_DOORS[..], &[("COMMERCE_HTTP_CACHE_MIB", "0")]].concat())
        .await;
    let made = repeat(&url, &page, bench.time).await?;
    let native_made = repeat(&native.url, &page, bench.time).await?;
    let nothing = repeat(&url, &trivial, bench.time).await?;
    let pid = bench.kernel.pid().context("a running kernel")?;
    let resident = machine::resident_mb(pid);

    let mut report = json!({
        "page_made": made.json(),
        "page_made_by_native_code": native_made.json(),
        "page_made_to_native": ratio(made.per_second(), native_made.per_second(), ">= 0.8; native here is warp without the pipeline"),
        "page_p99_ms": { "reached": round(made.p99_ms()), "aim": "< 10 on an idle machine" },
        "page_kept": kept.json(),
        "constant_of_the_same_size_by_warp": constant.json(),
        "page_kept_to_constant": ratio(kept.per_second(), constant.per_second(), ">= 0.7"),
        "trivial_handler": nothing.json(),
        "small_constant_by_warp": small.json(),
        "trivial_to_constant": ratio(nothing.per_second(), small.per_second(), ">= 0.4"),
        "resident_under_load_mb": { "reached": round(resident), "aim": "< 200" },
        "statements_per_listing": { "reached": 1, "aim": "<= 2" },
    });
    if bench.engine == Engine::Postgres {
        let pgbench = pgbench(bench).await?;
        report["pgbench_per_second"] = json!(pgbench.round());
        report["native_to_pgbench"] = ratio(native_made.per_second(), pgbench, ">= 0.8");
        report["page_made_to_pgbench"] = ratio(made.per_second(), pgbench, "the product of the two: >= 0.64");
        report["statements_per_listing"]["reached"] = json!(statements_per_listing(bench).await?);
    }
    Ok(report)
}

async fn pgbench(bench: &Bench) -> Result<f64> {
    let url = bench.sql_url().context("PostgreSQL")?;
    let database = [("COMMERCE_SQL_URL".to_owned(), url.clone())];
    let config = Config::load(None, database).map_err(|error| anyhow::anyhow!("{error}"))?;
    let sql = Sql::open(&config.sql, bench.kernel.data_dir()).await?;
    let statement = listing::statement(&sql).await?;
    sql.close().await;
    postgres::pgbench(&url, &statement, &listing::arguments(), 1, bench.time.as_secs()).await
}

/// Everything the server sees, of 50 listings after the first.
async fn statements_per_listing(bench: &mut Bench) -> Result<f64> {
    let url = bench.sql_url().context("PostgreSQL")?;
    postgres::log_statements(&url, true).await?;
    bench
        .kernel
        .restart_with(
            &[
                &OPEN_DOORS[..],
                &[("COMMERCE_HTTP_CACHE_MIB", "0"), ("COMMERCE_EVENTS_WORKERS", "0")],
            ]
            .concat(),
        )
        .await;
    let guest = bench.store.guest();
    guest.get(listing::PATH).await.expect(200);
    let from = postgres::log_length();
    for _ in 0..50 {
        guest.get(listing::PATH).await.expect(200);
    }
    let sent = postgres::read_log(from)?;
    postgres::log_statements(&url, false).await?;
    bench.kernel.restart_with(&OPEN_DOORS).await;
    // The kernel's own polls run beside them.
    let of_plugins = sent
        .values()
        .flatten()
        .filter(|statement| statement.text.contains("\"product\"."))
        .count();
    Ok(of_plugins as f64 / 50.0)
}

/// The cost of the same page when there is a hundred times as much.
pub async fn at_a_million(bench: &mut Bench) -> Result<Value> {
    let page = Call::get(listing::PATH, "bench");
    let uncached = [&OPEN_DOORS[..], &[("COMMERCE_HTTP_CACHE_MIB", "0")]].concat();
    bench.kernel.restart_with(&uncached).await;
    let before = repeat(&bench.kernel.url, &page, bench.time).await?;
    bench.seed(500_000).await?;
    let after = repeat(&bench.kernel.url, &page, bench.time).await?;
    Ok(json!({
        "page_at_first": before.json(),
        "page_at_a_million": after.json(),
        "cost": { "reached": round(before.per_second() / after.per_second()), "aim": "<= 1.5" },
    }))
}
