//! Reaches for what belongs to others: functions, hosts, secrets and events that it was not granted, and itself, again.

use commerce_sdk::bindings::commerce::kernel as host;
use commerce_sdk::http::{self, HttpError};
use commerce_sdk::plugins::CallError;
use commerce_sdk::prelude::*;
use commerce_sdk::problem::Refusal;

commerce_sdk::plugin! {
    routes: [reach, reach_staged, pass_on, survive],
    functions: [again],
    publishes: { "said": String },
}

/// Tries one thing that it may not do, and answers how it was told so.
#[get("/api/relay/reach/{what}", access = public)]
fn reach(what: Path<String>) -> Result<Json<String>, Problem> {
    Ok(Json(told(&what.0)))
}

/// As `reach`, with no transaction open that would stop a request before anything else does.
#[post("/api/relay/reach/{what}", access = public, staged)]
fn reach_staged(what: Path<String>) -> Result<Json<String>, Problem> {
    Ok(Json(told(&what.0)))
}

fn told(what: &str) -> String {
    match what {
        "function_not_asked" => call_error(plugins::call::<u32>("misbehaving", "read", &())),
        "function_of_nobody" => call_error(plugins::call::<u32>("nobody", "count", &())),
        "function_that_writes" => call_error(plugins::call::<i64>("misbehaving", "mark", &())),
        "count" => match plugins::call::<u32>("misbehaving", "count", &()) {
            Ok(count) => format!("count {count}"),
            Err(error) => call_error::<u32>(Err(error)),
        },
        "again" => match plugins::call::<u32>("relay", "again", &Again { depth: 1 }) {
            Ok(depth) => format!("depth {depth}"),
            Err(error) => call_error::<u32>(Err(error)),
        },
        "providers" => format!("{:?}", host::plugins::providers("shipping@1")),
        "secret" => format!("{:?}", host::secrets::get("not_mine")),
        "cache" => format!("{:?}", host::cache::get("key")),
        "foreign_event" => format!("{:?}", host::events::publish("paid", "", "\"mine\"")),
        "event_from_get" => format!("{:?}", host::events::publish("said", "", "\"mine\"")),
        "host_not_asked" => http_error("https://example.com/"),
        "metadata_service" => http_error("https://169.254.169.254/latest/meta-data"),
        "loopback_by_name" => http_error("https://localhost/"),
        "plain_http" => http_error("http://169.254.169.254/"),
        "credentials" => http_error("https://user:password@169.254.169.254/"),
        other => format!("no such thing as {other}"),
    }
}

fn call_error<T>(outcome: Result<T, CallError>) -> String {
    match outcome {
        Ok(_) => "it was allowed".to_owned(),
        Err(CallError::Refused(Refusal::NotGranted(why))) => format!("not granted: {why}"),
        Err(CallError::Refused(Refusal::Invalid(why))) => format!("invalid: {why}"),
        Err(other) => other.to_string(),
    }
}

fn http_error(url: &str) -> String {
    match http::get(url).send() {
        Ok(answer) => format!("status {}", answer.status),
        Err(HttpError::Refused(Refusal::NotGranted(why))) => format!("not granted: {why}"),
        Err(HttpError::Refused(Refusal::Invalid(why))) => format!("invalid: {why}"),
        Err(other) => other.to_string(),
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Again {
    depth: u32,
}

/// Calls itself until it is not let, and answers how deep it came.
#[function(reads)]
fn again(ask: Again) -> Result<u32, Problem> {
    let deeper = Again { depth: ask.depth + 1 };
    match plugins::call("relay", "again", &deeper) {
        Ok(depth) => Ok(depth),
        Err(CallError::Refused(Refusal::Invalid(_))) => Ok(ask.depth),
        Err(other) => Err(other.into()),
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Fail {
    how: String,
}

/// Calls what fails, and answers well nevertheless.
#[post("/api/relay/pass-on", access = public)]
fn pass_on(ask: Json<Fail>) -> Result<Json<String>, Problem> {
    let before: i64 = plugins::call("misbehaving", "mark", &Name { name: "before".into() })?;
    let failed = plugins::call::<u32>("misbehaving", "fail", &ask.0);
    Ok(Json(format!("{before}, then {}", call_error(failed))))
}

#[derive(Serialize)]
struct Name {
    name: String,
}

/// As `pass_on`, with a nested transaction around what fails.
#[post("/api/relay/survive", access = public)]
fn survive(ask: Json<Fail>) -> Result<Json<String>, Problem> {
    let before: i64 = plugins::call("misbehaving", "mark", &Name { name: "before".into() })?;
    let failed = transaction(|| {
        commerce_sdk::events::publish("said", "", &"taken back")?;
        Ok::<_, Problem>(plugins::call::<u32>("misbehaving", "fail", &ask.0)?)
    });
    let failed = failed.err().map(|problem| problem.code);
    commerce_sdk::events::publish("said", "", &"kept")?;
    Ok(Json(format!("{before}, then {failed:?}")))
}
