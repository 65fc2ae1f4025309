//! Who answers a request that passed the checks: the response cache, the kernel, or a plugin.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use serde_json::Value;

use super::Exchange;
use crate::caller::Caller;
use crate::http::answers::Answer;
use crate::http::compression::{self, Encoding};
use crate::http::conditional;
use crate::http::dispatch::{self, KernelCall, PluginCall, is_read};
use crate::http::kernel_routes::KernelRoute;
use crate::http::problem::{Code, Problem};
use crate::http::response_cache::{self, Found, Key, Making};
use crate::http::routes::Route;
use crate::plugins::HandleRequest;

impl Exchange {
    pub(super) async fn kept_answer(&mut self, route: &Route) -> Option<Found> {
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

    pub(super) fn encoding(&self) -> Option<Encoding> {
        compression::accepted(&self.head().headers).filter(|_| self.http.config.compression)
    }

    pub(super) async fn ask_kernel(
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

    pub(super) async fn ask_plugin(
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
}
