//! Sockets: accepting them, what one connection may cost, and letting go of them when the kernel stops.
//!
//! hyper speaks HTTP/1.1 and HTTP/2 (prior knowledge), warp hands each request to the pipeline. What neither bounds is
//! bounded here: how many connections there are, in all and from one address, and how long one may do nothing useful
//! ([`ConnectionClock`]: a client that sends its head byte by byte, never sends one, or never reads its answer).

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::Version;
use http::request::Parts;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tower::Service;
use warp::Filter;

use super::pipeline;
use super::server::Http;
use crate::config::HttpConfig;

/// A request's head and who sent it, on its way through warp.
#[derive(Clone)]
pub(super) struct Arrival(pub Arc<(Parts, SocketAddr)>);

/// Serves until `stop` ends; then `/readyz` answers 503, after the configured delay no connection is accepted any more, and
/// what is in flight gets the configured time. Returns when the last request is answered or that time is over.
pub async fn serve(http: Arc<Http>, listener: TcpListener, stop: impl Future<Output = ()> + Send) {
    let edge = Arc::new(Edge::new(http));
    let mut stop = pin!(stop);
    let (told, stopping) = watch::channel(false);
    // Every connection and every change that outlives its connection holds a clone; the last one gone is the end.
    let (held, mut all_gone) = mpsc::channel::<Infallible>(1);
    edge.http.hold(held.clone());

    tokio::select! {
        () = edge.accept(&listener, &stopping, &held) => {}
        () = &mut stop => {}
    }
    edge.http.stop_taking_requests();
    tracing::info!("stopping: /readyz answers 503");
    let delay = Duration::from_millis(edge.http.config.shutdown_delay_ms);
    let _ = tokio::time::timeout(delay, edge.accept(&listener, &stopping, &held)).await;
    drop(listener);

    let _ = told.send(true);
    edge.http.release();
    drop(held);
    let patience = Duration::from_millis(edge.http.config.shutdown_timeout_ms);
    match tokio::time::timeout(patience, all_gone.recv()).await {
        Ok(_) => tracing::info!("all requests are answered"),
        Err(_) => tracing::warn!(
            after_ms = edge.http.config.shutdown_timeout_ms,
            "requests in flight were given up"
        ),
    }
}

struct Edge {
    http: Arc<Http>,
    protocol: auto::Builder<TokioExecutor>,
    connections: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

impl Edge {
    fn new(http: Arc<Http>) -> Self {
        Self {
            protocol: protocol(&http.config),
            connections: Arc::new(Semaphore::new(http.config.connections as usize)),
            by_address: Arc::default(),
            http,
        }
    }

