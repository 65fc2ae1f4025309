//! `make bench`: how fast a release kernel is and how small, each figure beside what it is compared with in the same run.
//! One JSON document on standard output, progress on standard error. `--seconds` sets how long each measurement takes,
//! `--million` adds the catalogue of a million variants, which takes long to seed.

mod browse;
mod buy;
mod client;
mod listing;
mod machine;
mod native;
mod neighbours;
mod postgres;
mod replay;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use commerce_harness::kernel::repository;
use commerce_harness::{Engine, Store, TestKernel};
use serde_json::{Map, Value, json};

#[global_allocator]
static ALLOCATOR: commerce_kernel::Allocator = commerce_kernel::Allocator;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Mode>,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Products of the catalogue, two variants each.
    #[arg(long, default_value_t = 10_000)]
    products: u64,
    /// Also the cost of a page at a million variants.
    #[arg(long)]
    million: bool,
    /// Only these engines.
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    engines: Vec<String>,
    /// The kernel that is measured.
    #[arg(long)]
    kernel: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Mode {
    /// Serves what plugins are compared with; started by the bench itself.
    #[command(hide = true)]
    Native {
        data_dir: PathBuf,
        port: u16,
        constant: usize,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    if let Some(Mode::Native {
        data_dir,
        port,
        constant,
    }) = &arguments.command
    {
        return runtime()?.block_on(native::serve(data_dir, *port, *constant));
    }
    let kernel = arguments
        .kernel
        .clone()
        .unwrap_or_else(|| repository().join("target/release/commerce"));
    ensure!(
        kernel.exists(),
        "{} is missing: cargo build --release --bin commerce",
        kernel.display()
    );
    postgres::make_durable();
    // SAFETY: the runtime is not there yet; this process has one thread.
    unsafe { std::env::set_var("COMMERCE_TEST_BINARY", kernel) };
    let report = runtime()?.block_on(run(&arguments))?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

/// What every measurement needs to know.
pub struct Bench {
    pub engine: Engine,
    pub time: Duration,
    pub kernel: TestKernel,
    pub store: Store,
}

/// No limit of one address: the crowd is here.
pub const OPEN_DOORS: [(&str, &str); 3] = [
    ("COMMERCE_RATE_LIMITS_PER_ADDRESS", "0"),
    ("COMMERCE_RATE_LIMITS_PER_CALLER", "0"),
    ("COMMERCE_LOG_LEVEL", "warn"),
];

async fn run(arguments: &Arguments) -> Result<Value> {
    let mut report = Map::new();
    report.insert("machine".to_owned(), machine::facts());
    for (name, engine) in [("sqlite", Engine::Sqlite), ("postgres", Engine::Postgres)] {
        if !arguments.engines.iter().any(|wanted| wanted == name) {
            continue;
        }
        let mut bench = Bench::start(engine, arguments).await?;
        let mut figures = Map::new();
        note(&format!("{name}: start and memory"));
        figures.insert("start".to_owned(), browse::start(&mut bench).await?);
        note(&format!("{name}: browsing"));
        figures.insert("browse".to_owned(), browse::measure(&mut bench).await?);
        note(&format!("{name}: buying"));
        figures.insert("buy".to_owned(), buy::measure(&mut bench).await?);
        note(&format!("{name}: neighbours that misbehave"));
        figures.insert("neighbours".to_owned(), neighbours::measure(&mut bench).await?);
        if arguments.million {
            note(&format!("{name}: a million variants"));
            figures.insert("million".to_owned(), browse::at_a_million(&mut bench).await?);
        }
        report.insert(name.to_owned(), Value::Object(figures));
        // What was measured is not lost when a later part fails.
        note(&serde_json::to_string(&report)?);
    }
    Ok(Value::Object(report))
}

impl Bench {
    async fn start(engine: Engine, arguments: &Arguments) -> Result<Self> {
        note(&format!("{engine:?}: seeding {} products", arguments.products));
        let kernel = TestKernel::start_with(engine, &OPEN_DOORS).await;
        let store = kernel.store("bench", "IDR").await;
        let bench = Self {
            engine,
            time: Duration::from_secs(arguments.seconds),
            kernel,
            store,
        };
        bench.seed(arguments.products).await?;
        bench.install("misbehaving").await?;
        Ok(bench)
    }

    async fn install(&self, plugin: &str) -> Result<()> {
        let package = commerce_harness::kernel::package(plugin).display().to_string();
        self.commerce(&["plugin", "install", &package, "--yes"]).await
    }

    pub async fn seed(&self, products: u64) -> Result<()> {
        self.commerce(&["seed", "--store", "bench", "--products", &products.to_string()])
            .await
    }

    async fn commerce(&self, arguments: &[&str]) -> Result<()> {
        let output = self.kernel.commerce(arguments).await;
        ensure!(output.code == 0, "commerce {}: {}", arguments.join(" "), output.stderr);
        Ok(())
    }

    /// The database's URL where a kernel is told one.
    pub fn sql_url(&self) -> Option<String> {
        (self.engine == Engine::Postgres).then(|| self.kernel.database_url())
    }
}

pub fn note(text: &str) {
    eprintln!("{text}");
}

/// Ours as a part of theirs.
pub fn ratio(ours: f64, theirs: f64, aim: &str) -> Value {
    json!({ "reached": client::round(ours / theirs), "aim": aim })
}
