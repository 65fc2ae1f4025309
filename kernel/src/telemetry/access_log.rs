//! One line per request, under the target `access`. It is written without what would let its reader act as the client:
//! no header is in it, and of the query no value that is a secret by its name.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

pub struct AccessLine<'a> {
    pub request_id: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    /// The route's template; empty where none matched.
    pub route: &'a str,
    pub store: &'a str,
    pub address: IpAddr,
    /// 499: the client was gone before there was an answer.
    pub status: u16,
    pub code: &'a str,
    pub bytes: usize,
    pub took: Duration,
    pub cached: bool,
}

pub fn write(line: &AccessLine<'_>) {
    let query = redacted(line.query);
    tracing::info!(
        target: "access",
        request_id = line.request_id,
        method = line.method,
        path = line.path,
        // As a text, like the path: what would end the line or colour a terminal is escaped.
        query = &*query,
        route = line.route,
        store = line.store,
        address = %line.address,
        status = line.status,
        code = line.code,
        bytes = line.bytes,
        took_us = u64::try_from(line.took.as_micros()).unwrap_or(u64::MAX),
        cached = line.cached,
    );
}

/// Whether anyone reads access lines, so that nothing is prepared for nobody.
pub fn is_on() -> bool {
    tracing::enabled!(target: "access", tracing::Level::INFO)
}

const SECRET_WORDS: [&str; 9] = [
    "token",
    "secret",
    "password",
    "key",
    "code",
    "signature",
    "sig",
    "email",
    "auth",
];

fn redacted(query: &str) -> Cow<'_, str> {
    let secret = |name: &str| {
        // An encoded letter could hide the word from us but not from the handler.
        let name = name.to_ascii_lowercase();
        name.contains('%') || SECRET_WORDS.iter().any(|word| name.contains(word))
    };
    let name_of = |pair: &str| pair.split_once('=').map_or(pair, |(name, _)| name).to_owned();
    if !query.split('&').any(|pair| secret(&name_of(pair))) {
        return Cow::Borrowed(query);
    }
    let pairs = query.split('&').map(|pair| {
        let name = name_of(pair);
        if secret(&name) {
            format!("{name}=[redacted]")
        } else {
            pair.to_owned()
        }
    });
    Cow::Owned(pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_a_query_do_not_reach_the_log() {
        assert_eq!(redacted("limit=20&q=bike"), "limit=20&q=bike");
        assert_eq!(redacted("reset_token=abc&limit=1"), "reset_token=[redacted]&limit=1");
        assert_eq!(redacted("t%6fken=abc"), "t%6fken=[redacted]");
    }
}
