use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::exit::{Exit, Failure};

#[derive(clap::Args)]
#[command(after_help = "Example: commerce completions bash > ~/.local/share/bash-completion/completions/commerce")]
pub struct Args {
    shell: Shell,
}

pub fn run(args: Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "commerce", &mut script);
    // A reader that went away (`| head`) ends the output, not the command.
    let _ = std::io::stdout().write_all(&script);
    Ok(Exit::Ok)
}
