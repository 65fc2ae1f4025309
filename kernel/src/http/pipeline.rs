//! The life of a request: [`Exchange::run`] is the list of checks, in order. Whatever happens, there is one answer, one
//! line in the access log and one observation in the metrics.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, HeaderName, HeaderValue, ORIGIN, VARY};
use http::request::Parts;
use http::{Method, StatusCode};

use super::answers::Answer;
use super::client::Client;
use super::compression::{self, Effort};
use super::cors::Cors;
use super::dispatch;
use super::edge::Arrival;
use super::problem::{Code, Problem};
use super::response_cache::CACHE_TAG;
use super::routes::{Matched, Owner, Route, RouteTable};
use super::server::Http;
use super::{conditional, request_id, security_headers};
use crate::telemetry::access_log::{self, AccessLine};

pub(super) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
static REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Compressible answers smaller than this are sent as they are: they fit into one packet either way.
const COMPRESS_FROM_BYTES: usize = 1024;

/// Answers one request. Never fails: every error is a problem by the time it gets here.
pub(super) async fn answer<B: Buf>(
    http: Arc<Http>,
    arrival: Arrival,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> warp::reply::Response {
    let longest = Duration::from_millis(http.config.request_timeout_ms);
    let mut exchange = Exchange::begin(http, arrival);
    let answered = match tokio::time::timeout(longest, exchange.run(body)).await {
        Ok(answered) => answered,
        Err(_elapsed) => Err(Code::Timeout.into()),
    };
    exchange.finish(answered).await
}

/// One request on its way, and what is known of it so far.
pub(super) struct Exchange {
    http: Arc<Http>,
    /// The table of the moment it began: an upgrade while it runs does not concern it.
    table: Arc<RouteTable>,
    arrival: Arrival,
    request_id: String,
    client: Client,
    began: Instant,
    route: Option<Arc<Route>>,
    /// Methods for the `Allow` of a 405.
    allowed: Option<Vec<Method>>,
    cached: bool,
    /// Set with the answer; what is dropped without one was given up by its client.
    logged: bool,
}

impl Exchange {
    fn begin(http: Arc<Http>, arrival: Arrival) -> Self {
        let (head, peer) = &*arrival.0;
        http.metrics.requests_in_flight.inc();
        Self {
            request_id: request_id::of(&head.headers),
            client: http.proxies.client(*peer, head),
            table: http.table(),
            began: Instant::now(),
            route: None,
            allowed: None,
            cached: false,
            logged: false,
            http,
            arrival,
        }
    }

    fn head(&self) -> &Parts {
        &self.arrival.0.0
    }

    async fn run<B: Buf>(&mut self, body: impl Stream<Item = Result<B, warp::Error>> + Send) -> Result<Answer, Problem> {
        self.check_head()?;
        self.limit_strangers()?;
        if Cors::is_preflight(&self.head().method, &self.head().headers) {
            return Ok(self.preflight());
        }
        let table = self.table.clone();
        let matched = table.find(self.head().uri.path())?.ok_or_else(nothing_here)?;
        let route = self.choose(&matched)?;
        let Some(route) = route else { return Ok(Answer::empty(StatusCode::NO_CONTENT).with_allow(&methods(&matched))) };
        self.route = Some(route.clone());
        self.limit_sign_in(&route)?;
        self.check_query(&route)?;
        let body = self.read_body(&route, body).await?;
        match route.owner {
            Owner::Kernel(kernel_route) => dispatch::kernel(&self.http, kernel_route, &matched.parameters, &body).await,
            Owner::Plugin(_) => Err(nothing_here()),
        }
    }

    /// HTTP/2 has no limit of its own for how many headers there are.
    fn check_head(&self) -> Result<(), Problem> {
        if self.head().headers.len() > self.http.config.headers as usize {
            return Err(Code::HeadersTooLarge.into());
        }
        Ok(())
    }

    /// Who shows credentials is counted by what they prove.
    fn limit_strangers(&self) -> Result<(), Problem> {
        let headers = &self.head().headers;
        if headers.contains_key(AUTHORIZATION) || headers.contains_key(&X_API_KEY) {
            return Ok(());
        }
        self.http.limits.check_address(self.client.address)
    }

    fn preflight(&self) -> Answer {
        let routes = self.table.routes(self.head().uri.path());
        let methods: Vec<Method> = routes.iter().map(|route| route.method.clone()).collect();
        self.http.cors.preflight(&methods, &self.table.allowed_headers)
    }

    /// The route for the method; none for a plain `OPTIONS`, which is answered with what there is.
    fn choose(&mut self, matched: &Matched<'_>) -> Result<Option<Arc<Route>>, Problem> {
        let method = &self.head().method;
        if method == Method::OPTIONS {
            return Ok(None);
        }
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        if let Some(route) = matched.routes.iter().find(|route| route.method == wanted) {
            return Ok(Some(route.clone()));
        }
        self.allowed = Some(methods(matched));
        Err(Code::MethodNotAllowed.into())
    }

    fn limit_sign_in(&self, route: &Route) -> Result<(), Problem> {
        match route.owner {
            Owner::Kernel(kernel_route) if kernel_route.is_sign_in() => self.http.limits.check_sign_in(self.client.address),
            _ => Ok(()),
        }
    }

    fn check_query(&self, route: &Route) -> Result<(), Problem> {
        let query = self.head().uri.query().unwrap_or_default();
        route.query.as_ref().map_or(Ok(()), |schema| schema.check(query))
    }

    async fn read_body<B: Buf>(
        &self,
        route: &Route,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Result<Bytes, Problem> {
        if route.method == Method::GET {
            return Ok(Bytes::new());
        }
        let most = route.body_bytes.unwrap_or(self.http.config.body_kib as usize * 1024);
        let longest = Duration::from_millis(self.http.config.body_timeout_ms);
        match tokio::time::timeout(longest, collect(self.head(), body, most)).await {
            Ok(body) => body,
            Err(_elapsed) => Err(Code::RequestTimeout.into()),
        }
    }

    async fn finish(mut self, answered: Result<Answer, Problem>) -> warp::reply::Response {
        let (mut answer, code) = match answered {
            Ok(answer) => (answer, String::new()),
            Err(problem) => (Answer::problem(&problem, &self.request_id), problem.code),
        };
        if let Some(methods) = &self.allowed {
            answer = answer.with_allow(methods);
        }
        self.prepare(&mut answer).await;
        let bytes = answer.body.len();
        let status = answer.status;
        if self.head().method == Method::HEAD {
            answer.headers.insert(CONTENT_LENGTH, bytes.into());
            answer.body = Bytes::new();
        }
        self.log(status.as_u16(), &code, answer.body.len());
        let mut response = http::Response::new(answer.body.into());
        *response.status_mut() = status;
        *response.headers_mut() = answer.headers;
        response
    }

    /// What every answer gets, whoever made it.
    async fn prepare(&self, answer: &mut Answer) {
        let head = self.head();
        answer.headers.remove(&CACHE_TAG);
        if head.method == Method::GET || head.method == Method::HEAD {
            conditional::add_etag(answer);
            conditional::answer_304(&head.method, &head.headers, answer);
        }
        if let Some(route) = &self.route {
            answer.headers.append(VARY, route.vary.clone());
        }
        if self.http.config.compression
            && compression::worthwhile(answer, COMPRESS_FROM_BYTES)
            && let Some(encoding) = compression::accepted(&head.headers)
            && let Some(body) = compression::compress(answer.body.clone(), encoding, Effort::Once).await
        {
            compression::use_compressed(answer, encoding, body);
        }
        // Without a word from the plugin, a browser may keep the answer but has to ask whether it still holds.
        answer.headers.entry(CACHE_CONTROL).or_insert_with(|| REVALIDATE.clone());
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            answer.headers.insert(&X_REQUEST_ID, id);
        }
        self.http.cors.add(head.headers.get(ORIGIN), &mut answer.headers);
        security_headers::add(&mut answer.headers);
    }

    fn log(&mut self, status: u16, code: &str, bytes: usize) {
        self.logged = true;
        let took = self.began.elapsed();
        let metrics = self.route.as_ref().map_or(&self.http.unmatched, |route| &route.metrics);
        metrics.observe(status, took);
        self.http.metrics.requests_in_flight.dec();
        if !access_log::is_on() {
            return;
        }
        let head = self.head();
        access_log::write(&AccessLine {
            request_id: &self.request_id,
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            route: self.route.as_ref().map_or("", |route| &route.declared.path),
            store: "",
            address: self.client.address,
            status,
            code,
            bytes,
            took,
            cached: self.cached,
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.logged {
            self.log(499, "", 0);
        }
    }
}

fn nothing_here() -> Problem {
    Code::NotFound.into()
}

fn methods(matched: &Matched<'_>) -> Vec<Method> {
    matched.routes.iter().map(|route| route.method.clone()).collect()
}

async fn collect<B: Buf>(
    head: &Parts,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
    most: usize,
) -> Result<Bytes, Problem> {
    let too_large = || Problem::from(Code::BodyTooLarge).with_extra("limit_bytes", most);
    let declared = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(chunk) = body.next().await {
        // The client is gone or does not speak HTTP; either way nothing more comes.
        let mut chunk = chunk.map_err(|_| Problem::new(Code::BadRequest, "The body ended early or is not well-formed."))?;
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
