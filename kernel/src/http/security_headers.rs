//! The headers that tell browsers to be careful, on every answer: the set that Helmet gives a Node server.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

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

static RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
static CROSS_ORIGIN: HeaderValue = HeaderValue::from_static("cross-origin");

/// Adds what the answer does not already have: the kernel's own pages bring a tighter policy. A picture is there to be shown
/// by pages of other origins, which read everything else by CORS.
pub(super) fn add(headers: &mut HeaderMap) {
    if headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"image/"))
    {
        headers.insert(&RESOURCE_POLICY, CROSS_ORIGIN.clone());
    }
    for (name, value) in &HEADERS {
        headers.entry(name).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_can_be_shown_by_a_page_of_another_origin_and_nothing_else_can() {
        for (kind, policy) in [("image/svg+xml", "cross-origin"), ("application/json", "same-origin")] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            add(&mut headers);
            assert_eq!(headers[&RESOURCE_POLICY], policy, "{kind}");
            assert_eq!(headers["x-content-type-options"], "nosniff");
        }
    }
}
