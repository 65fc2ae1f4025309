//! The kernel's end of the socket.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::BufReader;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::wire::{self, Answer};
use super::{Operate, Request, SOCKET};
use crate::http::problem::{Code, Problem};

/// Listens until it is stopped.
pub struct Server {
    path: PathBuf,
    listening: JoinHandle<()>,
}

impl Server {
    /// The caller owns the data folder (see [`DataDirLock`](super::DataDirLock)): a socket left there by a kernel that was
    /// killed is replaced.
    pub fn start(data_dir: &Path, operator: Arc<dyn Operate>) -> io::Result<Self> {
        let path = data_dir.join(SOCKET);
        // Under another name until its mode is set: between `bind` and `chmod` others could connect.
        let unfinished = data_dir.join(format!("{SOCKET}.new"));
        match std::fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&unfinished)?;
        std::fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
        // The kernel's own user: it has just made the file.
        let owner = std::fs::metadata(&unfinished)?.uid();
        std::fs::rename(&unfinished, &path)?;
        Ok(Self {
            path,
            listening: tokio::spawn(listen(listener, owner, operator)),
        })
    }

    /// Takes no further connections. What has begun is carried out; the callers' connections are closed.
    pub fn stop(self) {
        self.listening.abort();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "could not remove the control socket");
        }
    }
}

async fn listen(listener: UnixListener, owner: u32, operator: Arc<dyn Operate>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if may_operate(&stream, owner) => {
                    connections.spawn(serve(stream, Arc::clone(&operator)));
                }
                Ok(_) => tracing::warn!("another user's connection to the control socket was refused"),
                Err(error) => {
                    tracing::warn!(%error, "the control socket could not accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The kernel's own user, and root, who could become that user anyway. The socket's mode says the same; this holds
/// where a file system ignores modes.
fn may_operate(stream: &UnixStream, owner: u32) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == owner || peer.uid() == 0)
}

async fn serve(stream: UnixStream, operator: Arc<dyn Operate>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let served = match wire::receive(&mut reader).await {
            Ok(Some(line)) => answer(&line, &mut writer, &operator).await,
            Ok(None) => return,
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a control connection ended");
            return;
        }
    }
}

async fn answer(
    line: &[u8],
    writer: &mut (impl tokio::io::AsyncWrite + Unpin),
    operator: &Arc<dyn Operate>,
) -> io::Result<()> {
    let request: Request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => {
            let problem = Problem::new(
                Code::BadRequest,
                format!("This kernel does not know that request: {error}."),
            );
            return wire::send(writer, &Answer::Problem(problem)).await;
        }
    };
    let (progress, mut steps) = mpsc::unbounded_channel();
    // A task of its own: what has begun is carried out, also if the command line is interrupted meanwhile.
    let carried_out = tokio::spawn({
        let operator = Arc::clone(operator);
        async move { operator.carry_out(request, &mut |step| drop(progress.send(step))).await }
    });
    while let Some(step) = steps.recv().await {
        wire::send(writer, &Answer::Progress(step)).await?;
    }
    let outcome = match carried_out.await {
        Ok(Ok(value)) => Answer::Ok(value),
        Ok(Err(problem)) => Answer::Problem(problem),
        Err(error) => {
            tracing::error!(%error, "an operator's request panicked");
            Answer::Problem(Problem::internal())
        }
    };
    wire::send(writer, &outcome).await
}
