//! What a plugin says about itself, checked before anything relies on it.
//!
//! The descriptor is data of a stranger: each list is bounded, each name must be the plugin's own, each schema must compile, and
//! no route may lie under the kernel's or meet another plugin's, nor may the published name of a schema.

use std::collections::{BTreeMap, BTreeSet};

use commerce_contract::{Access, Descriptor, JsonSchema, Manifest, Route};
use serde_json::{Map, Value};

use super::bindings::kinds;
use super::engine::{Compiled, Engine};
use super::instance::{CallLimits, CallState, Failure, FreshInstance};
use super::registry::Installed;
use super::{names, services};
use crate::events::CronLine;
use crate::http::openapi;

const LIMITS: CallLimits = CallLimits {
    deadline: std::time::Duration::from_secs(10),
    memory_bytes: 128 << 20,
    answer_bytes: 4 << 20,
    instances: 1,
    connections: 0,
};

const MAX_ROUTES: usize = 500;
const MAX_ENTRIES: usize = 500;
const MAX_PATH_BYTES: usize = 200;
const MAX_BODY_KIB: u32 = 64 << 10;

/// Under these the kernel itself answers.
const KERNEL_PREFIXES: [&str; 11] = [
    "/api/auth",
    "/api/store",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/socket.io",
    "/ws",
    "/problems",
    "/favicon.ico",
];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/// A plugin never sees what a caller proves its identity with, nor what the kernel decides with.
const HIDDEN_HEADERS: [&str; 6] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-store",
    "idempotency-key",
    "x-forwarded-for",
];

/// Asks the plugin, with no capability at all.
pub async fn ask(engine: &Engine, compiled: &Compiled) -> Result<Descriptor, String> {
    let text = describe(engine, compiled)
        .await
        .map_err(|failure| format!("describe: {failure}"))?;
    serde_json::from_str(&text).map_err(|error| format!("describe: {error}"))
}

async fn describe(engine: &Engine, compiled: &Compiled) -> Result<String, Failure> {
    let export: &kinds::describe::GuestIndices = compiled.describe.as_ref().ok_or(Failure::NoExport("describe"))?;
    let deadline = tokio::time::Instant::now() + LIMITS.deadline;
    let state = CallState::new(None, engine, &LIMITS, deadline);
    let FreshInstance { mut store, instance } = FreshInstance::new(engine, compiled, state, &LIMITS).await?;
    let guest = export
        .load(&mut store, &instance)
        .map_err(|error| Failure::of(&store, error))?;
    let text = guest
        .call_describe(&mut store)
        .await
        .map_err(|error| Failure::of(&store, error))?;
    if text.len() > LIMITS.answer_bytes {
        Err(Failure::AnswerTooLarge)
    } else {
        Ok(text)
    }
}

/// Everything that can be said against it, so that an author mends it all at once.
pub fn check(manifest: &Manifest, descriptor: &Descriptor, exports: &BTreeSet<String>) -> Vec<String> {
    let mut check = Check {
        plugin: &manifest.plugin.name,
        descriptor,
        found: Vec::new(),
    };
    check.bounds();
    if check.found.is_empty() {
        check.routes();
        check.functions();
        check.announcements(manifest);
        check.permissions();
        check.schemas();
        check.schema_names();
        check.exports(exports, manifest);
    }
    check.found
}

struct Check<'a> {
    plugin: &'a str,
    descriptor: &'a Descriptor,
    found: Vec<String>,
}

