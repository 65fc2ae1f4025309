//! Work for later, and work at set times.
//!
//! ```ignore
//! jobs::schedule("expire", &cart.id, clock::now() + Duration::from_secs(3600), &Expire { … })?;
//!
//! #[job("expire")]
//! fn expire(job: Job<Expire>) -> Result<(), Problem> { … }
//!
//! #[schedule("sweep", cron = "*/5 * * * *")]
//! fn sweep() -> Result<(), Problem> { … }
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::commerce::kernel::jobs as host;
use crate::bindings::exports::commerce::kernel::run;
use crate::problem::Problem;
use crate::timestamp::Timestamp;

/// At most one job waits per name and key: scheduling again moves it. Part of the unit of work.
pub fn schedule(name: &str, key: impl AsRef<str>, due_at: Timestamp, payload: &impl Serialize) -> Result<(), Problem> {
    let payload = serde_json::to_string(payload).map_err(Problem::internal)?;
    Ok(host::schedule(name, key.as_ref(), due_at.to_host(), &payload)?)
}

/// Whether one waited.
pub fn cancel(name: &str, key: impl AsRef<str>) -> Result<bool, Problem> {
    Ok(host::cancel(name, key.as_ref())?)
}

#[derive(Clone, Debug)]
pub struct Job<T> {
    pub id: String,
    pub key: String,
    pub payload: T,
    pub due_at: Timestamp,
    /// How often it was tried before this time.
    pub attempts: u32,
}

/// What the attribute `job` makes of its function.
#[doc(hidden)]
pub trait JobHandler {
    const NAME: &'static str;
    fn run(run: Run) -> Result<(), Problem>;
}

/// What the attribute `schedule` makes of its function.
#[doc(hidden)]
pub trait ScheduleHandler: JobHandler {
    const CRON: &'static str;
}

/// A job as it crosses the border.
#[doc(hidden)]
pub struct Run(pub(crate) run::Job);

impl Run {
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn decode<T: DeserializeOwned>(self) -> Result<Job<T>, Problem> {
        let payload = serde_json::from_str(&self.0.payload).map_err(|error| {
            Problem::unprocessable(
                "invalid_job",
                format!("The payload of job {} can't be used: {error}.", self.0.name),
            )
        })?;
        let run::Job {
            id,
            key,
            due_at,
            attempts,
            ..
        } = self.0;
        Ok(Job {
            id,
            key,
            payload,
            due_at: Timestamp::from_host(due_at),
            attempts,
        })
    }
}
