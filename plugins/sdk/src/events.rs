//! What happened, told to whom it concerns once the unit of work has committed.
//!
//! ```ignore
//! events::publish("completed", &transaction.id, &Completed { … })?;
//!
//! #[consumer("transaction.completed")]
//! fn on_completed(event: Event<Completed>) -> Result<(), Problem> { … }
//! ```
//!
//! A consumer's SQL commits together with the mark that the event is done, so its effect happens once; a problem brings
//! the event back later.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::commerce::kernel::events as host;
use crate::bindings::exports::commerce::kernel::consume;
use crate::problem::Problem;
use crate::timestamp::Timestamp;

/// `name` as declared with `publishes`, without the plugin's prefix. Events of one key arrive in order.
pub fn publish(name: &str, key: impl AsRef<str>, payload: &impl Serialize) -> Result<(), Problem> {
    let payload = serde_json::to_string(payload).map_err(Problem::internal)?;
    Ok(host::publish(name, key.as_ref(), &payload)?)
}

#[derive(Clone, Debug)]
pub struct Event<T> {
    /// `evt_…`; the same event is delivered again under the same id until it is done.
    pub id: String,
    pub key: String,
    pub payload: T,
    pub occurred_at: Timestamp,
    /// How often it was delivered before this time.
    pub attempts: u32,
}

/// What the attribute makes of a consumer.
#[doc(hidden)]
pub trait Consumer {
    /// `transaction.completed`
    const EVENT: &'static str;
    fn consume(delivery: Delivery) -> Result<(), Problem>;
}

/// An event as it crosses the border.
#[doc(hidden)]
pub struct Delivery(pub(crate) consume::Event);

impl Delivery {
    pub fn event(&self) -> String {
        format!("{}.{}", self.0.publisher, self.0.name)
    }

    pub fn decode<T: DeserializeOwned>(self) -> Result<Event<T>, Problem> {
        let payload = serde_json::from_str(&self.0.payload).map_err(|error| {
            Problem::unprocessable(
                "invalid_event",
                format!("The payload of {} can't be used: {error}.", self.event()),
            )
        })?;
        let consume::Event {
            id,
            key,
            occurred_at,
            attempts,
            ..
        } = self.0;
        Ok(Event {
            id,
            key,
            payload,
            occurred_at: Timestamp::from_host(occurred_at),
            attempts,
        })
    }
}
