//! An answer before it goes out, whoever made it: a plugin, the kernel, the response cache or a problem.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Method, StatusCode};
use serde_json::Value;

use super::problem::Problem;

pub static JSON: HeaderValue = HeaderValue::from_static("application/json");
static PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
static NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
static BEARER: HeaderValue = HeaderValue::from_static("Bearer");
static BEARER_REFUSED: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn new(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::with_capacity(24);
        headers.insert(CONTENT_TYPE, content_type);
        Self {
            status,
            headers,
            body: body.into(),
        }
    }

    pub fn json(status: StatusCode, value: &Value) -> Self {
        Self::new(status, JSON.clone(), serde_json::to_vec(value).unwrap_or_default())
    }

    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::with_capacity(24),
            body: Bytes::new(),
        }
    }

    pub fn problem(problem: &Problem, request_id: &str) -> Self {
        let status = problem.status_code();
        let mut answer = Self::new(status, PROBLEM_JSON.clone(), problem.to_json(request_id));
        answer.headers.insert(CACHE_CONTROL, NO_STORE.clone());
        if let Some(seconds) = problem.retry_after_seconds {
            answer.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = if problem.code == "unauthenticated" {
                &BEARER
            } else {
                &BEARER_REFUSED
            };
            answer.headers.insert(WWW_AUTHENTICATE, challenge.clone());
        }
        answer
    }

    /// 405, or the answer to a plain `OPTIONS`.
    #[must_use]
    pub fn with_allow(mut self, methods: &[Method]) -> Self {
        if let Ok(value) = HeaderValue::from_str(&allow(methods)) {
            self.headers.insert(ALLOW, value);
        }
        self
    }
}

/// `GET, HEAD, POST, OPTIONS`: what is not written in a descriptor but answered nevertheless is listed too.
pub(super) fn allow(methods: &[Method]) -> String {
    let mut names: Vec<&str> = Vec::with_capacity(methods.len() + 2);
    for method in methods {
        names.push(method.as_str());
        if method == Method::GET && !methods.contains(&Method::HEAD) {
            names.push("HEAD");
        }
    }
    names.push("OPTIONS");
    names.join(", ")
}

/// What a plugin may say in headers. Everything else is the kernel's: a plugin sets no cookie, CORS or security header.
static ALLOWED: OnceLock<Vec<HeaderName>> = OnceLock::new();

fn allowed() -> &'static [HeaderName] {
    ALLOWED.get_or_init(|| {
        use http::header::*;
        let cache_tag = HeaderName::from_static("cache-tag");
        vec![
            CONTENT_TYPE,
            CACHE_CONTROL,
            cache_tag,
            ETAG,
            LAST_MODIFIED,
            LOCATION,
            CONTENT_DISPOSITION,
            CONTENT_LANGUAGE,
            LINK,
            RETRY_AFTER,
        ]
    })
}

/// Takes over the headers of a plugin's answer. Names outside of the list and values that would break out of their line
/// (a CR or LF splits the answer in two) are dropped; the names are returned for the plugin author's log.
pub(super) fn take_headers<'a>(into: &mut HeaderMap, headers: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut dropped = Vec::new();
    for (name, value) in headers {
        let known = allowed()
            .iter()
            .find(|allowed| allowed.as_str().eq_ignore_ascii_case(name));
        match (known, HeaderValue::from_str(value)) {
            (Some(name), Ok(value)) => {
                into.insert(name.clone(), value);
            }
            _ => dropped.push(
                name.chars()
                    .filter(|character| !character.is_control())
                    .take(64)
                    .collect(),
            ),
        }
    }
    dropped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::Code;

    #[test]
    fn a_plugin_cannot_split_the_answer_or_set_a_cookie() {
        let mut headers = HeaderMap::new();
        let answer = [
            ("Location", "/a\r\nSet-Cookie: session=stolen"),
            ("set-cookie", "session=stolen"),
            ("access-control-allow-origin", "https://evil.example"),
            ("ETag", "\"7\""),
        ];
        let dropped = take_headers(&mut headers, answer.into_iter());
        assert_eq!(dropped, ["Location", "set-cookie", "access-control-allow-origin"]);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["etag"], "\"7\"");
    }

    #[test]
    fn an_unauthenticated_client_is_told_how_to_sign_in() {
        let answer = Answer::problem(&Code::Unauthenticated.into(), "req_1");
        assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer");
        assert_eq!(answer.headers[CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn get_allows_head() {
        assert_eq!(allow(&[Method::GET, Method::POST]), "GET, HEAD, POST, OPTIONS");
    }
}
