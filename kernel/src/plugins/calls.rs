//! Calls into plugins, from outside (a request, an event, a job) and from each other.
//!
//! A call from outside waits for one permit of the node and one of its plugin; calls on the way down never wait, there is an
//! instance for each depth. Every way a call can end without an answer becomes a problem here, is logged with the plugin's
//! name and version under the request's id, and is counted.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Plugins;
use super::bindings::imports::types as wit;
use super::bindings::kinds;
use super::instance::{CallContext, CallState, Failure, FreshInstance};
use super::registry::Plugin;
use super::tree::Tree;
use crate::caller::{Caller, CallerKind};
use crate::http::problem::{Code, FieldError, Problem};
use crate::storage::sql::SqlError;

const MAX_PROBLEM_TEXT: usize = 2_000;
const MAX_PROBLEM_ERRORS: usize = 200;
const MAX_PROBLEM_EXTRA: usize = 64 << 10;

/// An HTTP request as the pipeline hands it to the owner of its route.
#[derive(Clone, Debug, Default)]
pub struct HandleRequest {
    /// The route's operation id.
    pub operation: String,
    /// The values of the path's `{…}`, percent-decoded.
    pub path: Vec<String>,
    /// The raw query string without `?`.
    pub query: String,
    /// Those the route declares.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The route is cacheable: its answer is for everybody, so the plugin is told no caller.
    pub anonymous: bool,
}

/// As the plugin gave it: the pipeline filters the headers.
#[derive(Clone, Debug)]
pub struct HandleResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// See `consume` in the WIT.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: String,
    pub publisher: String,
    pub name: String,
    pub key: String,
    pub payload: String,
    /// Microseconds since 1970 UTC.
    pub occurred_at: u64,
    pub attempts: u32,
}

/// See `run` in the WIT.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: String,
    pub name: String,
    pub key: String,
    pub payload: String,
    /// Microseconds since 1970 UTC.
    pub due_at: u64,
    pub attempts: u32,
}

/// One call of one of the kinds a plugin exports.
pub(super) enum Invocation {
    Handle(HandleRequest),
    Call { function: String, payload: Vec<u8> },
    Consume(Event),
    Run(Job),
}

pub(super) enum Answer {
    Response(HandleResponse),
    Payload(Vec<u8>),
    Done,
}

/// Who calls a plugin from inside a tree, and until when.
pub(super) struct Calling<'a> {
    /// None where the kernel calls.
    pub plugin: Option<&'a str>,
    pub depth: u32,
    pub deadline: Instant,
}

impl Plugins {
    /// Answers a request by the route's owner. The unit of work stays open: commit the tree on a good answer, abandon it on
    /// a problem or an error status. Where the request changes something, run both in a task of its own, so that a client
    /// that hangs up does not interrupt them.
    pub async fn handle(
        &self,
        tree: &Tree,
        plugin: &Arc<Plugin>,
        request: HandleRequest,
    ) -> Result<HandleResponse, Problem> {
        match self
            .answer_outside_call(tree, plugin, Invocation::Handle(request))
            .await?
        {
            Answer::Response(response) => Ok(response),
            _ => Err(Problem::internal()),
        }
    }

    /// A function of a plugin, called by the kernel itself: an import, a seed.
    pub async fn call(&self, tree: &Tree, plugin: &str, function: &str, payload: Vec<u8>) -> Result<Vec<u8>, Problem> {
        let known = tree.installed().enabled_plugin(tree.store().number, plugin);
        let known = known.filter(|plugin| {
            plugin
                .descriptor
                .functions
                .iter()
                .any(|offered| offered.name == function)
        });
        let Some(plugin) = known else {
            return Err(Problem::not_found(format!(
                "`{plugin}.{function}` is not offered in this store"
            )));
        };
        let invocation = Invocation::Call {
            function: function.to_owned(),
            payload,
        };
        match self.answer_outside_call(tree, plugin, invocation).await? {
            Answer::Payload(answer) => Ok(answer),
            _ => Err(Problem::internal()),
        }
    }

    pub async fn consume(&self, tree: &Tree, plugin: &Arc<Plugin>, event: Event) -> Result<(), Problem> {
        self.answer_outside_call(tree, plugin, Invocation::Consume(event))
            .await
            .map(drop)
    }

    pub async fn run(&self, tree: &Tree, plugin: &Arc<Plugin>, job: Job) -> Result<(), Problem> {
        self.answer_outside_call(tree, plugin, Invocation::Run(job))
            .await
            .map(drop)
    }

    async fn answer_outside_call(
        &self,
        tree: &Tree,
        plugin: &Arc<Plugin>,
        invocation: Invocation,
    ) -> Result<Answer, Problem> {
        let _permit = self.permit(plugin).await?;
        let calling = Calling {
            plugin: None,
            depth: 1,
            deadline: Instant::now() + plugin.limits.deadline,
        };
        self.invoke(tree, plugin, &calling, invocation).await
    }

