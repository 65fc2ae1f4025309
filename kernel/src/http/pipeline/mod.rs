//! The life of a request: [`Exchange::run`] is the list of checks, in order. Whatever happens, there is one answer, one
//! line in the access log and one observation in the metrics.

mod checks;
mod finish;
mod owner;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Buf;
use futures_util::Stream;
use http::header::HeaderName;
use http::request::Parts;
use http::{Method, StatusCode};

use self::checks::{authorize, check_body};
use super::answers::Answer;
use super::client::Client;
use super::cors::Cors;
use super::edge::Arrival;
use super::problem::{Code, Problem};
use super::request_id;
use super::response_cache::Found;
use super::routes::{Owner, Route};
use super::server::{Http, Table};
use super::upload::Upload;
use crate::stores::Store;

pub(super) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Answers one request. Never fails: every error is a problem by the time it gets here.
pub(super) async fn answer<B: Buf>(
    http: Arc<Http>,
    arrival: Arrival,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> warp::reply::Response {
    let longest = Duration::from_millis(http.config.request_timeout_ms);
    let body = pin!(body);
    let mut upload = Upload::new(&arrival.0.0, body);
    let mut exchange = Exchange::begin(http, arrival);
    let answered = match tokio::time::timeout(longest, exchange.run(&mut upload)).await {
        Ok(answered) => answered,
        Err(_elapsed) => Err(Code::Timeout.into()),
    };
    exchange.finish(answered, upload).await
}

/// One request on its way, and what is known of it so far.
pub(super) struct Exchange {
    http: Arc<Http>,
    /// The table of the moment it began: an upgrade while it runs does not concern it.
    table: Arc<Table>,
    arrival: Arrival,
    request_id: String,
    client: Client,
    began: Instant,
    store: Option<Arc<Store>>,
    route: Option<Arc<Route>>,
    /// Methods for the `Allow` of a 405.
    allowed: Option<Vec<Method>>,
    cached: bool,
    /// Set with the answer; what is dropped without one was given up by its client.
    logged: bool,
}

/// The route that a request is for, or that it asked for a route's methods only.
enum Chosen {
    Route(Arc<Route>, Vec<String>),
    Methods(Vec<Method>),
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
            store: None,
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

    fn query(&self) -> &str {
        self.head().uri.query().unwrap_or_default()
    }

    /// The checks, in order.
    async fn run<S, B>(&mut self, upload: &mut Upload<'_, S>) -> Result<Answer, Problem>
    where
        S: Stream<Item = Result<B, warp::Error>>,
        B: Buf,
    {
        self.check_head()?;
        self.limit_strangers()?;
        if Cors::is_preflight(&self.head().method, &self.head().headers) {
            self.limit_unread_credentials()?;
            return Ok(self.preflight());
        }
        let chosen = self.choose_route().await;
        if !matches!(chosen, Ok(Chosen::Route(..))) {
            self.limit_unread_credentials()?;
        }
        let (route, parameters) = match chosen? {
            Chosen::Route(route, parameters) => (route, parameters),
            Chosen::Methods(methods) => return Ok(Answer::empty(StatusCode::NO_CONTENT).with_allow(&methods)),
        };
        self.limit_sign_in(&route)?;
        let caller = self.authenticate(&route)?;
        authorize(&route, &caller)?;
        self.check_precondition(&route)?;
        let making = match self.kept_answer(&route).await {
            Some(Found::Kept(answer)) => return Ok(answer),
            Some(Found::Missing(making)) => Some(making),
            None => None,
        };
        self.check_query(&route)?;
        let body = self.read_body(&route, upload).await?;
        let body = check_body(&route, self.head(), body)?;
        match route.owner {
            Owner::Kernel(kind) => self.ask_kernel(kind, &route, &caller, &parameters, body.value).await,
            Owner::Plugin(place) => {
                self.ask_plugin(place, route, caller, parameters, body.bytes, making)
                    .await
            }
        }
    }
}
