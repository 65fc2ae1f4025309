//! The life of a request: [`Exchange::run`] is the list of checks, in order. Whatever happens, there is one answer, one
//! line in the access log and one observation in the metrics.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use commerce_contract::Access;
use futures_util::Stream;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, IF_MATCH, ORIGIN, VARY,
};
use http::request::Parts;
use http::{Method, StatusCode, Version};
use serde_json::{Map, Value};

use super::answers::Answer;
use super::client::Client;
use super::compression::{self, Effort, Encoding};
use super::cors::Cors;
use super::dispatch::{self, KernelCall, PluginCall, is_read};
use super::edge::Arrival;
use super::kernel_routes::KernelRoute;
use super::problem::{Code, Problem};
use super::response_cache::{self, CACHE_TAG, Found, Key, Making};
use super::routes::{Owner, Route};
use super::server::{Http, Table};
use super::upload::Upload;
use super::{conditional, request_id, schema, security_headers, store_choice};
use crate::caller::{Caller, CallerKind};
use crate::plugins::HandleRequest;
use crate::stores::Store;
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

/// A body that passed its checks.
struct Body {
    bytes: Bytes,
    /// Null where the route has no schema.
    value: Value,
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

    /// Within twice these limits, hyper leaves it to us to say so in our own words.
    fn check_head(&self) -> Result<(), Problem> {
        let head = self.head();
        let bytes: usize = head
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        let target = head.uri.path().len() + self.query().len();
        if head.headers.len() > self.http.config.headers as usize
            || bytes + target > self.http.config.header_kib as usize * 1024
        {
            return Err(Code::HeadersTooLarge.into());
        }
        // The host names the store: of two, what stands before us may have looked at the other one.
        let hosts = head.headers.get_all(HOST).iter().count();
        if hosts > 1 || (hosts == 0 && head.version == Version::HTTP_11) {
            return Err(Problem::new(Code::InvalidHeader, "Send one Host header."));
        }
        Ok(())
    }

    /// Who shows credentials is counted by what they prove, later.
    fn limit_strangers(&self) -> Result<(), Problem> {
        if self.shows_credentials() {
            Ok(())
        } else {
            self.http.limits.check_address(self.client.address)
        }
    }

    /// Where nobody will look at what is shown, showing something must not be a way around the limit.
    fn limit_unread_credentials(&self) -> Result<(), Problem> {
        if self.shows_credentials() {
            self.http.limits.check_address(self.client.address)
        } else {
            Ok(())
        }
    }

    fn shows_credentials(&self) -> bool {
        let headers = &self.head().headers;
        headers.contains_key(AUTHORIZATION) || headers.contains_key(&X_API_KEY)
    }

    /// A browser asks before it knows of any store, so every route of the path counts.
    fn preflight(&self) -> Answer {
        let routes = self.table.routes.routes(self.head().uri.path());
        self.http
            .cors
            .preflight(&methods(routes), &self.table.routes.allowed_headers)
    }

    async fn choose_route(&mut self) -> Result<Chosen, Problem> {
        let arrival = self.arrival.clone();
        let head = &arrival.0.0;
        let matched = match self.table.routes.find(head.uri.path())? {
            Some(matched) => matched,
            None => {
                self.table = self.http.table_of_now().await;
                self.table.routes.find(head.uri.path())?.ok_or_else(nothing_here)?
            }
        };
        if matched.routes.iter().any(|route| route.is_of_a_store()) {
            self.store = Some(store_choice::choose(&self.http, &self.client, &head.headers)?);
        }
        let wanted = match head.method {
            Method::HEAD => &Method::GET,
            ref method => method,
        };
        let here = matched.routes.iter().filter(|route| self.is_enabled(route));
        if let Some(route) = here.clone().find(|route| route.method == wanted) {
            self.route = Some(Arc::clone(route));
            return Ok(Chosen::Route(Arc::clone(route), matched.parameters));
        }
        let methods: Vec<Method> = here.map(|route| route.method.clone()).collect();
        if methods.is_empty() {
            return Err(nothing_here());
        }
        if head.method == Method::OPTIONS {
            return Ok(Chosen::Methods(methods));
        }
        self.allowed = Some(methods);
        Err(Code::MethodNotAllowed.into())
    }

