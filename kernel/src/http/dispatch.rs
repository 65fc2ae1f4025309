//! From a checked request to whoever answers it.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use super::answers::Answer;
use super::docs;
use super::kernel_routes::KernelRoute;
use super::problem::{Code, Problem};
use super::server::Http;

pub(super) async fn kernel(http: &Arc<Http>, route: KernelRoute, parameters: &[String], _body: &Bytes) -> Result<Answer, Problem> {
    match route {
        KernelRoute::Health => Ok(Answer::json(StatusCode::OK, &json!({ "status": "ok" }))),
        KernelRoute::Ready if http.is_stopping() => Err(Code::Stopping.into()),
        KernelRoute::Ready => Ok(Answer::json(StatusCode::OK, &json!({ "status": "ok" }))),
        KernelRoute::Docs => Ok(docs::page()),
        KernelRoute::DocsScript => Ok(docs::script()),
        KernelRoute::DocsStyle => Ok(docs::style()),
        KernelRoute::ProblemType => problem_type(parameters.first().map_or("", String::as_str)),
        _ => Err(Code::NotFound.into()),
    }
}

fn problem_type(code: &str) -> Result<Answer, Problem> {
    let known = Code::ALL.iter().find(|known| known.as_str() == code).ok_or(Code::NotFound)?;
    let body = json!({ "code": known.as_str(), "status": known.status(), "title": known.title(), "remedy": known.remedy() });
    Ok(Answer::json(StatusCode::OK, &body))
}
