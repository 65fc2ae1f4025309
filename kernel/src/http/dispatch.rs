//! From a checked request to whoever answers it, and back: the kernel itself, or a plugin with its unit of work.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::answers::{self, Answer};
use super::client::Client;
use super::idempotency::{self, Begun, Keyed};
use super::kernel_routes::KernelRoute;
use super::problem::{Code, Problem};
use super::routes::Route;
use super::server::Http;
use super::{docs, store_choice};
use crate::auth::Asked;
use crate::caller::Caller;
use crate::plugins::{HandleRequest, HandleResponse, Plugin};
use crate::storage::sql::{Engine, Mode};
use crate::stores::Store;

/// How long `/readyz` waits for the database.
const PING: Duration = Duration::from_secs(2);

/// A request to one of the kernel's own routes.
pub(super) struct KernelCall<'a> {
    pub http: &'a Arc<Http>,
    pub route: &'a Route,
    pub client: &'a Client,
    pub headers: &'a HeaderMap,
    pub store: Option<&'a Arc<Store>>,
    pub caller: &'a Caller,
    pub parameters: &'a [String],
    pub body: Value,
}

pub(super) async fn kernel(kind: KernelRoute, call: KernelCall<'_>) -> Result<Answer, Problem> {
    match kind {
        KernelRoute::Health => Ok(fine()),
        KernelRoute::Ready => ready(call.http).await,
        KernelRoute::OpenApi => description(&call),
        KernelRoute::Docs => Ok(docs::page()),
        KernelRoute::DocsScript => Ok(docs::script()),
        KernelRoute::DocsStyle => Ok(docs::style()),
        KernelRoute::ProblemType => problem_type(call.parameters.first().map_or("", String::as_str)),
        KernelRoute::Auth => auth(call).await,
    }
}

fn fine() -> Answer {
    Answer::json(StatusCode::OK, &json!({ "status": "ok" }))
}

async fn ready(http: &Http) -> Result<Answer, Problem> {
    if http.is_stopping() {
        return Err(Code::Stopping.into());
    }
    match tokio::time::timeout(PING, http.sql.ping()).await {
        Ok(Ok(())) => Ok(fine()),
        Ok(Err(_)) | Err(_) => Err(Problem::new(Code::Unavailable, "The database is out of reach.").retry_after(1)),
    }
}

/// Of the store that the request names; of all plugins where it names none.
fn description(call: &KernelCall<'_>) -> Result<Answer, Problem> {
    let store = match store_choice::choose(call.http, call.client, call.headers) {
        Ok(store) => Some(store),
        Err(problem) if problem.is(Code::UnknownStore) && !call.headers.contains_key("x-store") => None,
        Err(problem) => return Err(problem),
    };
    Ok(Answer::new(
        StatusCode::OK,
        answers::JSON.clone(),
        call.http.description(store.as_deref()),
    ))
}

fn problem_type(code: &str) -> Result<Answer, Problem> {
    let known = Code::ALL
        .iter()
        .find(|known| known.as_str() == code)
        .ok_or(Code::NotFound)?;
    let body =
        json!({ "code": known.as_str(), "status": known.status(), "title": known.title(), "remedy": known.remedy() });
    Ok(Answer::json(StatusCode::OK, &body))
}

