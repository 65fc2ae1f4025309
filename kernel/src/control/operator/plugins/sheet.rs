//! What operators are shown of a plugin, installed or not: one shape for both.

use commerce_contract::{Capabilities, Descriptor, Manifest};
use serde_json::{Value, json};

use crate::plugins::{CallLimits, Package, Plugin, PluginsConfig, Preview};

pub(super) fn of_installed(plugin: &Plugin, sql: &[String]) -> Value {
    let limits = &plugin.limits;
    let mut sheet = sheet(&plugin.manifest, &plugin.descriptor, &plugin.grants, limits);
    sheet["digest"] = json!(plugin.digest);
    sheet["tables"] = json!(plugin.schema.tables);
    sheet["sql"] = json!(sql);
    sheet
}

/// With what its installation or upgrade would change.
pub(super) fn of_package(preview: &Preview, package: &Package, config: &PluginsConfig) -> Value {
    let limits = CallLimits::of(&package.manifest, config);
    let mut sheet = sheet(&package.manifest, &preview.descriptor, &preview.asks, &limits);
    sheet["digest"] = json!(preview.digest);
    sheet["tables"] = json!(preview.tables);
    sheet["sql"] = json!(package.sql);
    sheet["imports"] = json!(preview.imports);
    sheet["migrations"] = json!(preview.migrations);
    sheet["installed"] = json!(preview.installed);
    if preview.installed.is_some() {
        sheet["upgrade"] = json!({
            "rights_added": preview.more,
            "rights_removed": preview.less,
            "rollback_possible": preview.rollback_possible,
        });
    }
    sheet
}

fn sheet(manifest: &Manifest, descriptor: &Descriptor, rights: &Capabilities, limits: &CallLimits) -> Value {
    let routes = descriptor.routes.iter().map(|route| {
        json!({ "method": route.method, "path": route.path, "access": route.access, "operation": route.operation })
    });
    json!({
        "name": manifest.plugin.name,
        "version": manifest.plugin.version,
        "description": manifest.plugin.description,
        // In words, as an app store shows them.
        "rights": crate::plugins::beyond(rights, &Capabilities::default()),
        "hosts": rights.http,
        "secrets": rights.secrets,
        "limits": limits_to_json(limits),
        "routes": routes.collect::<Vec<_>>(),
        "functions": descriptor.functions.iter().map(|function| &function.name).collect::<Vec<_>>(),
        "provides": descriptor.provides,
        "schedules": descriptor.schedules,
        "settings": descriptor.settings,
        "views": manifest.views,
    })
}

fn limits_to_json(limits: &CallLimits) -> Value {
    json!({
        "deadline_ms": u64::try_from(limits.deadline.as_millis()).unwrap_or(u64::MAX),
        "memory_mib": limits.memory_bytes >> 20,
        "answer_kib": limits.answer_bytes >> 10,
        "instances": limits.instances,
        "connections": limits.connections,
    })
}
