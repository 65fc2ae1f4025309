//! The route table: every path of the kernel and of the installed plugins, with all that can be worked out before a
//! request comes. Built anew when the set of plugins changes, and swapped whole.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use commerce_contract::{Descriptor, Route as Declared};
use http::Method;
use http::header::{HeaderName, HeaderValue};

use super::cors;
use super::kernel_routes::{self, KernelRoute};
use super::problem::{Code, Problem};
use super::schema::{self, BodySchema, QuerySchema};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::RouteMetrics;

/// Paths that belong to the kernel, with everything below them. A plugin that wants one is refused at install; what got
/// past that does not get past this.
const RESERVED: [&str; 11] = [
    "/api/auth",
    "/api/store",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/problems",
    "/socket.io",
    "/ws",
    "/.well-known",
];

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Request headers that the kernel reads itself and hands to no plugin, whatever it declares.
const WITHHELD: [&str; 6] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "idempotency-key",
    "x-store",
];

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("route {operation} of {plugin}: {reason}")]
pub struct RouteError {
    pub plugin: String,
    pub operation: String,
    pub reason: String,
}

/// The plugins of one table, in its order.
pub struct PluginRoutes<'a> {
    pub name: &'a str,
    pub digest: &'a str,
    pub descriptor: &'a Descriptor,
}

pub struct RouteTable {
    router: matchit::Router<Arc<[Arc<Route>]>>,
    /// For preflights: one value for all routes, since the answer is cached by path anyway.
    pub allowed_headers: HeaderValue,
}

#[derive(Debug)]
pub struct Route {
    pub declared: Declared,
    pub method: Method,
    pub owner: Owner,
    pub headers: Vec<HeaderName>,
    pub query: Option<QuerySchema>,
    pub body: Option<BodySchema>,
    /// Where the kernel's limit does not fit.
    pub body_bytes: Option<usize>,
    /// What makes its kept answers different from those of other routes and of other versions of the plugin.
    pub cache_prefix: Box<[u8]>,
    /// Whether the last answer could be kept: only then do others wait for one under way.
    pub keeps: AtomicBool,
    /// For caches between here and the client: what else than the URL its answers depend on.
    pub vary: HeaderValue,
    pub metrics: RouteMetrics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Kernel(KernelRoute),
    /// The place in the list that the table was built from.
    Plugin(usize),
}

/// The routes of one path, and the values of its `{…}`.
pub struct Matched {
    pub routes: Arc<[Arc<Route>]>,
    pub parameters: Vec<String>,
}

impl Route {
    pub fn is_of_a_store(&self) -> bool {
        matches!(self.owner, Owner::Plugin(_)) || kernel_routes::is_of_a_store(&self.declared)
    }

    pub fn is_sign_in(&self) -> bool {
        matches!(self.owner, Owner::Kernel(_)) && kernel_routes::is_sign_in(&self.declared)
    }

    pub fn ignores_credentials(&self) -> bool {
        matches!(self.owner, Owner::Kernel(_)) && kernel_routes::ignores_credentials(&self.declared)
    }
}

impl RouteTable {
    pub fn build(plugins: &[PluginRoutes<'_>], metrics: &Metrics) -> Result<Self, RouteError> {
        let mut builder = Builder {
            by_shape: BTreeMap::new(),
            metrics,
        };
        let kernel = kernel_routes::descriptor();
        for (route, declared) in kernel_routes::all() {
            let plugin = PluginRoutes {
                name: "kernel",
                digest: "",
                descriptor: &kernel,
            };
            builder.add(Owner::Kernel(route), &plugin, &declared)?;
        }
        for (place, plugin) in plugins.iter().enumerate() {
            for declared in &plugin.descriptor.routes {
                builder.refuse_reserved(plugin, declared)?;
                builder.add(Owner::Plugin(place), plugin, declared)?;
            }
        }
        builder.finish(plugins)
    }

    /// The path as it was sent, percent-encoding included: what is encoded never separates segments.
    pub fn find(&self, path: &str) -> Result<Option<Matched>, Problem> {
        let Ok(found) = self.router.at(path) else {
            return Ok(None);
        };
        let parameters = found
            .params
            .iter()
            .map(|(_, value)| decode(value))
            .collect::<Result<_, _>>()?;
        Ok(Some(Matched {
            routes: found.value.clone(),
            parameters,
        }))
    }

    pub fn routes(&self, path: &str) -> &[Arc<Route>] {
        self.router.at(path).map_or(&[], |found| &**found.value)
    }
}

struct Builder<'a> {
    /// By the path with its parameters' names taken away: `/a/{id}` and `/a/{slug}` are one path.
    by_shape: BTreeMap<String, Vec<Arc<Route>>>,
    metrics: &'a Metrics,
}