impl Check<'_> {
    fn refuse(&mut self, reason: String) {
        self.found.push(reason);
    }

    fn bounds(&mut self) {
        let descriptor = self.descriptor;
        if descriptor.routes.len() > MAX_ROUTES {
            self.refuse(format!("more than {MAX_ROUTES} routes"));
        }
        let lists = [
            ("functions", descriptor.functions.len()),
            ("provides", descriptor.provides.len()),
            ("publishes", descriptor.publishes.len()),
            ("jobs", descriptor.jobs.len()),
            ("schedules", descriptor.schedules.len()),
            ("imports", descriptor.imports.len()),
            ("permissions", descriptor.permissions.len()),
            ("schemas", descriptor.schemas.len()),
        ];
        for (list, length) in lists {
            if length > MAX_ENTRIES {
                self.refuse(format!("more than {MAX_ENTRIES} {list}"));
            }
        }
    }

    fn routes(&mut self) {
        let mut operations = BTreeSet::new();
        let mut shapes = BTreeSet::new();
        for route in &self.descriptor.routes {
            if !operations.insert(&route.operation) {
                self.refuse(format!("two routes have the operation `{}`", route.operation));
            }
            if !shapes.insert((&route.method, shape(&route.path))) {
                self.refuse(format!("two routes answer {} {}", route.method, route.path));
            }
            if let Err(reason) = self.check_route(route) {
                self.refuse(format!("route `{} {}`: {reason}", route.method, route.path));
            }
        }
    }

    fn check_route(&self, route: &Route) -> Result<(), String> {
        if !is_own(self.plugin, &route.operation) {
            return Err(format!("its operation must begin with `{}.`", self.plugin));
        }
        if !METHODS.contains(&route.method.as_str()) {
            return Err("its method must be GET, POST, PUT, PATCH or DELETE".to_owned());
        }
        check_path(&route.path)?;
        if let Access::Staff(permission) = &route.access
            && !is_own(self.plugin, permission)
        {
            return Err(format!("its permission must begin with `{}.`", self.plugin));
        }
        if route.cacheable && (route.method != "GET" || route.access != Access::Public) {
            return Err("only a public GET can be cacheable: its answer is for everybody".to_owned());
        }
        if route.staged && route.method == "GET" {
            return Err("a GET opens no transaction, so it can't be staged".to_owned());
        }
        if route.body_kib.is_some_and(|limit| limit > MAX_BODY_KIB) {
            return Err(format!("body_kib is at most {MAX_BODY_KIB}"));
        }
        for header in &route.headers {
            let is_name = !header.is_empty()
                && header
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            if !is_name || HIDDEN_HEADERS.contains(&header.as_str()) {
                return Err(format!("the header `{header}` is not for plugins"));
            }
        }
        if let Some(answer) = route.answers.iter().find(|answer| !(200..400).contains(&answer.status)) {
            return Err(format!(
                "{} is not the status of an answer; declare it under problems",
                answer.status
            ));
        }
        let odd = route
            .problems
            .iter()
            .find(|problem| !(400..600).contains(&problem.status) || !names::is_problem_code(&problem.code));
        odd.map_or(Ok(()), |problem| {
            Err(format!("the problem {} `{}`", problem.status, problem.code))
        })
    }

    fn functions(&mut self) {
        let mut seen = BTreeSet::new();
        for function in &self.descriptor.functions {
            if !names::is_name(&function.name) || !seen.insert(function.name.as_str()) {
                self.refuse(format!(
                    "the function name `{}` is not valid, or there twice",
                    function.name
                ));
            }
        }
        let wanted = self.descriptor.provides.values().flatten();
        let wanted = wanted.chain(self.descriptor.imports.iter().map(|import| &import.function));
        let wanted = wanted.chain(self.descriptor.seed.iter().map(|seed| &seed.function));
        for function in wanted {
            if !seen.contains(function.as_str()) {
                self.found
                    .push(format!("it names a function `{function}` that it does not have"));
            }
        }
    }

    fn announcements(&mut self, manifest: &Manifest) {
        let descriptor = self.descriptor;
        let asked = &manifest.capabilities;
        for event in &descriptor.publishes {
            if !asked.publish.contains(&event.name) {
                self.refuse(format!(
                    "it publishes `{0}`: write publish = [\"{0}\"] in plugin.toml",
                    event.name
                ));
            }
        }
        for name in &asked.publish {
            if !descriptor.publishes.iter().any(|event| event.name == *name) {
                self.refuse(format!(
                    "plugin.toml publishes `{name}`, which the descriptor does not list"
                ));
            }
        }
        for service in descriptor.provides.keys() {
            if !asked.provides.contains(service) {
                self.refuse(format!(
                    "it provides `{service}`: write provides = [\"{service}\"] in plugin.toml"
                ));
            }
        }
        for service in &asked.provides {
            if !descriptor.provides.contains_key(service) {
                self.refuse(format!(
                    "plugin.toml provides `{service}`, which the descriptor does not list"
                ));
            }
        }
        for job in &descriptor.jobs {
            if !names::is_name(&job.name) {
                self.refuse(format!("`{}` can't be a job's name", job.name));
            }
        }
        for schedule in &descriptor.schedules {
            if !names::is_name(&schedule.name) {
                self.refuse(format!("`{}` can't be a schedule's name", schedule.name));
            }
            if let Err(error) = schedule.cron.parse::<CronLine>() {
                self.refuse(format!("schedule `{}`: {error}", schedule.name));
            }
        }
    }

    fn permissions(&mut self) {
        for permission in &self.descriptor.permissions {
            if !is_own(self.plugin, &permission.name) {
                self.refuse(format!(
                    "the permission `{}` must begin with `{}.`",
                    permission.name, self.plugin
                ));
            }
        }
    }

    fn schemas(&mut self) {
        let descriptor = self.descriptor;
        let of_routes = descriptor.routes.iter().flat_map(|route| {
            let answers = route.answers.iter().filter_map(|answer| answer.schema.as_ref());
            let schemas = route.query.iter().chain(&route.body).chain(answers);
            schemas.map(|schema| (format!("route `{}`", route.operation), schema))
        });
        let of_functions = descriptor.functions.iter().flat_map(|function| {
            [&function.payload, &function.answer].map(|schema| (format!("function `{}`", function.name), schema))
        });
        let of_events = descriptor
            .publishes
            .iter()
            .map(|event| (format!("event `{}`", event.name), &event.payload));
        let named = descriptor
            .schemas
            .iter()
            .map(|(name, schema)| (format!("schema `{name}`"), schema));
        let settings = descriptor
            .settings
            .iter()
            .map(|schema| ("the settings".to_owned(), schema));
        let all: Vec<_> = of_routes
            .chain(of_functions)
            .chain(of_events)
            .chain(named)
            .chain(settings)
            .collect();
        for (place, schema) in all {
            if let Err(reason) = services::compile(&with_components(schema, &descriptor.schemas)) {
                self.refuse(format!("{place}: {reason}"));
            }
        }
    }

    /// One name is one schema: `Part` of plugin `thing` is published as `ThingPart`, which it may then not have as well.
    fn schema_names(&mut self) {
        let kernel = openapi::kernel_schema_names();
        let mut seen = BTreeSet::new();
        for name in openapi::schema_names(self.plugin, self.descriptor) {
            if kernel.contains(&name) {
                self.refuse(format!("the schema name `{name}` belongs to the kernel"));
            } else if !seen.insert(name.clone()) {
                self.refuse(format!("two of its schemas would be published as `{name}`: rename one"));
            }
        }
    }

    fn exports(&mut self, exports: &BTreeSet<String>, manifest: &Manifest) {
        let descriptor = self.descriptor;
        let needed = [
            ("handle", !descriptor.routes.is_empty()),
            ("call", !descriptor.functions.is_empty()),
            ("consume", !manifest.capabilities.subscribe.is_empty()),
            ("run", !descriptor.jobs.is_empty() || !descriptor.schedules.is_empty()),
        ];
        for (kind, needed) in needed {
            if needed && !exports.contains(kind) {
                self.refuse(format!(
                    "it describes what only an export `{kind}` can answer, and has none"
                ));
            }
        }
    }
}

