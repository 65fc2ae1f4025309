//! `commerce serve`: the kernel in the foreground, until SIGTERM or Ctrl-C.

use crate::Context;
use crate::desk::{load_config, start_log};
use crate::exit::{Exit, Failure};

#[derive(clap::Args)]
#[command(after_help = "Example: COMMERCE_SQL_URL=postgres://commerce@localhost/commerce commerce serve")]
pub struct Args {}

pub async fn run(_args: Args, context: &Context) -> Result<Exit, Failure> {
    let config = load_config(context)?;
    let _log = start_log(&config)?;
    commerce_kernel::serve(config).await.map_err(|error| {
        Failure::new(Exit::Unavailable, format!("{error:#}")).remedy("commerce doctor finds out what is wrong")
    })?;
    Ok(Exit::Ok)
}