async fn auth(call: KernelCall<'_>) -> Result<Answer, Problem> {
    let Some(store) = call.store else {
        return Err(Code::UnknownStore.into());
    };
    let asked = Asked {
        store,
        caller: call.caller,
        address: call.client.address,
        body: call.body,
    };
    let (status, body) = call.http.auth.answer(&call.route.declared.operation, asked).await?;
    let status = StatusCode::from_u16(status).map_err(|_| Problem::internal())?;
    let mut answer = if body.is_null() {
        Answer::empty(status)
    } else {
        Answer::json(status, &body)
    };
    // Tokens and accounts are nobody else's, whatever stands between.
    answer
        .headers
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// A request to a plugin's route, with everything it needs: a change outlives the connection that asked for it.
pub(super) struct PluginCall {
    pub http: Arc<Http>,
    pub route: Arc<Route>,
    pub plugin: Arc<Plugin>,
    pub store: Arc<Store>,
    pub caller: Caller,
    pub request_id: String,
    pub path: String,
    pub headers: Arc<(http::request::Parts, std::net::SocketAddr)>,
}

impl PluginCall {
    /// Reads outside of any unit of work.
    pub async fn read(self, request: HandleRequest) -> Result<Answer, Problem> {
        let tree = self.http.plugins.tree(
            self.store.clone(),
            self.caller.clone(),
            self.request_id.clone(),
            Mode::Reading,
        );
        let response = self.http.plugins.handle(&tree, &self.plugin, request).await;
        tree.abandon().await;
        self.answer(response.inspect_err(|problem| self.note_undeclared(problem))?)
    }

    /// In a task of its own: a client that hangs up does not stop a change halfway.
    pub async fn change(self, request: HandleRequest) -> Result<Answer, Problem> {
        let held = self.http.held();
        let changing = tokio::spawn(async move {
            let _held = held;
            self.carry_out(request).await
        });
        changing.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request's task failed");
            Err(Problem::internal())
        })
    }

    async fn carry_out(self, request: HandleRequest) -> Result<Answer, Problem> {
        let keyed = match self.begin(&request).await? {
            None => None,
            Some(Begun::Replay(answer)) => return Ok(answer),
            Some(Begun::Fresh(keyed)) => Some(keyed),
        };
        let mode = if self.route.declared.staged {
            Mode::Staged
        } else {
            Mode::Changing
        };
        let tree = self
            .http
            .plugins
            .tree(self.store.clone(), self.caller.clone(), self.request_id.clone(), mode);
        let handled = self.http.plugins.handle(&tree, &self.plugin, request).await;
        let answer = match handled.and_then(|response| self.answer(response)) {
            Ok(answer) => answer,
            Err(problem) => {
                self.note_undeclared(&problem);
                tree.abandon().await;
                return self.refused(keyed, problem).await;
            }
        };
        let settlement = keyed.iter().map(|keyed| keyed.settlement(&answer)).collect();
        match tree.commit(settlement).await {
            Ok(()) => Ok(answer),
            Err(error) => self.not_committed(keyed, error.into()).await,
        }
    }

    async fn begin(&self, asked: &HandleRequest) -> Result<Option<Begun>, Problem> {
        let head = &self.headers.0;
        let Some(key) = idempotency::key_of(&head.headers)? else {
            return Ok(None);
        };
        let request = idempotency::Request {
            store: self.store.number,
            caller: &self.caller,
            route: &self.route,
            method: &head.method,
            path: &self.path,
            query: &asked.query,
            headers: &head.headers,
            body: &asked.body,
            deadline: self.plugin.limits.deadline,
        };
        let keep = Duration::from_secs(u64::from(self.http.config.idempotency_hours) * 3600);
        idempotency::begin(&self.http.sql, &self.http.keys_in_flight, keep, key, &request)
            .await
            .map(Some)
    }

    /// Everything is rolled back and the key is free, unless another node has meanwhile carried out the same request, which
    /// may just be why this one was refused.
    async fn refused(&self, keyed: Option<Keyed>, problem: Problem) -> Result<Answer, Problem> {
        let Some(keyed) = keyed else { return Err(problem) };
        if self.http.sql.engine() == Engine::Postgres
            && !self.route.declared.staged
            && let Some(Ok(answer)) = keyed.answer_of_another(&self.http.sql).await
        {
            return Ok(answer);
        }
        keyed.release(&self.http.sql).await;
        Err(problem)
    }

    /// The commit was refused, or nobody knows what became of it; the key's row tells.
    async fn not_committed(&self, keyed: Option<Keyed>, problem: Problem) -> Result<Answer, Problem> {
        let Some(keyed) = keyed else { return Err(problem) };
        match keyed.answer_of_another(&self.http.sql).await {
            Some(answered) => answered,
            None => Err(problem),
        }
    }

    /// Clients decide by the code, and know those that the document lists.
    fn note_undeclared(&self, problem: &Problem) {
        let kernels = Code::ALL.iter().any(|code| problem.is(*code));
        let declared = &self.route.declared.problems;
        if !kernels && !declared.iter().any(|kind| kind.code == problem.code) {
            let (plugin, operation) = (&*self.plugin.name, &self.route.declared.operation);
            tracing::warn!(
                plugin,
                operation,
                code = problem.code,
                "a problem that its route does not declare"
            );
        }
    }

    /// A plugin's answer as it may leave: only headers that are a plugin's to set, and no error that is not a problem.
    fn answer(&self, response: HandleResponse) -> Result<Answer, Problem> {
        let status = StatusCode::from_u16(response.status)
            .ok()
            .filter(|status| status.as_u16() >= 200);
        let Some(status) = status else {
            tracing::error!(plugin = %self.plugin.name, request_id = self.request_id, status = response.status, "no status of an answer");
            return Err(Code::PluginFailed.into());
        };
        if status.is_client_error() || status.is_server_error() {
            return Err(unnamed_problem(status));
        }
        let mut answer = Answer::empty(status);
        let headers = response
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let dropped = answers::take_headers(&mut answer.headers, headers);
        if !dropped.is_empty() {
            tracing::warn!(plugin = %self.plugin.name, request_id = self.request_id, headers = ?dropped, "headers that a plugin may not set were dropped");
        }
        if status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED {
            answer.body = response.body.into();
            if !answer.body.is_empty() {
                answer
                    .headers
                    .entry(CONTENT_TYPE)
                    .or_insert_with(|| answers::JSON.clone());
            }
        }
        if !self.route.declared.cacheable {
            keep_private(&mut answer.headers);
        }
        Ok(answer)
    }
}