    /// As it is now, not when the table was built: what was switched off is gone at once.
    fn is_enabled(&self, route: &Route) -> bool {
        match (route.owner, &self.store) {
            (Owner::Kernel(_), _) => true,
            (Owner::Plugin(_), None) => false,
            (Owner::Plugin(place), Some(store)) => self
                .http
                .plugins
                .installed()
                .enabled(store.number, &self.table.plugins[place].name),
        }
    }

    fn limit_sign_in(&self, route: &Route) -> Result<(), Problem> {
        if route.is_sign_in() {
            self.http.limits.check_sign_in(self.client.address)
        } else {
            Ok(())
        }
    }

    fn authenticate(&self, route: &Route) -> Result<Caller, Problem> {
        let proven = match &self.store {
            Some(store) if !route.ignores_credentials() => self.http.auth.authenticate(store, &self.head().headers),
            _ => Ok(None),
        };
        match proven {
            Ok(Some(caller)) => {
                self.http.limits.check_caller(&caller.identity)?;
                Ok(caller)
            }
            Ok(None) => {
                // A publishable key is no secret, so it gives nobody more requests.
                if self.shows_credentials() {
                    self.http.limits.check_address(self.client.address)?;
                }
                Ok(Caller::anonymous(&self.client.address.to_string()))
            }
            Err(refused) => {
                self.http.limits.check_address(self.client.address)?;
                Err(refused)
            }
        }
    }

    /// A condition that nobody would look at must not be ignored: the client relies on it.
    fn check_precondition(&self, route: &Route) -> Result<(), Problem> {
        let conditional = self.head().headers.contains_key(IF_MATCH) && !is_read(&self.head().method);
        if conditional && !route.headers.contains(&IF_MATCH) {
            return Err(Problem::new(
                Code::PreconditionFailed,
                "This route does not support If-Match: send the request without it.",
            ));
        }
        Ok(())
    }

    async fn kept_answer(&mut self, route: &Route) -> Option<Found> {
        let store = self.store.as_ref()?;
        if !route.declared.cacheable || !self.http.cache.is_on() {
            return None;
        }
        let head = self.head();
        let headers: Vec<(&str, &[u8])> = route
            .headers
            .iter()
            .flat_map(|name| {
                head.headers
                    .get_all(name)
                    .iter()
                    .map(|value| (name.as_str(), value.as_bytes()))
            })
            .collect();
        let query = response_cache::sorted_query(self.query());
        let key = Key::new(
            store.number,
            self.table.generation(),
            &route.cache_prefix,
            head.uri.path(),
            &query,
            &headers,
        );
        let encoding = self.encoding();
        let found = self.http.cache.find(key, &route.keeps, encoding).await;
        self.cached = matches!(found, Found::Kept(_));
        let counter = if self.cached {
            &self.http.metrics.response_cache_hits
        } else {
            &self.http.metrics.response_cache_misses
        };
        counter.inc();
        Some(found)
    }

    fn encoding(&self) -> Option<Encoding> {
        compression::accepted(&self.head().headers).filter(|_| self.http.config.compression)
    }

    fn check_query(&self, route: &Route) -> Result<(), Problem> {
        schema::refuse_nul_in_query(self.query())?;
        route.query.as_ref().map_or(Ok(()), |schema| schema.check(self.query()))
    }

