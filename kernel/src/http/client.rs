//! Who is at the other end: the client's address and the host it asked for, seen through trusted proxies.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::header::{HOST, HeaderMap, HeaderName};
use http::request::Parts;
use ipnet::IpNet;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The networks whose `X-Forwarded-*` headers are believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub address: IpAddr,
    /// As it was sent, port included. None where the request names no host, or several.
    pub host: Option<String>,
}

impl TrustedProxies {
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    pub fn client(&self, peer: SocketAddr, head: &Parts) -> Client {
        let peer = peer.ip().to_canonical();
        // Anyone can send these headers; only a proxy of ours overwrites or appends to them truthfully.
        let believed = !self.0.is_empty() && self.trusts(peer);
        let forwarded_host = if believed {
            last(&head.headers, &FORWARDED_HOST)
        } else {
            None
        };
        Client {
            address: if believed {
                self.forwarded_address(peer, &head.headers)
            } else {
                peer
            },
            host: match forwarded_host {
                Some(host) => Some(host.to_owned()),
                None => requested_host(head),
            },
        }
    }

    /// From right to left, as each proxy appended who called it: the first address that is not one of our proxies. What
    /// stands further left was written by that client and may be anything.
    fn forwarded_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = peer;
        for header in headers.get_all(&FORWARDED_FOR).iter().rev() {
            let Ok(list) = header.to_str() else { return nearest };
            for entry in list.rsplit(',') {
                let Some(address) = parse_address(entry.trim()) else {
                    return nearest;
                };
                nearest = address.to_canonical();
                if !self.trusts(nearest) {
                    return nearest;
                }
            }
        }
        nearest
    }
}

/// What limits count as one client: whoever has one IPv6 address has the other 2^64 of its network too.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

/// Proxies write `1.2.3.4`, `1.2.3.4:5678`, `2001:db8::1` and `[2001:db8::1]:5678`.
fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// HTTP/2 and absolute request targets name the host in the target, HTTP/1.1 in the header. Several `Host` headers name
/// none: what stands before us may have looked at another one than we would.
fn requested_host(head: &Parts) -> Option<String> {
    if let Some(authority) = head.uri.authority() {
        return Some(authority.as_str().to_owned());
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next()?;
    if hosts.next().is_some() {
        return None;
    }
    host.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()])
    }

    fn peer(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 40000)
    }

    #[test]
    fn a_stranger_cannot_forge_an_address_or_a_host() {
        let head = head(&[
            ("host", "north.example"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-host", "other.example"),
        ]);
        let client = proxies().client(peer("203.0.113.9"), &head);
        assert_eq!(
            client,
            Client {
                address: "203.0.113.9".parse().unwrap(),
                host: Some("north.example".into()),
            }
        );
    }

    #[test]
    fn a_client_behind_a_proxy_cannot_prepend_an_address() {
        let head = head(&[("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.0.0.2")]);
        assert_eq!(
            proxies().client(peer("10.0.0.1"), &head).address,
            "203.0.113.9".parse::<IpAddr>().unwrap()
        );
    }

    #[test]
    fn nonsense_in_the_chain_ends_it() {
        let head = head(&[("x-forwarded-for", "1.1.1.1, nonsense, 10.0.0.2")]);
        assert_eq!(
            proxies().client(peer("10.0.0.1"), &head).address,
            "10.0.0.2".parse::<IpAddr>().unwrap()
        );
    }

    #[test]
    fn mapped_addresses_are_the_ones_they_map() {
        let client = proxies().client(
            peer("::ffff:10.0.0.1"),
            &head(&[
                ("x-forwarded-for", "[2001:db8::1]:4000"),
                ("x-forwarded-host", "North.Example:8443"),
            ]),
        );
        assert_eq!(client.address, "2001:db8::1".parse::<IpAddr>().unwrap());
        assert_eq!(client.host.as_deref(), Some("North.Example:8443"));
    }

    #[test]
    fn two_host_headers_name_no_host() {
        assert_eq!(
            proxies()
                .client(
                    peer("203.0.113.9"),
                    &head(&[("host", "a.example"), ("host", "b.example")])
                )
                .host,
            None
        );
    }
}