    /// The plugin's permit first: those who queue for a busy plugin take no place from the others.
    async fn permit(&self, plugin: &Plugin) -> Result<[OwnedSemaphorePermit; 2], Problem> {
        let longest = Duration::from_millis(self.config().queue_wait_ms);
        let both = async { Ok([acquire(&plugin.permits).await?, acquire(self.permits()).await?]) };
        match tokio::time::timeout(longest, both).await {
            Ok(permits) => permits,
            Err(_elapsed) => {
                plugin.counts.overloaded.inc();
                Err(overloaded())
            }
        }
    }

    /// One call at any depth, in a fresh instance.
    pub(super) async fn invoke(
        &self,
        tree: &Tree,
        plugin: &Arc<Plugin>,
        calling: &Calling<'_>,
        invocation: Invocation,
    ) -> Result<Answer, Problem> {
        let frame = tree.enter().await.map_err(|error| sql_problem(&error))?;
        let context = CallContext {
            tree: tree.clone(),
            plugin: plugin.clone(),
            frame,
            depth: calling.depth,
        };
        let state = CallState::new(Some(context), self.engine(), &plugin.limits, calling.deadline);
        let caller = wit_caller(tree.caller(), calling.plugin, &invocation);
        let outcome = self.enter_guest(plugin, state, caller, invocation).await;
        // Only now is it certain that no transaction of this call is open any more.
        let left = tree.leave(frame).await;
        match outcome {
            Ok(Ok(answer)) => match left {
                Ok(()) => {
                    plugin.counts.answered.inc();
                    Ok(answer)
                }
                Err(SqlError::LeftOpen) => Err(failed(
                    tree,
                    plugin,
                    &Failure::Trap("it ended with a transaction open".to_owned()),
                )),
                Err(error) => Err(sql_problem(&error)),
            },
            Ok(Err(problem)) => {
                plugin.counts.problems.inc();
                Err(read_problem(problem))
            }
            Err(failure) => Err(failed(tree, plugin, &failure)),
        }
    }

    async fn enter_guest(
        &self,
        plugin: &Plugin,
        state: CallState,
        caller: wit::Caller,
        invocation: Invocation,
    ) -> Result<Result<Answer, wit::Problem>, Failure> {
        let FreshInstance { mut store, instance } =
            FreshInstance::new(self.engine(), &plugin.compiled, state, &plugin.limits).await?;
        let compiled = &plugin.compiled;
        let answered = match invocation {
            Invocation::Handle(request) => {
                let export = compiled.handle.as_ref().ok_or(Failure::NoExport("handle"))?;
                let guest = export.load(&mut store, &instance);
                let guest = guest.map_err(|error| Failure::of(&store, error))?;
                let answer = guest.call_handle(&mut store, &wit_request(request, caller)).await;
                answer.map(|answer| answer.map(|response| Answer::Response(read_response(response))))
            }
            Invocation::Call { function, payload } => {
                let export = compiled.call.as_ref().ok_or(Failure::NoExport("call"))?;
                let guest = export.load(&mut store, &instance);
                let guest = guest.map_err(|error| Failure::of(&store, error))?;
                let answer = guest.call_call(&mut store, &caller, &function, &payload).await;
                answer.map(|answer| answer.map(Answer::Payload))
            }
            Invocation::Consume(event) => {
                let export = compiled.consume.as_ref().ok_or(Failure::NoExport("consume"))?;
                let guest = export.load(&mut store, &instance);
                let guest = guest.map_err(|error| Failure::of(&store, error))?;
                let done = guest.call_consume(&mut store, &wit_event(event)).await;
                done.map(|done| done.map(|()| Answer::Done))
            }
            Invocation::Run(job) => {
                let export = compiled.run.as_ref().ok_or(Failure::NoExport("run"))?;
                let guest = export.load(&mut store, &instance);
                let guest = guest.map_err(|error| Failure::of(&store, error))?;
                let done = guest.call_run(&mut store, &wit_job(job)).await;
                done.map(|done| done.map(|()| Answer::Done))
            }
        };
        let answered = answered.map_err(|error| Failure::of(&store, error))?;
        match &answered {
            Ok(answer) if answer.bytes() > plugin.limits.answer_bytes => Err(Failure::AnswerTooLarge),
            _ => Ok(answered),
        }
    }
}

impl Answer {
    fn bytes(&self) -> usize {
        match self {
            Self::Response(response) => {
                let headers: usize = response
                    .headers
                    .iter()
                    .map(|(name, value)| name.len() + value.len())
                    .sum();
                response.body.len() + headers
            }
            Self::Payload(payload) => payload.len(),
            Self::Done => 0,
        }
    }
}

async fn acquire(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    match Arc::clone(permits).try_acquire_owned() {
        Ok(permit) => Ok(permit),
        Err(_) => Arc::clone(permits)
            .acquire_owned()
            .await
            .map_err(|_closed| Code::Stopping.into()),
    }
}

fn overloaded() -> Problem {
    Problem::from(Code::Overloaded).retry_after(1)
}

