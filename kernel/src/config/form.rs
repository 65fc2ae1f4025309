//! What a text must look like to be a network, an origin, a database. A start that finds out later can't say in which
//! line it is written.

use std::net::IpAddr;

use url::Url;

use crate::secrets::MasterKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Any,
    Host,
    HostAndPort,
    Network,
    Origin,
    Database,
    Key,
    LogFilter,
}

impl Form {
    pub fn fits(self, text: &str) -> bool {
        match self {
            Self::Any => !text.trim().is_empty(),
            Self::Host => is_host(text),
            Self::HostAndPort => text
                .rsplit_once(':')
                .is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0)),
            Self::Network => text.parse::<ipnet::IpNet>().is_ok(),
            Self::Origin => text == "*" || is_origin(text),
            Self::Database => is_database(text),
            Self::Key => MasterKey::parse(text).is_ok(),
            Self::LogFilter => text.split(',').all(is_directive),
        }
    }

    /// What the text has to be, as the end of `must be …`.
    pub fn expectation(self) -> &'static str {
        match self {
            Self::Any => "a text that is not empty",
            Self::Host => "an address such as 127.0.0.1, or a host name",
            Self::HostAndPort => "a host with its port, such as 127.0.0.1:9000",
            Self::Network => "a network such as 10.0.0.0/8",
            Self::Origin => "an origin such as https://shop.example.com without a path, or *",
            Self::Database => "sqlite:PATH or postgres://user:password@host:port/database",
            Self::Key => "32 bytes in hex or base64 (openssl rand -hex 32)",
            Self::LogFilter => {
                "error, warn, info, debug, trace or off, or by module such as info,commerce_kernel::events=debug"
            }
        }
    }
}

fn is_host(text: &str) -> bool {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let name = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    bare.parse::<IpAddr>().is_ok() || (!text.is_empty() && name(text))
}

fn is_origin(text: &str) -> bool {
    Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text)
}

fn is_database(text: &str) -> bool {
    match text.strip_prefix("sqlite:") {
        Some(path) => !path.is_empty(),
        None => Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "postgres" | "postgresql")),
    }
}

/// A bare word that is no level would be taken for a module, and silence all others.
fn is_directive(text: &str) -> bool {
    let level = text.rsplit('=').next().unwrap_or_default().trim();
    let known = ["error", "warn", "info", "debug", "trace", "off"];
    known.iter().any(|known| level.eq_ignore_ascii_case(known))
}
