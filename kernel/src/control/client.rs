//! The command line's end of the socket.

use std::io;
use std::path::Path;

use serde_json::Value;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::wire::{self, Answer};
use super::{Progress, Request, SOCKET};
use crate::http::problem::Problem;

/// Reaches the kernel that runs on this data folder; none where none runs.
pub async fn connect(data_dir: &Path) -> io::Result<Option<Client>> {
    match UnixStream::connect(data_dir.join(SOCKET)).await {
        Ok(stream) => {
            let (reader, writer) = stream.into_split();
            Ok(Some(Client {
                reader: BufReader::new(reader),
                writer,
            }))
        }
        // Never started here, or killed without time to tidy up.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A connection to a running kernel.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The kernel did not do it, and says why.
    #[error("{}", .0.detail)]
    Problem(Problem),
    /// The connection failed. Whether it was done is not known if the request had been sent.
    #[error("the running kernel could not be asked: {0}")]
    Io(#[from] io::Error),
}

impl Client {
    /// Has the kernel carry it out, and waits for the outcome.
    pub async fn carry_out(
        &mut self,
        request: Request,
        mut on_progress: impl FnMut(Progress),
    ) -> Result<Value, ControlError> {
        wire::send(&mut self.writer, &request).await?;
        loop {
            let line = wire::receive(&mut self.reader)
                .await?
                .ok_or(io::ErrorKind::UnexpectedEof)
                .map_err(io::Error::from)?;
            match serde_json::from_slice(&line).map_err(io::Error::from)? {
                Answer::Progress(progress) => on_progress(progress),
                Answer::Ok(value) => return Ok(value),
                Answer::Problem(problem) => return Err(ControlError::Problem(problem)),
            }
        }
    }
}
