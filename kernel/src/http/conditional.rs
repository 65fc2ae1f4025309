//! `ETag` and `If-None-Match`: an answer that the client has already is not sent again.
//!
//! A tag computed here is weak and stands for the JSON, however it is compressed. A plugin that gives its resources
//! versions sets its own, and declares `if-match` with the routes that honour it.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use http::{Method, StatusCode};

use super::answers::Answer;

pub(super) fn add_etag(answer: &mut Answer) {
    if answer.status == StatusCode::OK && !answer.headers.contains_key(ETAG) {
        answer.headers.insert(ETAG, tag_of(&answer.body));
    }
}

fn tag_of(body: &[u8]) -> HeaderValue {
    // Only equality of one resource's answers depends on it, so speed matters here and secrecy does not.
    let digest = xxhash_rust::xxh3::xxh3_128(body).to_be_bytes();
    let mut text = *b"W/\"00000000000000000000000000000000\"";
    for (place, byte) in text[3..35].chunks_exact_mut(2).zip(digest) {
        place[0] = HEX[usize::from(byte >> 4)];
        place[1] = HEX[usize::from(byte & 15)];
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""))
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Makes a 304 of an answer that the client has.
pub(super) fn answer_304(method: &Method, request: &HeaderMap, answer: &mut Answer) {
    if (method != Method::GET && method != Method::HEAD) || answer.status != StatusCode::OK {
        return;
    }
    if !request.contains_key(IF_NONE_MATCH) {
        return;
    }
    let Some(tag) = answer.headers.get(ETAG).and_then(|tag| tag.to_str().ok()) else {
        return;
    };
    let known = request
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|list| list.to_str().ok())
        .any(|list| names(list, tag));
    if known {
        answer.status = StatusCode::NOT_MODIFIED;
        answer.body = bytes::Bytes::new();
        answer.headers.remove(CONTENT_TYPE);
        answer.headers.remove(CONTENT_LENGTH);
        answer.headers.remove(CONTENT_ENCODING);
    }
}

/// The weak comparison of RFC 9110, section 8.8.3.2.
fn names(list: &str, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    list.trim() == "*" || list.split(',').any(|listed| opaque(listed) == opaque(tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::answers::JSON;

    fn conditional(tag: &'static str) -> Answer {
        let mut answer = Answer::new(StatusCode::OK, JSON.clone(), "{}");
        add_etag(&mut answer);
        let mut request = HeaderMap::new();
        request.insert(IF_NONE_MATCH, HeaderValue::from_static(tag));
        answer_304(&Method::GET, &request, &mut answer);
        answer
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let tag = tag_of(b"{}").to_str().unwrap().to_owned();
        let list: &'static str = Box::leak(format!("\"other\", {tag}").into_boxed_str());
        assert_eq!(conditional(list).status, StatusCode::NOT_MODIFIED);
        assert_eq!(conditional("*").body.len(), 0);
        assert_eq!(conditional("\"other\"").status, StatusCode::OK);
    }
}