    async fn read_body<S, B>(&self, route: &Route, upload: &mut Upload<'_, S>) -> Result<Bytes, Problem>
    where
        S: Stream<Item = Result<B, warp::Error>>,
        B: Buf,
    {
        if route.method == Method::GET {
            return Ok(Bytes::new());
        }
        let most = route.body_bytes.unwrap_or(self.http.config.body_kib as usize * 1024);
        let longest = Duration::from_millis(self.http.config.body_timeout_ms);
        match tokio::time::timeout(longest, upload.read(self.head(), most)).await {
            Ok(body) => body,
            Err(_elapsed) => Err(Code::RequestTimeout.into()),
        }
    }

    async fn ask_kernel(
        &self,
        kind: KernelRoute,
        route: &Route,
        caller: &Caller,
        parameters: &[String],
        body: Value,
    ) -> Result<Answer, Problem> {
        let call = KernelCall {
            http: &self.http,
            route,
            client: &self.client,
            headers: &self.head().headers,
            store: self.store.as_ref(),
            caller,
            parameters,
            body,
        };
        dispatch::kernel(kind, call).await
    }

    async fn ask_plugin(
        &self,
        place: usize,
        route: Arc<Route>,
        caller: Caller,
        parameters: Vec<String>,
        body: Bytes,
        making: Option<Making>,
    ) -> Result<Answer, Problem> {
        let store = self.store.clone().ok_or(Code::UnknownStore)?;
        let plugin = self.table.plugins[place].clone();
        let head = self.head();
        let request = HandleRequest {
            operation: route.declared.operation.clone(),
            path: parameters,
            // What is kept under the sorted query has to be the answer to it.
            query: if making.is_some() {
                response_cache::sorted_query(self.query())
            } else {
                self.query().to_owned()
            },
            headers: dispatch::declared_headers(&route, &head.headers),
            body: body.into(),
            anonymous: route.declared.cacheable,
        };
        let call = PluginCall {
            http: self.http.clone(),
            route: route.clone(),
            plugin: plugin.clone(),
            store: store.clone(),
            caller,
            request_id: self.request_id.clone(),
            path: head.uri.path().to_owned(),
            headers: self.arrival.0.clone(),
        };
        if !is_read(&head.method) {
            return call.change(request).await;
        }
        let mut answer = call.read(request).await?;
        if let Some(making) = making {
            conditional::add_etag(&mut answer);
            route
                .keeps
                .store(making.keep(&plugin.name, store.number, &answer), Ordering::Relaxed);
        }
        Ok(answer)
    }

    async fn finish<S, B>(
        mut self,
        answered: Result<Answer, Problem>,
        mut upload: Upload<'_, S>,
    ) -> warp::reply::Response
    where
        S: Stream<Item = Result<B, warp::Error>>,
        B: Buf,
    {
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
        upload.finish(self.head(), &mut answer.headers).await;
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
        if compression::worthwhile(answer, COMPRESS_FROM_BYTES)
            && let Some(encoding) = self.encoding()
            && let Some(body) = compression::compress(answer.body.clone(), encoding, Effort::Once).await
        {
            compression::use_compressed(answer, encoding, body);
        }
        // Without a word from the plugin, a browser may keep the answer but has to ask whether it still holds.
        answer
            .headers
            .entry(CACHE_CONTROL)
            .or_insert_with(|| REVALIDATE.clone());
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
            store: self.store.as_ref().map_or("", |store| &store.slug),
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

fn methods(routes: &[Arc<Route>]) -> Vec<Method> {
    routes.iter().map(|route| route.method.clone()).collect()
}

fn authorize(route: &Route, caller: &Caller) -> Result<(), Problem> {
    match &route.declared.access {
        Access::Public => Ok(()),
        _ if caller.kind == CallerKind::Anonymous => Err(Code::Unauthenticated.into()),
        Access::Customer => Ok(()),
        Access::Staff(permission) if caller.may(permission) => Ok(()),
        Access::Staff(permission) => Err(Problem::from(Code::Forbidden).with_extra("permission", permission.clone())),
    }
}

/// Where the route has a schema, the body is JSON that satisfies it. No body at all counts as an empty object, so that a
/// client need not send one where nothing has to be said.
fn check_body(route: &Route, head: &Parts, bytes: Bytes) -> Result<Body, Problem> {
    let Some(schema) = &route.body else {
        return Ok(Body {
            bytes,
            value: Value::Null,
        });
    };
    if bytes.is_empty() {
        let value = Value::Object(Map::new());
        schema.check(&value)?;
        return Ok(Body {
            bytes: Bytes::from_static(b"{}"),
            value,
        });
    }
    if !is_json(head.headers.get(CONTENT_TYPE)) {
        return Err(Code::UnsupportedMediaType.into());
    }
    let value = schema::parse_json(&bytes)?;
    schema::refuse_nul(&value)?;
    schema.check(&value)?;
    Ok(Body { bytes, value })
}

fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let kind = content_type.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}
