//! An answer as its row keeps it.

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http::answers::Answer;
use crate::storage::sql::{Row, SqlError};

static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
static TRUE: HeaderValue = HeaderValue::from_static("true");

/// Headers of an answer that are part of it; the pipeline adds the others each time.
const KEPT_HEADERS: [&str; 8] = [
    "content-type",
    "location",
    "etag",
    "last-modified",
    "link",
    "content-language",
    "content-disposition",
    "retry-after",
];

pub(super) fn headers_text(headers: &HeaderMap) -> String {
    let kept = KEPT_HEADERS
        .iter()
        .filter_map(|name| Some((*name, headers.get(*name)?.to_str().ok()?)));
    serde_json::to_string(&kept.collect::<Vec<_>>()).unwrap_or_else(|_| "[]".to_owned())
}

fn read_headers(text: &str, headers: &mut HeaderMap) {
    let kept: Vec<(String, String)> = serde_json::from_str(text).unwrap_or_default();
    for (name, value) in kept {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
}

/// From the columns `status`, `headers` and `body`, which begin there.
pub(super) fn answer_of(row: &Row, column: usize) -> Result<Answer, SqlError> {
    let status = u16::try_from(row.get::<i64>(column)?).unwrap_or(200);
    let mut answer = Answer::empty(StatusCode::from_u16(status).unwrap_or(StatusCode::OK));
    read_headers(&row.get::<String>(column + 1)?, &mut answer.headers);
    answer.headers.insert(&REPLAYED, TRUE.clone());
    answer.body = Bytes::from(row.get::<Vec<u8>>(column + 2)?);
    Ok(answer)
}