/// `notes.list` is `notes`'s own.
fn is_own(plugin: &str, name: &str) -> bool {
    let rest = name.strip_prefix(plugin).and_then(|rest| rest.strip_prefix('.'));
    rest.is_some_and(|rest| rest.split('.').all(names::is_name))
}

fn check_path(path: &str) -> Result<(), String> {
    if path.len() > MAX_PATH_BYTES {
        return Err(format!("its path has more than {MAX_PATH_BYTES} bytes"));
    }
    let segments = path.strip_prefix("/api/").ok_or("its path must begin with /api/")?;
    let is_under = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if let Some(prefix) = KERNEL_PREFIXES.into_iter().find(|prefix| is_under(prefix)) {
        return Err(format!("{prefix} belongs to the kernel"));
    }
    for (position, segment) in segments.split('/').enumerate() {
        let is_parameter = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .is_some_and(|name| names::is_name(name) && position > 0);
        let is_literal = !segment.is_empty()
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.'))
            && !segment.starts_with('.');
        if !is_parameter && !is_literal {
            return Err(format!(
                "`{segment}` is not a segment: lower-case letters, digits, `-`, `_`, or one whole `{{name}}` after the first"
            ));
        }
    }
    Ok(())
}

/// Paths of one shape answer the same requests: `/api/x/{id}` and `/api/x/{slug}`.
fn shape(path: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// Routes and schema names that an installed plugin other than this one already has.
pub fn conflicts(name: &str, descriptor: &Descriptor, installed: &Installed) -> Vec<String> {
    let mut found = route_conflicts(name, descriptor, installed);
    let names: BTreeSet<String> = openapi::schema_names(name, descriptor).into_iter().collect();
    for other in installed.plugins().filter(|plugin| &*plugin.name != name) {
        let taken = openapi::schema_names(&other.name, &other.descriptor);
        let taken = taken.iter().filter(|taken| names.contains(*taken));
        found.extend(taken.map(|taken| format!("the schema name `{taken}` already belongs to `{}`", other.name)));
    }
    found
}

fn route_conflicts(name: &str, descriptor: &Descriptor, installed: &Installed) -> Vec<String> {
    let taken: BTreeMap<_, _> = installed
        .plugins()
        .filter(|plugin| &*plugin.name != name)
        .flat_map(|plugin| plugin.descriptor.routes.iter().map(move |route| (plugin, route)))
        .map(|(plugin, route)| ((route.method.as_str(), shape(&route.path)), plugin))
        .collect();
    let conflict = |route: &Route| {
        let owner = taken.get(&(route.method.as_str(), shape(&route.path)))?;
        Some(format!(
            "route `{} {}` already belongs to `{}`",
            route.method, route.path, owner.name
        ))
    };
    descriptor.routes.iter().filter_map(conflict).collect()
}

/// A schema together with the named ones that it may refer to as `#/components/schemas/Name`.
pub fn with_components(schema: &JsonSchema, named: &BTreeMap<String, JsonSchema>) -> Value {
    let Value::Object(members) = schema else {
        return schema.clone();
    };
    if named.is_empty() {
        return schema.clone();
    }
    let mut members = members.clone();
    let named: Map<String, Value> = named
        .iter()
        .map(|(name, schema)| (name.clone(), schema.clone()))
        .collect();
    members.insert("components".to_owned(), serde_json::json!({ "schemas": named }));
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_cannot_answer_under_the_kernels_paths() {
        for path in [
            "/api/auth",
            "/api/auth/login",
            "/api/store",
            "/healthz",
            "/metrics",
            "/api/../healthz",
            "/api/",
            "/api/{all}",
            "/api/x/",
            "/api//x",
            "/api/x/{id",
            "/api/x/{*rest}",
            "/api/x/a{id}",
            "/api/X",
            "/api/x%2f",
            "/",
        ] {
            assert!(check_path(path).is_err(), "{path}");
        }
        for path in [
            "/api/notes",
            "/api/authors",
            "/api/stores/{id}/items",
            "/api/webhooks/example",
            "/api/a/{id}/b.json",
        ] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn two_schemas_never_share_a_published_name() {
        let found = |plugin: &str, names: &[&str]| {
            let schemas = names.iter().map(|name| ((*name).to_owned(), Value::Bool(true)));
            let descriptor = Descriptor {
                schemas: schemas.collect(),
                ..Descriptor::default()
            };
            let mut check = Check {
                plugin,
                descriptor: &descriptor,
                found: Vec::new(),
            };
            check.schema_names();
            check.found
        };
        assert!(found("thing", &["Part", "ThingPart"])[0].contains("ThingPart"));
        assert!(found("problem", &["NotFound"])[0].contains("kernel"));
        assert!(found("store", &["Store"])[0].contains("kernel"));
        assert_eq!(found("thing", &["Part", "PartThing", "Things"]), Vec::<String>::new());
    }

    #[test]
    fn paths_that_differ_in_their_parameters_names_are_one_path() {
        assert_eq!(shape("/api/x/{id}/y"), shape("/api/x/{slug}/y"));
        assert_ne!(shape("/api/x/{id}"), shape("/api/x/all"));
    }

    #[test]
    fn an_operation_or_permission_of_another_plugin_is_not_own() {
        assert!(is_own("notes", "notes.list"));
        for name in ["notesx.list", "tasks.list", "notes", "notes.", "notes.List", "*"] {
            assert!(!is_own("notes", name), "{name}");
        }
    }
}
