//! `commerce openapi`: the document a running kernel serves at `/openapi.json`.

use commerce_kernel::control::Request;

use crate::Context;
use crate::desk::Desk;
use crate::exit::{Exit, Failure};

#[derive(clap::Args)]
#[command(after_help = "Example: commerce openapi > openapi.json")]
pub struct Args {
    /// Only what is enabled in this store.
    #[arg(long)]
    store: Option<String>,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let answer = Desk::open(context)
        .await?
        .carry_out(Request::OpenApi { store: args.store })
        .await?;
    context.output.value(&answer);
    Ok(Exit::Ok)
}
