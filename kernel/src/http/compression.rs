//! `Content-Encoding`: Brotli or gzip, where the client takes it and it is worth the time.

use std::io::Write;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::answers::Answer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Brotli,
    Gzip,
}

/// How long a compressed answer will be used, and so how much work it deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    Once,
    Kept,
}

static BROTLI: HeaderValue = HeaderValue::from_static("br");
static GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// Above this, compressing would hold up the other requests of this thread noticeably.
const MOST_INLINE: usize = 128 * 1024;

/// The best of our encodings that the client takes.
pub(super) fn accepted(headers: &HeaderMap) -> Option<Encoding> {
    let list = headers.get(ACCEPT_ENCODING)?.to_str().ok()?;
    let mut gzip = false;
    for item in list.split(',') {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let refused = parameters
            .trim()
            .strip_prefix("q=")
            .is_some_and(|q| q.trim().parse::<f32>().unwrap_or(0.0) <= 0.0);
        match name.trim() {
            _ if refused => {}
            "br" => return Some(Encoding::Brotli),
            "gzip" | "x-gzip" => gzip = true,
            _ => {}
        }
    }
    gzip.then_some(Encoding::Gzip)
}

/// Whether the answer's text is of a kind and size that is compressed at all.
pub(super) fn worthwhile(answer: &Answer, from_bytes: usize) -> bool {
    let compressible = |kind: &[u8]| {
        kind.starts_with(b"application/json")
            || kind.starts_with(b"application/problem+json")
            || kind.starts_with(b"text/")
            || kind.starts_with(b"application/javascript")
            || kind.starts_with(b"image/svg")
    };
    answer.body.len() >= from_bytes
        && !answer.headers.contains_key(CONTENT_ENCODING)
        && answer
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| compressible(kind.as_bytes()))
}

pub(super) async fn compress(body: Bytes, encoding: Encoding, effort: Effort) -> Option<Bytes> {
    if body.len() <= MOST_INLINE {
        return compress_now(&body, encoding, effort);
    }
    tokio::task::spawn_blocking(move || compress_now(&body, encoding, effort))
        .await
        .ok()
        .flatten()
}

fn compress_now(body: &[u8], encoding: Encoding, effort: Effort) -> Option<Bytes> {
    let room = Vec::with_capacity(body.len() / 3);
    let compressed = match encoding {
        Encoding::Brotli => {
            let quality = if effort == Effort::Kept { 6 } else { 3 };
            let mut writer = brotli::CompressorWriter::new(room, 8 * 1024, quality, 20);
            writer.write_all(body).ok()?;
            writer.into_inner()
        }
        Encoding::Gzip => {
            let level = flate2::Compression::new(if effort == Effort::Kept { 6 } else { 1 });
            let mut writer = flate2::write::GzEncoder::new(room, level);
            writer.write_all(body).ok()?;
            writer.finish().ok()?
        }
    };
    (compressed.len() < body.len()).then(|| Bytes::from(compressed))
}

pub(super) fn use_compressed(answer: &mut Answer, encoding: Encoding, body: Bytes) {
    let name = match encoding {
        Encoding::Brotli => &BROTLI,
        Encoding::Gzip => &GZIP,
    };
    answer.headers.insert(CONTENT_ENCODING, name.clone());
    answer.headers.remove(CONTENT_LENGTH);
    answer.body = body;
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn accept(value: &'static str) -> Option<Encoding> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
        accepted(&headers)
    }

    #[test]
    fn the_client_decides() {
        assert_eq!(accept("gzip, deflate, br"), Some(Encoding::Brotli));
        assert_eq!(accept("gzip;q=1.0, br;q=0"), Some(Encoding::Gzip));
        assert_eq!(accept("identity"), None);
    }

    #[test]
    fn both_encodings_give_back_what_went_in() {
        let text = "the same words again and again, ".repeat(200);
        for effort in [Effort::Once, Effort::Kept] {
            let gzip = compress_now(text.as_bytes(), Encoding::Gzip, effort).unwrap();
            let mut back = String::new();
            flate2::read::GzDecoder::new(&gzip[..])
                .read_to_string(&mut back)
                .unwrap();
            assert_eq!(back, text);
            let brotli = compress_now(text.as_bytes(), Encoding::Brotli, effort).unwrap();
            let mut back = String::new();
            brotli::Decompressor::new(&brotli[..], 4096)
                .read_to_string(&mut back)
                .unwrap();
            assert_eq!(back, text);
        }
    }
}
