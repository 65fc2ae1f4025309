//! The checks of a request, as [`Exchange::run`] lists them.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use commerce_contract::Access;
use futures_util::Stream;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, IF_MATCH};
use http::request::Parts;
use http::{Method, Version};
use serde_json::{Map, Value};

use super::{Chosen, Exchange, X_API_KEY};
use crate::caller::{Caller, CallerKind};
use crate::http::answers::Answer;
use crate::http::dispatch::is_read;
use crate::http::problem::{Code, Problem};
use crate::http::routes::{Owner, Route};
use crate::http::upload::Upload;
use crate::http::{schema, store_choice};

/// A body that passed its checks.
pub(super) struct Body {
    pub bytes: Bytes,
    /// Null where the route has no schema.
    pub value: Value,
}

impl Exchange {
    /// Within twice these limits, hyper leaves it to us to say so in our own words.
    pub(super) fn check_head(&self) -> Result<(), Problem> {
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
    pub(super) fn limit_strangers(&self) -> Result<(), Problem> {
        if self.shows_credentials() {
            Ok(())
        } else {
            self.http.limits.check_address(self.client.address)
        }
    }

    /// Where nobody will look at what is shown, showing something must not be a way around the limit.
    pub(super) fn limit_unread_credentials(&self) -> Result<(), Problem> {
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
    pub(super) fn preflight(&self) -> Answer {
        let routes = self.table.routes.routes(self.head().uri.path());
        self.http
            .cors
            .preflight(&methods(routes), &self.table.routes.allowed_headers)
    }

    pub(super) async fn choose_route(&mut self) -> Result<Chosen, Problem> {
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

    pub(super) fn limit_sign_in(&self, route: &Route) -> Result<(), Problem> {
        if route.is_sign_in() {
            self.http.limits.check_sign_in(self.client.address)
        } else {
            Ok(())
        }
    }

    pub(super) fn authenticate(&self, route: &Route) -> Result<Caller, Problem> {
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
    pub(super) fn check_precondition(&self, route: &Route) -> Result<(), Problem> {
        let conditional = self.head().headers.contains_key(IF_MATCH) && !is_read(&self.head().method);
        if conditional && !route.headers.contains(&IF_MATCH) {
            return Err(Problem::new(
                Code::PreconditionFailed,
                "This route does not support If-Match: send the request without it.",
            ));
        }
        Ok(())
    }

    pub(super) fn check_query(&self, route: &Route) -> Result<(), Problem> {
        schema::refuse_nul_in_query(self.query())?;
        route.query.as_ref().map_or(Ok(()), |schema| schema.check(self.query()))
    }

    pub(super) async fn read_body<S, B>(&self, route: &Route, upload: &mut Upload<'_, S>) -> Result<Bytes, Problem>
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
}

fn nothing_here() -> Problem {
    Code::NotFound.into()
}

fn methods(routes: &[Arc<Route>]) -> Vec<Method> {
    routes.iter().map(|route| route.method.clone()).collect()
}

pub(super) fn authorize(route: &Route, caller: &Caller) -> Result<(), Problem> {
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
pub(super) fn check_body(route: &Route, head: &Parts, bytes: Bytes) -> Result<Body, Problem> {
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
