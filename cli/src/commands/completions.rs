//! `commerce completions`: what a shell completes as one types.

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
    // Not straight to standard output: a reader that went away (`| head`) would end it in a panic.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "commerce", &mut script);
    let _ = std::io::stdout().write_all(&script);
    Ok(Exit::Ok)
}