/// The plugin was told who asks, so what it answers is for that caller, whatever it says about others: only what forbids
/// shared caches to keep it stays. Without a word a shared cache may keep for a `max-age` what a guest asked for, whose
/// proof is no `Authorization` header.
fn keep_private(headers: &mut HeaderMap) {
    let Some(control) = headers.get(CACHE_CONTROL) else {
        return;
    };
    let control = control.to_str().unwrap_or_default().to_ascii_lowercase();
    let names: Vec<&str> = control
        .split(',')
        .map(|directive| directive.split('=').next().unwrap_or_default().trim())
        .collect();
    let forbids = names.iter().any(|name| matches!(*name, "private" | "no-store"));
    let allows = names.iter().any(|name| matches!(*name, "public" | "s-maxage"));
    if !forbids || allows {
        headers.remove(CACHE_CONTROL);
    }
}

/// For an error status that came without a problem.
fn unnamed_problem(status: StatusCode) -> Problem {
    let known = Code::ALL.iter().find(|code| code.status() == status.as_u16());
    let mut problem = Problem::from(known.copied().unwrap_or(Code::PluginFailed));
    problem.status = status.as_u16();
    problem
}

/// What the plugin may see of the request's headers: those it declared.
pub(super) fn declared_headers(route: &Route, headers: &HeaderMap) -> Vec<(String, String)> {
    let told = route.headers.iter().filter_map(|name| {
        let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let first = values.next()?.to_owned();
        let all = values.fold(first, |all, value| format!("{all}, {value}"));
        Some((name.as_str().to_owned(), all))
    });
    told.collect()
}

pub(super) fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shared_cache_is_given_what_one_caller_was_answered() {
        let left = |control: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(control));
            keep_private(&mut headers);
            headers.contains_key(CACHE_CONTROL)
        };
        for shared in [
            "public, max-age=60",
            "max-age=60",
            "S-MaxAge=60",
            "private, s-maxage=60",
            "must-revalidate",
            "no-store, Public",
        ] {
            assert!(!left(shared), "{shared}");
        }
        assert!(left("private, max-age=60") && left("no-store"));
    }
}
