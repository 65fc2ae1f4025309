//! `http`: outgoing HTTPS to the hosts that were granted, and to nothing else.
//!
//! The attacks, in the order in which they are stopped: another host or scheme than granted; a host in disguise (credentials,
//! another port, an address literal); a granted name whose DNS points into the operator's network or at the machine itself,
//! at once or only at the second look (so the address that was checked is the one connected to); a redirect to any of
//! these; headers that make a proxy or the peer see another request; an answer without end; a transaction held open while
//! the other side thinks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::super::bindings::imports::http::{Error, Host, Request, Response};
use super::super::bindings::imports::types::{Header, Refusal};
use super::super::config::PluginsConfig;
use super::super::grants::not_granted;
use super::super::instance::{CallContext, CallState};

const MAX_HEADERS: usize = 64;
const MAX_BODY_BYTES: usize = 4 << 20;
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Headers that belong to the connection, not to the request: with them a plugin could smuggle a second request.
const CONNECTION_HEADERS: [&str; 10] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
];

/// The client all outgoing requests share, and which addresses it may connect to.
#[derive(Clone)]
pub struct Egress {
    client: reqwest::Client,
    policy: Arc<Policy>,
    timeout_cap: Duration,
    max_answer_bytes: usize,
}

struct Policy {
    plain_hosts: Vec<String>,
    private_networks: Vec<IpNet>,
}

impl Egress {
    pub fn new(config: &PluginsConfig) -> anyhow::Result<Self> {
        let policy = Arc::new(Policy {
            plain_hosts: config.http_plain_hosts.clone(),
            private_networks: config.http_private_networks.clone(),
        });
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .dns_resolver(Arc::new(CheckedResolver(policy.clone())))
            .connect_timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self {
            client,
            policy,
            timeout_cap: Duration::from_millis(config.http_timeout_cap_ms),
            max_answer_bytes: (config.http_answer_kib as usize) << 10,
        })
    }
}

impl Policy {
    fn is_plain(&self, host_and_port: &str) -> bool {
        self.plain_hosts.iter().any(|plain| plain == host_and_port)
    }

    fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.private_networks.iter().any(|network| network.contains(&address))
    }
}

