//! What every answer gets, whoever made it, and what is noted of it.

use bytes::{Buf, Bytes};
use futures_util::Stream;
use http::Method;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, HeaderValue, ORIGIN, VARY};

use super::{Exchange, X_REQUEST_ID};
use crate::http::answers::Answer;
use crate::http::compression::{self, Effort};
use crate::http::problem::Problem;
use crate::http::response_cache::CACHE_TAG;
use crate::http::upload::Upload;
use crate::http::{conditional, security_headers};
use crate::telemetry::access_log::{self, AccessLine};

static REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Compressible answers smaller than this are sent as they are: they fit into one packet either way.
const COMPRESS_FROM_BYTES: usize = 1024;

impl Exchange {
    pub(super) async fn finish<S, B>(
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

    async fn prepare(&self, answer: &mut Answer) {
        let head = self.head();
        answer.headers.remove(&CACHE_TAG);
        // Before a 304 loses its content type: what it says replaces what the browser has kept.
        security_headers::add(&mut answer.headers);
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
