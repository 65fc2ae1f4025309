//! Who carries a request out: the kernel that runs on this data folder, or, where none runs, one opened for this command.

use commerce_kernel::Kernel;
use commerce_kernel::config::Config;
use commerce_kernel::control::{self, Client, ControlError, Operate, Operator, Progress, Request, StoreRequest};
use commerce_kernel::http::problem::Code;
use commerce_kernel::telemetry::log::LogGuard;
use indicatif::ProgressBar;
use serde_json::Value;

use crate::Context;
use crate::exit::{Exit, Failure, of_status};
use crate::output::Output;

pub struct Desk {
    carrier: Carrier,
    output: Output,
}

enum Carrier {
    Running(Client),
    Own(Box<Operator>),
}

impl Desk {
    pub async fn open(context: &Context) -> Result<Desk, Failure> {
        Self::open_with(load_config(context)?, context).await
    }

    pub async fn open_with(config: Config, context: &Context) -> Result<Desk, Failure> {
        let running = control::connect(&config.data_dir).await.map_err(|error| {
            Failure::new(
                Exit::Unavailable,
                format!("the running kernel does not answer: {error}"),
            )
        })?;
        let carrier = match running {
            Some(client) => Carrier::Running(client),
            None => Carrier::Own(Box::new(Operator::new(open_kernel(config).await?))),
        };
        Ok(Desk {
            carrier,
            output: context.output,
        })
    }

    pub async fn carry_out(&mut self, request: Request) -> Result<Value, Failure> {
        let mut bar: Option<ProgressBar> = None;
        let output = self.output;
        let mut on_progress = |progress: Progress| {
            let bar = bar.get_or_insert_with(|| output.progress(&progress.step, progress.total));
            bar.set_message(progress.step);
            bar.set_position(progress.done);
        };
        let outcome = match &mut self.carrier {
            Carrier::Running(client) => client.carry_out(request, &mut on_progress).await,
            Carrier::Own(operator) => operator
                .carry_out(request, &mut on_progress)
                .await
                .map_err(ControlError::Problem),
        };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        outcome.map_err(failure)
    }

    /// The store a command means when it names none.
    pub async fn only_store(&mut self) -> Result<String, Failure> {
        let stores = self.carry_out(Request::Store(StoreRequest::List)).await?;
        match stores["items"].as_array().map(Vec::as_slice) {
            Some([store]) => Ok(store["slug"].as_str().unwrap_or_default().to_owned()),
            Some([]) | None => Err(Failure::new(Exit::NotFound, "there is no store yet")
                .remedy("commerce store create demo --currency USD --owner-email you@example.com")),
            Some(_) => Err(Failure::new(Exit::Usage, "there are several stores").remedy("name one with --store SLUG")),
        }
    }
}

pub fn load_config(context: &Context) -> Result<Config, Failure> {
    Config::of_process(context.config.as_deref()).map_err(|error| Failure::new(Exit::Config, error.to_string()))
}

/// Starts the kernel's log for the commands that serve. Keep what it answers until the end.
pub fn start_log(config: &Config) -> Result<LogGuard, Failure> {
    commerce_kernel::telemetry::start_log(&config.log)
        .map_err(|error| Failure::new(Exit::Config, format!("{error:#}")).remedy("check log.level and log.format"))
}

pub async fn open_kernel(config: Config) -> Result<std::sync::Arc<Kernel>, Failure> {
    Kernel::open(config).await.map_err(|error| {
        Failure::new(Exit::Unavailable, format!("{error:#}")).remedy("commerce doctor finds out what is wrong")
    })
}

fn failure(error: ControlError) -> Failure {
    match error {
        ControlError::Problem(problem) => {
            // The kernel's own sentence is for who sent a body; here nobody has seen one.
            let of_a_body = problem.detail == Code::InvalidBody.remedy();
            let mut message = if of_a_body && !problem.errors.is_empty() {
                "what was given is not accepted".to_owned()
            } else {
                problem.detail.clone()
            };
            for error in &problem.errors {
                message.push_str(&format!("\n  {}: {}", error.pointer, error.message));
            }
            Failure::new(of_status(problem.status), message)
        }
        ControlError::Io(error) => {
            Failure::new(Exit::Unavailable, format!("the running kernel did not answer: {error}"))
        }
    }
}
