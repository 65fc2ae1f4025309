//! The log on standard error. Lines are written by a thread of their own: a slow terminal or a full pipe must not hold up
//! requests, so what does not fit into its queue is dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogConfig, LogFormat};

const QUEUED_LINES: usize = 16_384;

/// Starts logging for the whole process. Keep what it answers until the end: dropping it writes out what is queued.
pub fn start(config: &LogConfig) -> anyhow::Result<LogGuard> {
    let filter = EnvFilter::try_new(&config.level)?;
    let (writer, guard) = Writer::start()?;
    let builder = fmt().with_env_filter(filter).with_writer(writer);
    let started = match config.format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
        LogFormat::Text => builder
            .with_ansi(std::io::IsTerminal::is_terminal(&io::stderr()))
            .try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log was started already: {error}"))?;
    Ok(guard)
}

pub struct LogGuard {
    lines: SyncSender<Option<Vec<u8>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        // The subscriber lives as long as the process and keeps its sender, so the end has to be said.
        if self.lines.send(None).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

#[derive(Clone)]
struct Writer {
    lines: SyncSender<Option<Vec<u8>>>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    fn start() -> io::Result<(Self, LogGuard)> {
        let (lines, queue) = sync_channel(QUEUED_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = dropped.clone();
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(&queue, &counter))?;
        Ok((
            Self {
                lines: lines.clone(),
                dropped,
            },
            LogGuard {
                lines,
                thread: Some(thread),
            },
        ))
    }
}

fn write_lines(queue: &Receiver<Option<Vec<u8>>>, dropped: &AtomicU64) {
    let mut out = io::BufWriter::with_capacity(64 * 1024, io::stderr());
    while let Ok(Some(line)) = queue.recv() {
        // Nothing can be done about a closed standard error, and a server does not stop for its log.
        let _ = out.write_all(&line);
        while let Ok(next) = queue.try_recv() {
            let Some(line) = next else {
                let _ = out.flush();
                return;
            };
            let _ = out.write_all(&line);
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "{lost} log lines were dropped: standard error is too slow");
        }
        let _ = out.flush();
    }
    let _ = out.flush();
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            writer: self,
            text: Vec::with_capacity(512),
        }
    }
}

struct Line<'a> {
    writer: &'a Writer,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self
            .writer
            .lines
            .try_send(Some(std::mem::take(&mut self.text)))
            .is_err()
        {
            self.writer.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
