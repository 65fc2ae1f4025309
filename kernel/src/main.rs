//! The server alone: reads the configuration, serves until it is told to stop. `commerce serve` does the same.

use std::path::PathBuf;
use std::process::ExitCode;

use commerce_kernel::config::Config;

#[global_allocator]
static ALLOCATOR: commerce_kernel::Allocator = commerce_kernel::Allocator;

fn main() -> ExitCode {
    let named = std::env::var_os("COMMERCE_CONFIG").map(PathBuf::from);
    let config = match Config::of_process(named.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(3);
        }
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    commerce_kernel::install_tls();
    let _log = commerce_kernel::telemetry::start_log(&config.log)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(commerce_kernel::serve(config))
}
