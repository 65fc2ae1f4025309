//! `jobs`: work for later, scheduled and cancelled with the call tree's commit.

use super::super::announcements::JobChange;
use super::super::bindings::imports::jobs::Host;
use super::super::bindings::imports::types::Refusal;
use super::super::grants::not_granted;
use super::super::instance::{CallContext, CallState};
use super::events;
use crate::storage::sql::Time;
use crate::typeid;

impl Host for CallState {
    async fn schedule(
        &mut self,
        name: String,
        key: String,
        due_at: u64,
        payload: String,
    ) -> wasmtime::Result<Result<(), Refusal>> {
        self.clock.leave_lane();
        let call = self.context()?;
        let checked = may_change(call, &name).and_then(|()| events::check(call, &key, &payload));
        if let Err(refusal) = checked {
            return Ok(Err(refusal));
        }
        // Later it would fail the commit, and with it all that the call has done.
        let Some(due_at) = i64::try_from(due_at)
            .ok()
            .filter(|due_at| Time(*due_at).text().is_some())
        else {
            return Ok(Err(Refusal::Invalid(
                "due-at is microseconds since 1970, up to the year 9999".to_owned(),
            )));
        };
        let plugin = call.plugin.name.to_string();
        let change = JobChange::Schedule {
            id: typeid::new("job"),
            plugin,
            name,
            key,
            due_at,
            payload,
        };
        Ok(announce(call, change).await)
    }

    async fn cancel(&mut self, name: String, key: String) -> wasmtime::Result<Result<bool, Refusal>> {
        self.clock.leave_lane();
        let call = self.context()?;
        if let Err(refusal) = may_change(call, &name).and_then(|()| events::check(call, &key, "null")) {
            return Ok(Err(refusal));
        }
        let plugin = call.plugin.name.to_string();
        let Ok(waits) = call.tree.job_waits(&plugin, &name, &key).await else {
            return Ok(Err(Refusal::Unavailable));
        };
        if !waits {
            return Ok(Ok(false));
        }
        Ok(announce(call, JobChange::Cancel { plugin, name, key })
            .await
            .map(|()| true))
    }
}

fn may_change(call: &CallContext, name: &str) -> Result<(), Refusal> {
    if !call.plugin.grants.jobs {
        return Err(not_granted(call.plugin.manifest.capabilities.jobs, "jobs = true"));
    }
    if !call.plugin.descriptor.jobs.iter().any(|job| job.name == name) {
        return Err(Refusal::Invalid(format!(
            "the descriptor does not list the job `{name}`"
        )));
    }
    Ok(())
}

async fn announce(call: &CallContext, change: JobChange) -> Result<(), Refusal> {
    match call.tree.change_job(change).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(too_many)) => Err(Refusal::Invalid(too_many.to_string())),
        Err(_) => Err(Refusal::Unavailable),
    }
}
