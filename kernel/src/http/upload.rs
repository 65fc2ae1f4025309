//! The body of a request: read up to a limit, and what becomes of one that nobody reads.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::Version;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;

use super::problem::{Code, Problem};

/// An unread rest up to here is thrown away, so that the connection can be used again.
const SMALL_REST: usize = 64 * 1024;
/// It was sent right behind the head: what takes longer is not on its way.
const REST_PATIENCE: Duration = Duration::from_millis(500);

static CLOSE: HeaderValue = HeaderValue::from_static("close");

pub(super) struct Upload<'b, S> {
    stream: Pin<&'b mut S>,
    ended: bool,
}

impl<'b, S, B> Upload<'b, S>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    pub fn new(head: &Parts, stream: Pin<&'b mut S>) -> Self {
        let announced = head.headers.contains_key(TRANSFER_ENCODING) || declared_length(head) != Some(0);
        Self {
            stream,
            // HTTP/2 needs no announcement, and an unread body there is no hindrance to the next request.
            ended: !announced || head.version == Version::HTTP_2,
        }
    }

    async fn next(&mut self) -> Option<Result<B, warp::Error>> {
        let chunk = self.stream.next().await;
        self.ended |= !matches!(chunk, Some(Ok(_)));
        chunk
    }

    /// All of it, if it has at most that many bytes.
    pub async fn read(&mut self, head: &Parts, most: usize) -> Result<Bytes, Problem> {
        let too_large = || Problem::from(Code::BodyTooLarge).with_extra("limit_bytes", most);
        if declared_length(head).is_some_and(|length| length > most as u64) {
            return Err(too_large());
        }
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next().await {
            // The client is gone or does not speak HTTP; either way nothing more comes.
            let mut chunk =
                chunk.map_err(|_| Problem::new(Code::BadRequest, "The body ended early or is not well-formed."))?;
            if first.len() + all.len() + chunk.remaining() > most {
                return Err(too_large());
            }
            if first.is_empty() && all.is_empty() {
                // Most bodies are one chunk, which needs no copy.
                first = chunk.copy_to_bytes(chunk.remaining());
                continue;
            }
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            while chunk.has_remaining() {
                let piece = chunk.chunk();
                all.extend_from_slice(piece);
                let length = piece.len();
                chunk.advance(length);
            }
        }
        Ok(if all.is_empty() { first } else { all.freeze() })
    }

    /// To be called before an answer leaves. On HTTP/1 an unread body stands between this request and the next one: a
    /// small one is thrown away, and with any other the client is told that the connection ends. Without a word it would
    /// send its next request into a closed connection.
    pub async fn finish(&mut self, head: &Parts, answer: &mut HeaderMap) {
        if self.ended {
            return;
        }
        let small = declared_length(head).is_none_or(|length| length <= SMALL_REST as u64);
        // Who waits for leave to send the body would get it by our reading.
        let sent = !head.headers.contains_key(EXPECT);
        let thrown_away = small && sent && tokio::time::timeout(REST_PATIENCE, self.throw_away()).await == Ok(true);
        if !thrown_away {
            answer.insert(CONNECTION, CLOSE.clone());
        }
    }

    /// Whether that was all.
    async fn throw_away(&mut self) -> bool {
        let mut bytes = 0;
        while let Some(chunk) = self.next().await {
            let Ok(chunk) = chunk else { return false };
            bytes += chunk.remaining();
            if bytes > SMALL_REST {
                return false;
            }
        }
        true
    }
}

/// None where the length is not known beforehand; 0 where there is no body.
fn declared_length(head: &Parts) -> Option<u64> {
    match head.headers.get(CONTENT_LENGTH) {
        Some(length) => length.to_str().ok()?.parse().ok(),
        None if head.headers.contains_key(TRANSFER_ENCODING) => None,
        None => Some(0),
    }
}
