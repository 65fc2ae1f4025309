//! Sockets: accepting them, what one connection may cost, and letting go of them when the kernel stops.
//!
//! hyper speaks HTTP/1.1 and HTTP/2 (prior knowledge), warp hands each request to the pipeline. What neither bounds is
//! bounded here: how many connections there are ([`place`]), and how long one may do nothing useful ([`clock`]).

mod clock;
mod place;
mod stream;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tower::Service;
use warp::Filter;

use self::clock::{Busy, ConnectionClock, Patience, Verdict};
use self::place::Place;
use self::stream::WatchedStream;
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
    // Twice the limits: what is only a little too much, the pipeline refuses with a problem that says so. What is beyond
    // even this is refused here, in fewer words.
    let (headers, header_kib) = (2 * config.headers as usize, 2 * config.header_kib);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The connection's clock does this, for both protocols and without counting a quiet connection as a slow head.
        .header_read_timeout(None)
        .max_headers(headers)
        .max_buf_size(header_kib as usize * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(200)
        .max_header_list_size(header_kib * 1024);
    builder
}
