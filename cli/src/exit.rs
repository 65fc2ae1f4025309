//! How a command ends. Scripts may rely on these numbers; `commerce help` and docs/cli.md list them.

use std::process::ExitCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    /// It was tried and failed; the message says why.
    Failed = 1,
    /// The command line itself is wrong (clap uses the same number).
    Usage = 2,
    /// commerce.toml or the environment is wrong.
    Config = 3,
    /// What was named does not exist.
    NotFound = 4,
    /// It exists already, or its present state does not allow it.
    Conflict = 5,
    /// The database or the kernel is out of reach or overloaded: trying again later may help.
    Unavailable = 6,
    /// It wants a yes, and nobody is there to ask: add --yes.
    NeedsConfirmation = 7,
    /// Done, but some rows of the input were wrong and skipped.
    Partial = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error with the exit code it deserves and, where there is one, what to do next.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    pub remedy: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            remedy: None,
        }
    }

    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The code an HTTP-like status stands for.
pub fn of_status(status: u16) -> Exit {
    match status {
        404 => Exit::NotFound,
        409 | 412 => Exit::Conflict,
        503 | 504 => Exit::Unavailable,
        _ => Exit::Failed,
    }
}
