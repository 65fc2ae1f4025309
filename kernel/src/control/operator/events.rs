//! Deliveries of events, and jobs.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Operator;
use crate::events::Filter;
use crate::http::problem::{Code, Problem};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EventRequest {
    List {
        store: Option<String>,
        state: Option<String>,
        limit: u32,
        after: Option<String>,
    },
    Replay {
        id: String,
    },
    Skip {
        id: String,
    },
    Jobs {
        store: Option<String>,
        limit: u32,
        after: Option<String>,
    },
}

impl Operator {
    pub(super) async fn events(&self, request: EventRequest) -> Result<Value, Problem> {
        let events = &self.kernel.events;
        let filter = |store: Option<String>, state: Option<String>, limit: u32, after: Option<String>| {
            let after = after
                .map(|after| after.parse::<i64>())
                .transpose()
                .map_err(|_| Problem::from(Code::InvalidQuery).with_error("?after", "is not a cursor of this list"))?;
            Ok::<_, Problem>(Filter {
                store: self.number(store.as_deref())?,
                state,
                limit,
                after,
            })
        };
        match request {
            EventRequest::List {
                store,
                state,
                limit,
                after,
            } => {
                let entries = events.list_events(&filter(store, state, limit, after)?).await?;
                let next = entries.last().map(|entry| entry.cursor.to_string());
                Ok(page(entries.iter(), next, limit))
            }
            EventRequest::Jobs { store, limit, after } => {
                let entries = events.list_jobs(&filter(store, None, limit, after)?).await?;
                let next = entries.last().map(|entry| entry.cursor.to_string());
                Ok(page(entries.iter(), next, limit))
            }
            EventRequest::Replay { id } => changed(&id, events.replay(&id).await?),
            EventRequest::Skip { id } => changed(&id, events.skip(&id).await?),
        }
    }
}

fn page<T: serde::Serialize>(entries: impl ExactSizeIterator<Item = T>, next: Option<String>, limit: u32) -> Value {
    let full = entries.len() >= limit as usize;
    let entries: Vec<Value> = entries.map(|entry| json!(entry)).collect();
    json!({ "items": entries, "next": next.filter(|_| full) })
}

fn changed(id: &str, rows: u64) -> Result<Value, Problem> {
    match rows {
        0 => Err(Problem::not_found(format!(
            "There is no dead letter {id}; `commerce events dead-letters` shows them."
        ))),
        rows => Ok(json!({ "id": id, "deliveries": rows })),
    }
}
