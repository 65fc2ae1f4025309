//! `commerce events` and `commerce jobs`: what waits, what failed, and what to do about it.

use commerce_kernel::control::{EventRequest, Request};

use crate::Context;
use crate::desk::Desk;
use crate::exit::{Exit, Failure};
use crate::output::Column;

#[derive(clap::Subcommand)]
pub enum Command {
    /// List deliveries, oldest first.
    #[command(after_help = "Example: commerce events list --store jakarta")]
    List(List),
    /// List the deliveries that failed for good and hold their key back.
    #[command(name = "dead-letters", after_help = "Example: commerce events dead-letters")]
    DeadLetters {
        #[arg(long)]
        store: Option<String>,
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Deliver a dead letter again.
    #[command(after_help = "Example: commerce events replay evt_01h…")]
    Replay { id: String },
    /// Give a dead letter up, so that its key goes on.
    #[command(after_help = "Example: commerce events skip evt_01h…")]
    Skip { id: String },
}

#[derive(clap::Args)]
pub struct List {
    #[arg(long)]
    store: Option<String>,
    #[arg(long, value_parser = ["waiting", "dead", "done", "skipped"])]
    state: Option<String>,
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[arg(long)]
    after: Option<String>,
}

#[derive(clap::Args)]
#[command(after_help = "Example: commerce jobs --store jakarta")]
pub struct JobsArgs {
    #[arg(long)]
    store: Option<String>,
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[arg(long)]
    after: Option<String>,
}

const DELIVERIES: &[Column] = &[
    ("id", "id"),
    ("event", "name"),
    ("key", "key"),
    ("subscriber", "subscriber"),
    ("state", "state"),
    ("attempts", "attempts"),
    ("last error", "last_error"),
];

pub async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let request = match command {
        Command::List(List {
            store,
            state,
            limit,
            after,
        }) => EventRequest::List {
            store,
            state,
            limit,
            after,
        },
        Command::DeadLetters { store, limit } => EventRequest::List {
            store,
            state: Some("dead".to_owned()),
            limit,
            after: None,
        },
        Command::Replay { id } => EventRequest::Replay { id },
        Command::Skip { id } => EventRequest::Skip { id },
    };
    let lists = matches!(request, EventRequest::List { .. });
    let answer = Desk::open(context).await?.carry_out(Request::Event(request)).await?;
    if lists {
        context.output.list(&answer, DELIVERIES)
    } else {
        context.output.show(&answer)
    }
    Ok(Exit::Ok)
}

pub async fn jobs(args: JobsArgs, context: &Context) -> Result<Exit, Failure> {
    let JobsArgs { store, limit, after } = args;
    let answer = Desk::open(context)
        .await?
        .carry_out(Request::Event(EventRequest::Jobs { store, limit, after }))
        .await?;
    context.output.list(
        &answer,
        &[
            ("id", "id"),
            ("plugin", "plugin"),
            ("name", "name"),
            ("key", "key"),
            ("due", "due_at"),
            ("attempts", "attempts"),
            ("last error", "last_error"),
        ],
    );
    Ok(Exit::Ok)
}
