//! Outgoing HTTPS to the hosts that `plugin.toml` names and the operator granted. Refused while a SQL transaction is
//! open: the handler must be `staged`.
//!
//! ```ignore
//! let answer = http::post("https://api.example.com/invoices").header("authorization", &token).json(&invoice)?.send()?;
//! if answer.status == 201 { let made: Invoice = answer.json()?; … }
//! ```

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::commerce::kernel::http as host;
use crate::bindings::commerce::kernel::types::Header;
use crate::problem::{Problem, Refusal};

const DEFAULT_TIMEOUT_MS: u32 = 10_000;

#[derive(Clone, Debug)]
pub struct Request(host::Request);

pub fn get(url: impl Into<String>) -> Request {
    Request::new("GET", url)
}

pub fn post(url: impl Into<String>) -> Request {
    Request::new("POST", url)
}

impl Request {
    /// `method` in upper case.
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        let method = method.to_owned();
        Self(host::Request {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: DEFAULT_TIMEOUT_MS,
        })
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.headers.push(Header {
            name: name.to_owned(),
            value: value.into(),
        });
        self
    }

    pub fn json(self, body: &impl Serialize) -> Result<Self, Problem> {
        Ok(self.body("application/json", serde_json::to_vec(body).map_err(Problem::internal)?))
    }

    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self.header("content-type", content_type)
    }

    /// Ten seconds unless set; never beyond the call's own deadline.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        self
    }

    /// Any status is an answer; an error means that there is none.
    pub fn send(self) -> Result<Answer, HttpError> {
        let answer = host::send(&self.0).map_err(|error| match error {
            host::Error::Refused(refusal) => HttpError::Refused(refusal),
            host::Error::Timeout => HttpError::Timeout,
            host::Error::Failed(why) => HttpError::Failed(why),
        })?;
        let headers = answer.headers.into_iter();
        Ok(Answer {
            status: answer.status,
            headers: headers
                .map(|header| (header.name.to_ascii_lowercase(), header.value))
                .collect(),
            body: answer.body,
        })
    }
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| HttpError::Failed(format!("the answer can't be read: {error}")))
    }
}

#[derive(Clone, Debug)]
pub enum HttpError {
    Refused(Refusal),
    /// Whether the other side acted is not known.
    Timeout,
    /// No connection, a broken one, or an answer that is too large or can't be read. Whether the other side acted is
    /// not known.
    Failed(String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the request was refused: {refusal:?}"),
            Self::Timeout => f.write_str("the request timed out"),
            Self::Failed(why) => write!(f, "the request failed: {why}"),
        }
    }
}

impl std::error::Error for HttpError {}

impl From<HttpError> for Problem {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Refused(refusal) => refusal.into(),
            HttpError::Timeout => Self::new(
                504,
                "provider_timeout",
                "A provider did not answer in time. Try again later.",
            ),
            HttpError::Failed(why) => {
                crate::log::warn!("{why}");
                Self::new(
                    502,
                    "provider_failed",
                    "A provider could not be reached. Try again later.",
                )
            }
        }
    }
}
