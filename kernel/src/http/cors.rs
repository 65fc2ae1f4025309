//! Calls from browsers of other origins. There are no cookies here, so an allowed origin gains nothing but the right to
//! read answers to requests that carry their own proof.

use std::collections::BTreeSet;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue,
    ORIGIN, VARY,
};
use http::{Method, StatusCode};

use super::answers::{Answer, allow};

/// Request headers that the kernel itself reads; each route adds those that its descriptor declares.
const KERNEL_HEADERS: [&str; 8] = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "X-Api-Key",
    "X-Request-Id",
    "X-Store",
];

static ANY: HeaderValue = HeaderValue::from_static("*");
/// Two hours: what browsers keep at most anyway.
static MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
static VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
static EXPOSED: HeaderValue = HeaderValue::from_static(
    "ETag, Retry-After, X-Request-Id, Location, Link, Idempotency-Replayed, Content-Disposition",
);

#[derive(Debug)]
pub struct Cors {
    origins: Origins,
}

#[derive(Debug)]
enum Origins {
    Any,
    Listed(Vec<HeaderValue>),
}

impl Cors {
    pub fn new(allowed: &[String]) -> Self {
        let origins = if allowed.iter().any(|origin| origin == "*") {
            Origins::Any
        } else {
            let listed = allowed.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
            Origins::Listed(listed.collect())
        };
        Self { origins }
    }

    pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
        method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// The answer to a preflight; [`Cors::add`] completes it as it does every answer.
    pub fn preflight(&self, methods: &[Method], allowed_headers: &HeaderValue) -> Answer {
        let mut answer = Answer::empty(StatusCode::NO_CONTENT);
        if let Ok(methods) = HeaderValue::from_str(&allow(methods)) {
            answer.headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        answer
            .headers
            .insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers.clone());
        answer.headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE.clone());
        answer
    }

    pub fn add(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let allowed = match &self.origins {
            Origins::Any => origin.map(|_| ANY.clone()),
            Origins::Listed(listed) => {
                // A shared cache must not give one origin's answer to another.
                headers.append(VARY, VARY_ORIGIN.clone());
                origin.filter(|origin| listed.contains(origin)).cloned()
            }
        };
        if let Some(allowed) = allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED.clone());
        }
    }
}

/// The value of `Access-Control-Allow-Headers`, for the declared headers of all routes.
pub(super) fn allowed_headers<'a>(declared: impl Iterator<Item = &'a str>) -> HeaderValue {
    let mut names: BTreeSet<String> = KERNEL_HEADERS.iter().map(|name| (*name).to_owned()).collect();
    names.extend(declared.map(capitalised));
    let list = names.into_iter().collect::<Vec<_>>().join(", ");
    HeaderValue::from_str(&list).unwrap_or_else(|_| HeaderValue::from_static("Authorization, Content-Type"))
}

/// `x-store` as people write it: `X-Store`.
pub(super) fn capitalised(name: &str) -> String {
    let mut start = true;
    name.chars()
        .map(|character| {
            let letter = if start {
                character.to_ascii_uppercase()
            } else {
                character.to_ascii_lowercase()
            };
            start = character == '-';
            letter
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Cors {
        Cors::new(&["https://north.example".into()])
    }

    #[test]
    fn declared_headers_are_allowed_beside_the_kernels() {
        let value = allowed_headers(["x-note-token", "if-match"].into_iter());
        let value = value.to_str().unwrap();
        for name in [
            "X-Store",
            "X-Note-Token",
            "Idempotency-Key",
            "If-Match",
            "Authorization",
            "Content-Type",
        ] {
            assert_eq!(value.split(", ").filter(|listed| *listed == name).count(), 1, "{name}");
        }
    }

    #[test]
    fn a_foreign_origin_is_told_nothing_and_caches_are_warned() {
        let mut headers = HeaderMap::new();
        listed().add(Some(&HeaderValue::from_static("https://evil.example")), &mut headers);
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(headers[VARY], "Origin");
    }

    #[test]
    fn a_listed_origin_is_allowed_by_name() {
        let mut headers = HeaderMap::new();
        listed().add(Some(&HeaderValue::from_static("https://north.example")), &mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://north.example");
        assert!(
            headers[ACCESS_CONTROL_EXPOSE_HEADERS]
                .to_str()
                .unwrap()
                .contains("ETag")
        );
    }
}