/// Resolves names and drops every address that must not be connected to: the connection uses what was checked here.
struct CheckedResolver(Arc<Policy>);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let plain = policy
                .plain_hosts
                .iter()
                .any(|plain| plain.split(':').next() == Some(host.as_str()));
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|found| plain || policy.allows(found.ip())).collect();
            if allowed.is_empty() {
                return Err(format!("`{host}` has no public address").into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the public internet. What is not known to is refused.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let shared = first == 100 && (64..128).contains(&second);
    let protocol = first == 192 && second == 0 && third == 0;
    let benchmarks = first == 198 && (second == 18 || second == 19);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || shared
        || protocol
        || benchmarks
        || first == 0
        || first >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Only 2000::/3 is given out. Inside it, 6to4 and Teredo carry an IPv4 address that would escape the check.
    let given_out = segments[0] & 0xe000 == 0x2000;
    let tunnels = segments[0] == 0x2002 || (segments[0] == 0x2001 && segments[1] < 0x0200);
    let documentation = segments[0] == 0x2001 && segments[1] == 0x0db8;
    given_out && !tunnels && !documentation
}

impl Host for CallState {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, Error>> {
        self.clock.leave_lane();
        let remaining = self.clock.remaining();
        let call = self.context()?;
        let egress = call.tree.plugins().egress();
        let prepared = match egress.prepare(call, request, remaining) {
            Ok(prepared) => prepared,
            Err(refusal) => return Ok(Err(Error::Refused(refusal))),
        };
        Ok(egress.send(prepared).await)
    }
}

impl Egress {
    fn prepare(
        &self,
        call: &CallContext,
        request: Request,
        remaining: Duration,
    ) -> Result<reqwest::RequestBuilder, Refusal> {
        let invalid = |reason: &str| Refusal::Invalid(reason.to_owned());
        let url = Url::parse(&request.url).map_err(|error| Refusal::Invalid(format!("the URL: {error}")))?;
        let host = self.granted_host(call, &url)?;
        if let Some(address) = literal_address(&url)
            && !self.policy.is_plain(&host)
            && !self.policy.allows(address)
        {
            return Err(invalid("the URL names an address inside a private network"));
        }
        // The other side may take its time; nobody waits for our locks meanwhile.
        if call.tree.in_transaction() {
            return Err(Refusal::InTransaction);
        }
        if !METHODS.contains(&request.method.as_str()) {
            return Err(invalid("the method must be GET, HEAD, POST, PUT, PATCH or DELETE"));
        }
        if request.body.len() > MAX_BODY_BYTES {
            return Err(invalid("the body is larger than 4 MiB"));
        }
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|_| invalid("the method"))?;
        let wanted = Duration::from_millis(u64::from(request.timeout_ms).max(1));
        let timeout = wanted.min(self.timeout_cap).min(remaining);
        let headers = read_headers(request.headers)?;
        Ok(self
            .client
            .request(method, url)
            .headers(headers)
            .timeout(timeout)
            .body(request.body))
    }

    /// `host` or `host:port` as the manifest writes it, if it was granted.
    fn granted_host(&self, call: &CallContext, url: &Url) -> Result<String, Refusal> {
        let invalid = |reason: &str| Refusal::Invalid(reason.to_owned());
        let host = url.host_str().ok_or_else(|| invalid("the URL names no host"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("credentials go into a header, not into the URL"));
        }
        let entry = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let granted = |entry: &String| call.plugin.grants.http.contains(entry);
        if !granted(&entry) {
            let asked = call.plugin.manifest.capabilities.http.contains(&entry);
            return Err(not_granted(asked, &format!("http = [\"{entry}\"]")));
        }
        match url.scheme() {
            "https" => Ok(entry),
            "http" if self.policy.is_plain(&entry) => Ok(entry),
            _ => Err(invalid("the URL must begin with https://")),
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Error> {
        let answer = request.send().await.map_err(wit_error)?;
        let status = answer.status().as_u16();
        let headers = write_headers(answer.headers());
        let mut body = Vec::new();
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(wit_error)?;
            if body.len() + chunk.len() > self.max_answer_bytes {
                return Err(Error::Failed(format!(
                    "the answer is larger than {} bytes",
                    self.max_answer_bytes
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, headers, body })
    }
}

fn literal_address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        url::Host::Ipv4(address) => Some(IpAddr::V4(address)),
        url::Host::Ipv6(address) => Some(IpAddr::V6(address)),
        url::Host::Domain(_) => None,
    }
}

fn read_headers(headers: Vec<Header>) -> Result<HeaderMap, Refusal> {
    if headers.len() > MAX_HEADERS {
        return Err(Refusal::Invalid(format!("more than {MAX_HEADERS} headers")));
    }
    let mut read = HeaderMap::with_capacity(headers.len());
    for Header { name, value } in headers {
        let invalid = || Refusal::Invalid(format!("the header `{}`", name.escape_debug()));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        if CONNECTION_HEADERS.contains(&parsed.as_str()) {
            return Err(Refusal::Invalid(format!(
                "the header `{parsed}` is the kernel's to set"
            )));
        }
        read.append(parsed, HeaderValue::from_str(&value).map_err(|_| invalid())?);
    }
    Ok(read)
}

fn write_headers(headers: &HeaderMap) -> Vec<Header> {
    let written = headers.iter().filter_map(|(name, value)| {
        Some(Header {
            name: name.as_str().to_owned(),
            value: value.to_str().ok()?.to_owned(),
        })
    });
    written.take(MAX_HEADERS).collect()
}

/// No URL in it: query strings carry keys, and this text may end up in a log.
fn wit_error(error: reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::Timeout;
    }
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    Error::Failed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_into_a_private_network() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "2001:db8::1",
            "ff02::1",
        ] {
            let address: IpAddr = private.parse().unwrap();
            assert!(!is_public(address.to_canonical()), "{private}");
        }
        for public in ["1.1.1.1", "203.0.114.1", "2606:4700::1111"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_plugin_cannot_smuggle_a_second_request() {
        for name in ["Transfer-Encoding", "content-length", "Host", "Connection"] {
            let header = Header {
                name: name.to_owned(),
                value: "x".to_owned(),
            };
            assert!(read_headers(vec![header]).is_err(), "{name}");
        }
        let split = Header {
            name: "x-a".to_owned(),
            value: "1\r\nx-b: 2".to_owned(),
        };
        assert!(read_headers(vec![split]).is_err());
    }
}
