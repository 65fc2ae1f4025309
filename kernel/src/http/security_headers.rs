//! The headers that tell browsers to be careful, on every answer: the set that Helmet gives a Node server.

use http::header::{HeaderMap, HeaderName, HeaderValue};

macro_rules! headers {
    ($($name:literal: $value:literal,)*) => {
        static HEADERS: [(HeaderName, HeaderValue); [$($name),*].len()] =
            [$((HeaderName::from_static($name), HeaderValue::from_static($value))),*];
    };
}

headers! {
    "content-security-policy": "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "origin-agent-cluster": "?1",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-dns-prefetch-control": "off",
    "x-download-options": "noopen",
    "x-frame-options": "SAMEORIGIN",
    "x-permitted-cross-domain-policies": "none",
    "x-xss-protection": "0",
}

/// Adds what the answer does not already have: the kernel's own pages bring a tighter policy.
pub(super) fn add(headers: &mut HeaderMap) {
    for (name, value) in &HEADERS {
        headers.entry(name).or_insert_with(|| value.clone());
    }
}
