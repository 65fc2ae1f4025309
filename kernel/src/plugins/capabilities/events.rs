//! `events`: what the plugin announces, kept by the call tree until its commit.

use serde::de::IgnoredAny;

use super::super::announcements::Published;
use super::super::bindings::imports::events::Host;
use super::super::bindings::imports::types::Refusal;
use super::super::grants::not_granted;
use super::super::instance::{CallContext, CallState};
use crate::storage::sql::Time;
use crate::typeid;

pub(super) const MAX_KEY_BYTES: usize = 200;
pub(super) const MAX_PAYLOAD_BYTES: usize = 256 << 10;

impl Host for CallState {
    async fn publish(&mut self, name: String, key: String, payload: String) -> wasmtime::Result<Result<(), Refusal>> {
        self.clock.leave_lane();
        let call = self.context()?;
        if let Err(refusal) = may_publish(call, &name).and_then(|()| check(call, &key, &payload)) {
            return Ok(Err(refusal));
        }
        // The publisher's name is the kernel's word: nobody announces in another's name.
        let event = Published {
            id: typeid::new("evt"),
            publisher: call.plugin.name.to_string(),
            name,
            key,
            payload,
            occurred_at: Time::now().0,
        };
        Ok(match call.tree.publish(event).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(too_many)) => Err(Refusal::Invalid(too_many.to_string())),
            Err(_) => Err(Refusal::Unavailable),
        })
    }
}

fn may_publish(call: &CallContext, name: &str) -> Result<(), Refusal> {
    if !call.plugin.grants.publish.iter().any(|granted| granted == name) {
        let asked = call
            .plugin
            .manifest
            .capabilities
            .publish
            .iter()
            .any(|asked| asked == name);
        return Err(not_granted(asked, &format!("publish = [\"{name}\"]")));
    }
    if !call.plugin.descriptor.publishes.iter().any(|event| event.name == name) {
        return Err(Refusal::Invalid(format!(
            "the descriptor does not list the event `{name}`"
        )));
    }
    Ok(())
}

/// What holds for everything that a tree announces.
pub(super) fn check(call: &CallContext, key: &str, payload: &str) -> Result<(), Refusal> {
    let refuse = |reason: String| Err(Refusal::Invalid(reason));
    if !call.tree.may_announce() {
        return refuse("a GET changes nothing, so it announces nothing".to_owned());
    }
    if key.len() > MAX_KEY_BYTES || key.contains('\0') {
        return refuse(format!("a key has at most {MAX_KEY_BYTES} bytes"));
    }
    if payload.len() > MAX_PAYLOAD_BYTES {
        return refuse(format!("a payload has at most {MAX_PAYLOAD_BYTES} bytes"));
    }
    match serde_json::from_str::<IgnoredAny>(payload) {
        Ok(_) => Ok(()),
        Err(error) => refuse(format!("the payload is not JSON: {error}")),
    }
}