    async fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        stopping: &watch::Receiver<bool>,
        held: &mpsc::Sender<Infallible>,
    ) {
        loop {
            // Taken before accepting: who comes too early waits in the system's queue instead of being turned away.
            let Ok(permit) = self.connections.clone().acquire_owned().await else {
                return;
            };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely; trying again at once would only burn the processor.
                    tracing::warn!(%error, "a connection can't be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Some(place) = Place::take(self, peer.ip().to_canonical(), permit) else {
                continue;
            };
            tokio::spawn(
                self.clone()
                    .connection(stream, peer, place, stopping.clone(), held.clone()),
            );
        }
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        _place: Place,
        mut stopping: watch::Receiver<bool>,
        _held: mpsc::Sender<Infallible>,
    ) {
        // An answer is one write; waiting for more to send with it would only delay it.
        let _ = stream.set_nodelay(true);
        let clock = Arc::new(ConnectionClock::new());
        let service = hyper::service::service_fn({
            let filter = warp::service(filter(self.http.clone()));
            let clock = clock.clone();
            move |request: http::Request<Incoming>| {
                let busy = Busy::new(&clock, request.version());
                let (head, body) = request.into_parts();
                let mut request = http::Request::new(body);
                request.extensions_mut().insert(Arrival(Arc::new((head, peer))));
                let answer = filter.clone().call(request);
                async move {
                    let answer = answer.await;
                    drop(busy);
                    answer
                }
            }
        });
        let io = TokioIo::new(WatchedStream {
            stream,
            clock: clock.clone(),
        });
        let mut connection = pin!(self.protocol.serve_connection_with_upgrades(io, service));
        let patience = Patience::new(&self.http.config);
        let mut tick = tokio::time::interval(patience.tick());
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut closing = false;
        loop {
            tokio::select! {
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                    return;
                }
                _ = tick.tick() => match clock.verdict(&patience) {
                    Verdict::Fine => {}
                    // What is dropped here is closed.
                    Verdict::TooSlow => return,
                    Verdict::Idle if closing => return,
                    Verdict::Idle => {
                        closing = true;
                        connection.as_mut().graceful_shutdown();
                    }
                },
                _ = stopping.changed(), if !closing => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// The one filter: whatever comes goes to the pipeline, which always answers.
fn filter(http: Arc<Http>) -> impl Filter<Extract = (warp::reply::Response,), Error = warp::Rejection> + Clone {
    warp::ext::get::<Arrival>()
        .and(warp::body::stream())
        .and_then(move |arrival: Arrival, body| {
            let http = http.clone();
            async move { Ok::<_, warp::Rejection>(pipeline::answer(http, arrival, body).await) }
        })
}

fn protocol(config: &HttpConfig) -> auto::Builder<TokioExecutor> {
    let header_bytes = config.header_kib as usize * 1024;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The connection's clock does this, for both protocols and without counting a quiet connection as a slow head.
        .header_read_timeout(None)
        .max_headers(config.headers as usize)
        .max_buf_size(header_bytes.max(16 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(200)
        .max_header_list_size(config.header_kib * 1024);
    builder
}

/// A connection's share of the limits, given back when it ends.
struct Place {
    edge: Arc<Edge>,
    address: Option<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn take(edge: &Arc<Edge>, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Self> {
        let counted = (!edge.http.proxies.trusts(address)).then_some(address);
        if let Some(address) = counted {
            let mut by_address = edge.by_address.lock();
            let open = by_address.entry(address).or_insert(0);
            if *open >= edge.http.config.connections_per_address {
                tracing::debug!(%address, "too many connections from one address");
                return None;
            }
            *open += 1;
        }
        edge.http.metrics.connections.inc();
        Some(Self {
            edge: edge.clone(),
            address: counted,
            _permit: permit,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.edge.http.metrics.connections.dec();
        let Some(address) = self.address else { return };
        let mut by_address = self.edge.by_address.lock();
        if let Some(open) = by_address.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                by_address.remove(&address);
            }
        }
    }
}

struct Patience {
    head: Duration,
    idle: Duration,
}

impl Patience {
    fn new(config: &HttpConfig) -> Self {
        Self {
            head: Duration::from_millis(config.header_timeout_ms),
            idle: Duration::from_millis(config.idle_timeout_ms),
        }
    }

    fn tick(&self) -> Duration {
        (self.head.min(self.idle) / 4).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }
}

/// What happened on a connection and when, in milliseconds since it was opened.
struct ConnectionClock {
    opened: Instant,
    requests: AtomicU32,
    /// The last time something moved: a request ended, bytes were written.
    moved: AtomicU64,
    /// When the first byte of a head that is not complete yet came; 0: none did.
    head_began: AtomicU64,
    /// Frames come at any time there, heads whole or not at all; only idleness is watched.
    multiplexed: std::sync::atomic::AtomicBool,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    TooSlow,
    Idle,
}

impl ConnectionClock {
    fn new() -> Self {
        Self {
            opened: Instant::now(),
            requests: AtomicU32::new(0),
            moved: AtomicU64::new(0),
            head_began: AtomicU64::new(0),
            multiplexed: std::sync::atomic::AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1)
    }

    fn bytes_came(&self) {
        if self.requests.load(Ordering::Relaxed) == 0 && self.head_began.load(Ordering::Relaxed) == 0 {
            self.head_began.store(self.now(), Ordering::Relaxed);
        }
    }

    fn bytes_went(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    fn verdict(&self, patience: &Patience) -> Verdict {
        if self.requests.load(Ordering::Relaxed) > 0 {
            return Verdict::Fine;
        }
        let since = |then: u64| Duration::from_millis(self.now().saturating_sub(then));
        let head_began = self.head_began.load(Ordering::Relaxed);
        if head_began > 0 && !self.multiplexed.load(Ordering::Relaxed) && since(head_began) > patience.head {
            return Verdict::TooSlow;
        }
        if since(self.moved.load(Ordering::Relaxed)) > patience.idle {
            Verdict::Idle
        } else {
            Verdict::Fine
        }
    }
}

/// A request being answered on a connection.
struct Busy(Arc<ConnectionClock>);

impl Busy {
    fn new(clock: &Arc<ConnectionClock>, version: Version) -> Self {
        clock.requests.fetch_add(1, Ordering::Relaxed);
        clock.head_began.store(0, Ordering::Relaxed);
        if version == Version::HTTP_2 {
            clock.multiplexed.store(true, Ordering::Relaxed);
        }
        Self(clock.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.bytes_went();
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The socket, telling the connection's clock what moves.
struct WatchedStream {
    stream: TcpStream,
    clock: Arc<ConnectionClock>,
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.clock.bytes_came();
        }
        polled
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if polled.is_ready() {
            self.clock.bytes_went();
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if polled.is_ready() {
            self.clock.bytes_went();
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(head_ms: u64, idle_ms: u64) -> Patience {
        Patience {
            head: Duration::from_millis(head_ms),
            idle: Duration::from_millis(idle_ms),
        }
    }

    #[test]
    fn a_head_that_does_not_end_is_told_from_a_quiet_connection() {
        let clock = Arc::new(ConnectionClock::new());
        assert_eq!(clock.verdict(&patience(5, 1000)), Verdict::Fine);
        clock.bytes_came();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(clock.verdict(&patience(5, 1000)), Verdict::TooSlow);
        let busy = Busy::new(&clock, Version::HTTP_11);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(clock.verdict(&patience(5, 5)), Verdict::Fine);
        drop(busy);
        assert_eq!(clock.verdict(&patience(5, 1000)), Verdict::Fine);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(clock.verdict(&patience(5, 5)), Verdict::Idle);
    }
}
