//! `/docs`: one page of ours that reads `/openapi.json`. Nothing is loaded from elsewhere.

use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};

use super::answers::Answer;

/// Tighter than that of the API, and without `upgrade-insecure-requests`, which would break the page on plain HTTP.
static POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

pub(super) fn page() -> Answer {
    let mut answer = text("text/html; charset=utf-8", include_str!("docs_page/page.html"));
    answer.headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    answer
}

pub(super) fn script() -> Answer {
    text("text/javascript; charset=utf-8", include_str!("docs_page/page.js"))
}

pub(super) fn style() -> Answer {
    text("text/css; charset=utf-8", include_str!("docs_page/page.css"))
}

fn text(kind: &'static str, text: &'static str) -> Answer {
    Answer::new(StatusCode::OK, HeaderValue::from_static(kind), text)
}
