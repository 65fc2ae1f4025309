//! `commerce seed`: a believable demonstration, the same for the same numbers.

use std::collections::BTreeMap;

use commerce_kernel::control::{DataRequest, Request};

use crate::Context;
use crate::desk::Desk;
use crate::exit::{Exit, Failure};

#[derive(clap::Args)]
#[command(after_help = "Example: commerce seed --store demo --products 10000")]
pub struct Args {
    /// The store's slug; may be left out where there is only one store.
    #[arg(long)]
    store: Option<String>,
    /// How many products the store's demonstration has afterwards.
    #[arg(long, default_value_t = 60)]
    products: u64,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mut desk = Desk::open(context).await?;
    let store = match args.store {
        Some(store) => store,
        None => desk.only_store().await?,
    };
    let counts = BTreeMap::from([("products".to_owned(), args.products)]);
    let answer = desk
        .carry_out(Request::Data(DataRequest::Seed { store, counts }))
        .await?;
    context.output.show(&answer);
    Ok(Exit::Ok)
}
