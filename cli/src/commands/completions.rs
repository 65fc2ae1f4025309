use clap::CommandFactory;
use clap_complete::Shell;

use crate::exit::{Exit, Failure};

#[derive(clap::Args)]
#[command(after_help = "Example: commerce completions bash > ~/.local/share/bash-completion/completions/commerce")]
pub struct Args {
    shell: Shell,
}

pub fn run(args: Args) -> Result<Exit, Failure> {
    clap_complete::generate(
        args.shell,
        &mut crate::Cli::command(),
        "commerce",
        &mut std::io::stdout(),
    );
    Ok(Exit::Ok)
}
