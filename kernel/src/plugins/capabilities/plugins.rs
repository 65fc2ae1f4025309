//! `plugins`: functions of other plugins, each granted by name, and services. The callee joins the caller's unit of work.

use std::sync::Arc;

use super::super::bindings::imports::plugins::{Error, Host};
use super::super::bindings::imports::types::{Problem, Refusal};
use super::super::calls::{Answer, Calling, Invocation, write_problem};
use super::super::grants::not_granted;
use super::super::instance::{CallContext, CallState};
use super::super::registry::Plugin;
use super::super::services::Checks;
use crate::storage::sql::Mode;

impl Host for CallState {
    async fn call(
        &mut self,
        plugin: String,
        function: String,
        payload: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let call = self.context()?;
        Ok(match find_function(call, &plugin, &function) {
            Ok(callee) => self.nested(callee, function, payload).await?,
            Err(error) => Err(error),
        })
    }

    fn providers(&mut self, service: String) -> wasmtime::Result<Result<Vec<String>, Refusal>> {
        let call = self.context()?;
        if let Err(refusal) = may_use(call, &service) {
            return Ok(Err(refusal));
        }
        let providers = call.tree.installed().providers(call.tree.store().number, &service);
        Ok(Ok(providers
            .into_iter()
            .map(|provider| provider.name.to_string())
            .collect()))
    }

    async fn call_provider(
        &mut self,
        service: String,
        provider: String,
        function: String,
        payload: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let call = self.context()?;
        let callee = match find_provider(call, &service, &provider, &function) {
            Ok(callee) => callee,
            Err(error) => return Ok(Err(error)),
        };
        let caller = call.plugin.clone();
        let Some(checks) = caller
            .contracts
            .get(&service)
            .and_then(|functions| functions.get(&function))
        else {
            return Ok(Err(Error::Unknown(format!(
                "the contract of `{service}` has no function `{function}`"
            ))));
        };
        if let Err(reason) = check(checks, Side::Payload, &payload) {
            return Ok(Err(Error::Refused(Refusal::Invalid(format!(
                "the payload is not what `{service}` says: {reason}"
            )))));
        }
        let answer = match self.nested(callee, function, payload).await? {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(reason) = check(checks, Side::Answer, &answer) {
            tracing::error!(plugin = %provider, service, "its answer is not what the contract says: {reason}");
            self.context()?.tree.doom().await;
            return Ok(Err(Error::Problem(broken_contract(&service, &provider))));
        }
        Ok(Ok(answer))
    }
}

impl CallState {
    async fn nested(
        &mut self,
        callee: Arc<Plugin>,
        function: String,
        payload: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.clock.leave_lane();
        let deadline = self
            .clock
            .deadline
            .min(tokio::time::Instant::now() + callee.limits.deadline);
        let call = self.context()?;
        let plugins = call.tree.plugins();
        if call.depth >= plugins.config().call_depth {
            let reason = format!(
                "plugins may call each other at most {} deep",
                plugins.config().call_depth
            );
            return Ok(Err(Error::Refused(Refusal::Invalid(reason))));
        }
        let calling = Calling {
            plugin: Some(&call.plugin.name),
            depth: call.depth + 1,
            deadline,
        };
        let answer = plugins
            .invoke(&call.tree, &callee, &calling, Invocation::Call { function, payload })
            .await;
        if answer.is_err() && call.tree.mode() != Mode::Reading {
            call.tree.doom().await;
        }
        self.not_counting_queues().await?;
        Ok(match answer {
            Ok(Answer::Payload(answer)) => Ok(answer),
            Ok(_) => Err(Error::Unknown(
                "the callee answered something else than a call".to_owned(),
            )),
            Err(problem) => Err(Error::Problem(write_problem(problem))),
        })
    }
}

fn find_function(call: &CallContext, plugin: &str, function: &str) -> Result<Arc<Plugin>, Error> {
    let entry = format!("{plugin}.{function}");
    if !call.plugin.grants.call.contains(&entry) {
        let asked = call.plugin.manifest.capabilities.call.contains(&entry);
        return Err(Error::Refused(not_granted(asked, &format!("call = [\"{entry}\"]"))));
    }
    let callee = call.tree.installed().enabled_plugin(call.tree.store().number, plugin);
    let callee = callee.ok_or_else(|| Error::Unknown(format!("`{plugin}` is not installed, or not enabled here")))?;
    may_call_now(call, callee, function)?;
    Ok(callee.clone())
}

fn find_provider(call: &CallContext, service: &str, provider: &str, function: &str) -> Result<Arc<Plugin>, Error> {
    may_use(call, service).map_err(Error::Refused)?;
    let providers = call.tree.installed().providers(call.tree.store().number, service);
    let callee = providers.into_iter().find(|plugin| &*plugin.name == provider);
    let callee = callee.ok_or_else(|| Error::Unknown(format!("`{provider}` does not provide `{service}` here")))?;
    may_call_now(call, &callee, function)?;
    Ok(callee)
}

fn may_use(call: &CallContext, service: &str) -> Result<(), Refusal> {
    if call.plugin.grants.services.iter().any(|granted| granted == service) {
        return Ok(());
    }
    let asked = call
        .plugin
        .manifest
        .capabilities
        .services
        .iter()
        .any(|asked| asked == service);
    Err(not_granted(asked, &format!("services = [\"{service}\"]")))
}

/// The function exists, and a GET calls only what merely reads.
fn may_call_now(call: &CallContext, callee: &Plugin, function: &str) -> Result<(), Error> {
    let offered = callee
        .descriptor
        .functions
        .iter()
        .find(|offered| offered.name == function);
    let offered = offered.ok_or_else(|| Error::Unknown(format!("`{}` has no function `{function}`", callee.name)))?;
    if call.tree.mode() == Mode::Reading && !offered.reads {
        let reason = format!(
            "`{}.{function}` changes something and can't be called from a GET",
            callee.name
        );
        return Err(Error::Refused(Refusal::Invalid(reason)));
    }
    Ok(())
}

enum Side {
    Payload,
    Answer,
}

fn check(checks: &Checks, side: Side, text: &[u8]) -> Result<(), String> {
    let value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let validator = match side {
        Side::Payload => &checks.payload,
        Side::Answer => &checks.answer,
    };
    validator
        .validate(&value)
        .map_err(|error| format!("{}: {error}", error.instance_path()))
}

fn broken_contract(service: &str, provider: &str) -> Problem {
    Problem {
        status: 500,
        code: "plugin_failed".to_owned(),
        detail: format!("`{provider}` gave an answer that `{service}` does not allow"),
        errors: Vec::new(),
        extra: String::new(),
    }
}
