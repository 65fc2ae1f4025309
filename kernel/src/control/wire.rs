//! Lines on the socket: one JSON value each, shorter than [`LINE_LIMIT`].

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Progress;
use crate::http::problem::Problem;

/// A package of a JavaScript plugin is some 20 MB, a third more in base64.
const LINE_LIMIT: u64 = 128 * 1024 * 1024;

/// What the kernel answers with: any number of `progress`, then one of the others.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Progress(Progress),
    Ok(Value),
    Problem(Problem),
}

pub(super) async fn send(writer: &mut (impl AsyncWrite + Unpin), line: &impl Serialize) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    writer.write_all(&text).await?;
    writer.flush().await
}

/// The next line, or none at the end of the stream.
pub(super) async fn receive(reader: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = reader.take(LINE_LIMIT).read_until(b'\n', &mut line).await?;
    match line.last() {
        _ if read == 0 => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        _ => Err(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "a line was cut off, or is too long",
        )),
    }
}