fn failed(tree: &Tree, plugin: &Plugin, failure: &Failure) -> Problem {
    tracing::error!(
        plugin = %plugin.name, version = %plugin.version, store = %tree.store().slug, request_id = %tree.request_id(),
        "a plugin's call failed: {failure}"
    );
    match failure {
        Failure::Deadline => {
            plugin.counts.timeouts.inc();
            Code::Timeout.into()
        }
        Failure::NoInstance => {
            plugin.counts.overloaded.inc();
            overloaded()
        }
        Failure::Memory | Failure::AnswerTooLarge | Failure::NoExport(_) | Failure::Trap(_) => {
            plugin.counts.traps.inc();
            Code::PluginFailed.into()
        }
    }
}

/// For errors of the unit of work itself, outside of any statement of a plugin.
pub(super) fn sql_problem(error: &SqlError) -> Problem {
    match error {
        SqlError::Unavailable { retry_after } => {
            let seconds = u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX).max(1);
            Problem::from(Code::Unavailable).retry_after(seconds)
        }
        SqlError::Uncertain => Code::Uncertain.into(),
        SqlError::Timeout => Code::Timeout.into(),
        SqlError::Conflict => Code::Conflict.into(),
        _ => Problem::internal(),
    }
}

fn wit_caller(caller: &Caller, plugin: Option<&str>, invocation: &Invocation) -> wit::Caller {
    let told = !matches!(invocation, Invocation::Handle(HandleRequest { anonymous: true, .. }));
    if !told {
        return wit::Caller {
            kind: wit::CallerKind::Anonymous,
            account: None,
            verified_email: None,
            permissions: Vec::new(),
            plugin: None,
        };
    }
    wit::Caller {
        kind: match caller.kind {
            CallerKind::Anonymous => wit::CallerKind::Anonymous,
            CallerKind::Customer => wit::CallerKind::Customer,
            CallerKind::Staff => wit::CallerKind::Staff,
            CallerKind::System => wit::CallerKind::System,
        },
        account: caller.account.clone(),
        verified_email: caller.verified_email.clone(),
        permissions: caller.permissions.iter().cloned().collect(),
        plugin: plugin.map(str::to_owned),
    }
}

fn wit_request(request: HandleRequest, caller: wit::Caller) -> kinds::handle::Request {
    let headers = request
        .headers
        .into_iter()
        .map(|(name, value)| wit::Header { name, value })
        .collect();
    kinds::handle::Request {
        operation: request.operation,
        path: request.path,
        query: request.query,
        headers,
        body: request.body,
        caller,
    }
}

fn read_response(response: kinds::handle::Response) -> HandleResponse {
    let headers = response
        .headers
        .into_iter()
        .map(|header| (header.name, header.value))
        .collect();
    HandleResponse {
        status: response.status,
        headers,
        body: response.body,
    }
}

fn wit_event(event: Event) -> kinds::consume::Event {
    let Event {
        id,
        publisher,
        name,
        key,
        payload,
        occurred_at,
        attempts,
    } = event;
    kinds::consume::Event {
        id,
        publisher,
        name,
        key,
        payload,
        occurred_at,
        attempts,
    }
}

fn wit_job(job: Job) -> kinds::run::Job {
    let Job {
        id,
        name,
        key,
        payload,
        due_at,
        attempts,
    } = job;
    kinds::run::Job {
        id,
        name,
        key,
        payload,
        due_at,
        attempts,
    }
}

/// A plugin's problem, bounded: it ends up in an answer to a client.
fn read_problem(problem: wit::Problem) -> Problem {
    let code = match problem.code.as_str() {
        code if super::names::is_problem_code(code) => problem.code,
        _ => Code::PluginFailed.as_str().to_owned(),
    };
    let extra = match problem.extra.len() {
        0 => Map::new(),
        bytes if bytes > MAX_PROBLEM_EXTRA => Map::new(),
        _ => match serde_json::from_str(&problem.extra) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        },
    };
    let errors = problem.errors.into_iter().take(MAX_PROBLEM_ERRORS);
    Problem {
        status: if (400..600).contains(&problem.status) {
            problem.status
        } else {
            500
        },
        code,
        detail: cut(problem.detail),
        errors: errors
            .map(|error| FieldError {
                pointer: cut(error.pointer),
                message: cut(error.message),
            })
            .collect(),
        extra,
        retry_after_seconds: None,
    }
}

/// What a plugin that called another is told about its problem.
pub(super) fn write_problem(problem: Problem) -> wit::Problem {
    wit::Problem {
        status: problem.status,
        code: problem.code,
        detail: problem.detail,
        errors: problem
            .errors
            .into_iter()
            .map(|error| wit::FieldError {
                pointer: error.pointer,
                message: error.message,
            })
            .collect(),
        extra: if problem.extra.is_empty() {
            String::new()
        } else {
            Value::Object(problem.extra).to_string()
        },
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_PROBLEM_TEXT {
        text.truncate(text.floor_char_boundary(MAX_PROBLEM_TEXT));
    }
    text
}