impl Builder<'_> {
    fn refuse_reserved(&self, plugin: &PluginRoutes<'_>, declared: &Declared) -> Result<(), RouteError> {
        let below = |prefix: &str| {
            declared
                .path
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match RESERVED.into_iter().find(|prefix| below(prefix)) {
            Some(prefix) => Err(error(plugin, declared, format!("{prefix} belongs to the kernel"))),
            None if !declared.path.starts_with("/api/") => {
                Err(error(plugin, declared, "paths of plugins begin with /api/".to_owned()))
            }
            None => Ok(()),
        }
    }

    fn add(&mut self, owner: Owner, plugin: &PluginRoutes<'_>, declared: &Declared) -> Result<(), RouteError> {
        let refuse = |reason: String| error(plugin, declared, reason);
        let method = METHODS
            .into_iter()
            .find(|method| method.as_str() == declared.method)
            .ok_or_else(|| {
                refuse(format!(
                    "{:?} is none of GET, POST, PUT, PATCH, DELETE",
                    declared.method
                ))
            })?;
        let shape = shape(&declared.path).map_err(&refuse)?;
        let routes = self.by_shape.entry(shape).or_default();
        if let Some(other) = routes.iter().find(|other| other.method == method) {
            return Err(refuse(format!(
                "{} {} is already the route {}",
                method, declared.path, other.declared.operation
            )));
        }
        if declared.cacheable && (method != Method::GET || declared.access != commerce_contract::Access::Public) {
            return Err(refuse("only a public GET can be cacheable".to_owned()));
        }
        let named = &plugin.descriptor.schemas;
        check_references(declared, named).map_err(&refuse)?;
        let compile_query = |schema| QuerySchema::compile(schema, named);
        let compile_body = |schema| BodySchema::compile(schema, named);
        routes.push(Arc::new(Route {
            query: declared
                .query
                .as_ref()
                .map(compile_query)
                .transpose()
                .map_err(|reason| refuse(format!("query: {reason}")))?,
            body: declared
                .body
                .as_ref()
                .map(compile_body)
                .transpose()
                .map_err(|reason| refuse(format!("body: {reason}")))?,
            headers: header_names(&declared.headers).map_err(&refuse)?,
            body_bytes: declared.body_kib.map(|kib| kib as usize * 1024),
            cache_prefix: format!("{}\0{}", plugin.digest, declared.operation).into_bytes().into(),
            keeps: AtomicBool::new(true),
            vary: vary(declared).map_err(&refuse)?,
            metrics: self.metrics.route(method.as_str(), &declared.path),
            declared: declared.clone(),
            method,
            owner,
        }));
        Ok(())
    }

    fn finish(self, plugins: &[PluginRoutes<'_>]) -> Result<RouteTable, RouteError> {
        let mut router = matchit::Router::new();
        let mut declared_headers = HashSet::new();
        for (shape, routes) in self.by_shape {
            declared_headers.extend(routes.iter().flat_map(|route| &route.headers).cloned());
            let first = routes[0].clone();
            router.insert(shape, routes.into()).map_err(|conflict| {
                let plugin = match first.owner {
                    Owner::Kernel(_) => "kernel",
                    Owner::Plugin(place) => plugins[place].name,
                };
                RouteError {
                    plugin: plugin.to_owned(),
                    operation: first.declared.operation.clone(),
                    reason: conflict.to_string(),
                }
            })?;
        }
        let allowed_headers = cors::allowed_headers(declared_headers.iter().map(HeaderName::as_str));
        Ok(RouteTable {
            router,
            allowed_headers,
        })
    }
}

fn error(plugin: &PluginRoutes<'_>, declared: &Declared, reason: String) -> RouteError {
    RouteError {
        plugin: plugin.name.to_owned(),
        operation: declared.operation.clone(),
        reason,
    }
}

/// The template for the router: parameters numbered, so that names do not matter. Each is one whole segment.
fn shape(path: &str) -> Result<String, String> {
    if !path.starts_with('/') || (path.len() > 1 && path.ends_with('/')) {
        return Err("a path begins with / and does not end with one".to_owned());
    }
    let mut names = HashSet::new();
    let mut shape = String::with_capacity(path.len());
    for segment in path[1..].split('/') {
        shape.push('/');
        match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if is_name(name) && names.insert(name) => shape.push_str(&format!("{{{}}}", names.len())),
            Some(name) => {
                return Err(format!(
                    "{{{name}}} is no parameter: letters, digits and _, each name once"
                ));
            }
            None if is_plain(segment) => shape.push_str(segment),
            None => {
                return Err(format!(
                    "{segment:?} is no segment: letters, digits, - _ . or one whole {{name}}"
                ));
            }
        }
    }
    Ok(shape)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_plain(segment: &str) -> bool {
    let characters = segment
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    characters && !segment.is_empty() && segment != "." && segment != ".."
}

fn header_names(declared: &[String]) -> Result<Vec<HeaderName>, String> {
    declared
        .iter()
        .map(|name| match name.parse::<HeaderName>() {
            Ok(_) if WITHHELD.contains(&name.as_str()) => Err(format!("header {name} is the kernel's")),
            Ok(parsed) if parsed.as_str() == name => Ok(parsed),
            _ => Err(format!("{name:?} is no header name in lower case")),
        })
        .collect()
}

/// Who asks matters wherever the plugin is told; the store matters always. A cache that did not know would give one store's
/// answer to another's client.
fn vary(declared: &Declared) -> Result<HeaderValue, String> {
    let asker = (!declared.cacheable).then_some("Authorization");
    let names = ["Accept-Encoding", "X-Store", "X-Api-Key"]
        .into_iter()
        .chain(asker)
        .map(str::to_owned);
    let declared = declared.headers.iter().map(|name| cors::capitalised(name));
    HeaderValue::from_str(&names.chain(declared).collect::<Vec<_>>().join(", ")).map_err(|error| error.to_string())
}

fn check_references(declared: &Declared, named: &BTreeMap<String, serde_json::Value>) -> Result<(), String> {
    let names: HashSet<&str> = named.keys().map(String::as_str).collect();
    let mut dangling = Vec::new();
    let answers = declared.answers.iter().filter_map(|answer| answer.schema.as_ref());
    for schema in declared
        .query
        .iter()
        .chain(&declared.body)
        .chain(answers)
        .chain(named.values())
    {
        schema::dangling(schema, &names, &mut dangling);
    }
    match dangling.first() {
        Some(reference) => Err(format!("schema {reference} is not among the descriptor's schemas")),
        None => Ok(()),
    }
}

/// One segment's value. What is encoded may contain a slash, but no control character: neither log nor database wants one.
fn decode(segment: &str) -> Result<String, Problem> {
    let text = percent_encoding::percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| Problem::from(Code::InvalidPath))?;
    // A dot segment is somebody's attempt to be somewhere else; resolvers on the way have not agreed on what it means.
    if text.chars().any(char::is_control) || text == "." || text == ".." {
        return Err(Code::InvalidPath.into());
    }
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use commerce_contract::Access;
    use serde_json::json;

    use super::*;

    fn declared(method: &str, path: &str) -> Declared {
        Declared {
            operation: format!("{method} {path}"),
            method: method.to_owned(),
            path: path.to_owned(),
            summary: String::new(),
            access: Access::Public,
            cacheable: false,
            staged: false,
            headers: Vec::new(),
            query: None,
            body: None,
            body_kib: None,
            answers: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn build(routes: Vec<Declared>) -> Result<RouteTable, RouteError> {
        let descriptor = Descriptor {
            routes,
            ..Descriptor::default()
        };
        let plugin = PluginRoutes {
            name: "things",
            digest: "d",
            descriptor: &descriptor,
        };
        RouteTable::build(&[plugin], &Metrics::new().unwrap())
    }

    fn parameters(table: &RouteTable, path: &str) -> Option<Vec<String>> {
        table.find(path).unwrap().map(|matched| matched.parameters)
    }

    #[test]
    fn paths_that_differ_only_in_names_are_one_path() {
        let table = build(vec![
            declared("GET", "/api/things/{id}"),
            declared("PATCH", "/api/things/{slug}"),
        ])
        .unwrap();
        assert_eq!(table.routes("/api/things/7").len(), 2);
        let error = build(vec![
            declared("GET", "/api/things/{id}"),
            declared("GET", "/api/things/{slug}"),
        ])
        .err()
        .unwrap();
        assert!(error.reason.contains("already the route"), "{error}");
    }

    #[test]
    fn a_plugin_cannot_take_what_is_the_kernels() {
        for path in [
            "/api/auth/login",
            "/api/auth",
            "/api/store",
            "/healthz",
            "/metrics",
            "/docs/x",
            "/elsewhere",
            "/api/{any}/../auth",
        ] {
            assert!(build(vec![declared("GET", path)]).is_err(), "{path}");
        }
        // Only whole segments are reserved.
        assert!(build(vec![declared("GET", "/api/stores-near-me")]).is_ok());
        // A parameter catches no path of the kernel: what is written out comes first.
        let table = build(vec![declared("GET", "/api/{any}/{thing}")]).unwrap();
        assert_eq!(table.routes("/api/auth/me")[0].declared.path, "/api/auth/me");
    }

    #[test]
    fn encoding_tricks_do_not_reach_another_route() {
        let table = build(vec![
            declared("GET", "/api/things/{id}"),
            declared("GET", "/api/things/{id}/secrets"),
        ])
        .unwrap();
        assert_eq!(
            parameters(&table, "/api/things/a%2Fsecrets"),
            Some(vec!["a/secrets".to_owned()])
        );
        assert_eq!(parameters(&table, "/api/things/a%2520"), Some(vec!["a%20".to_owned()]));
        assert!(parameters(&table, "/api/things//secrets").is_none_or(|parameters| parameters != [""]));
        for nowhere in [
            "/api/things",
            "/api/things/",
            "/API/things/1",
            "/api/%74hings/1",
            "//api/things/1",
            "/api/things/1/../2",
        ] {
            assert_eq!(parameters(&table, nowhere), None, "{nowhere}");
        }
        for refused in [
            "/api/things/..",
            "/api/things/%2e%2e",
            "/api/things/%00",
            "/api/things/a%0d%0ab",
            "/api/things/%ff",
        ] {
            assert_eq!(
                table.find(refused).err().map(|problem| problem.status),
                Some(400),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_route_cannot_read_credentials() {
        let mut route = declared("GET", "/api/things");
        route.headers = vec!["authorization".to_owned()];
        assert!(build(vec![route]).err().unwrap().reason.contains("is the kernel's"));
    }

    #[test]
    fn a_dangling_schema_is_found_at_install() {
        let mut route = declared("POST", "/api/things");
        route.body = Some(json!({ "$ref": "#/components/schemas/Nothing" }));
        assert!(build(vec![route]).err().unwrap().reason.contains("Nothing"));
    }
}
