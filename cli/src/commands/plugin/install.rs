//! Installing and upgrading: first what would happen, then a yes, then the change.

use commerce_kernel::control::{Grants, PluginRequest, Request};
use serde_json::Value;

use super::{Package, read_package, sheet};
use crate::Context;
use crate::desk::Desk;
use crate::exit::{Exit, Failure};

pub(super) async fn run(args: Package, upgrade: bool, context: &Context) -> Result<Exit, Failure> {
    let package = read_package(&args.package, context)?;
    let mut desk = Desk::open(context).await?;
    let preview = desk
        .carry_out(Request::Plugin(PluginRequest::Preview {
            package: package.clone(),
        }))
        .await?;
    if args.dry_run {
        sheet::show(&preview, context);
        return Ok(Exit::Ok);
    }
    show_rights(&preview, context);
    let name = preview["name"].as_str().unwrap_or("plugin").to_owned();
    let version = preview["version"].as_str().unwrap_or("?").to_owned();
    let verb = if upgrade { "Upgrading to" } else { "Installing" };
    context
        .output
        .confirm(&format!("{verb} {name} {version} with these rights"), args.yes)?;
    let answer = desk
        .carry_out(Request::Plugin(PluginRequest::Install {
            package,
            grants: Grants::All,
            upgrade,
        }))
        .await?;
    context.output.show(&answer);
    Ok(Exit::Ok)
}

/// What the operator says yes to, like an app store shows it: on standard error, because it is a question's first half.
fn show_rights(preview: &Value, context: &Context) {
    let output = &context.output;
    let list = |heading: &str, items: &Value| {
        for item in items.as_array().into_iter().flatten() {
            output.note(&format!("  {heading} {}", item.as_str().unwrap_or_default()));
        }
    };
    output.note(&format!(
        "{} {}: {}",
        preview["name"].as_str().unwrap_or_default(),
        preview["version"].as_str().unwrap_or_default(),
        preview["description"].as_str().unwrap_or_default()
    ));
    list("may", &preview["rights"]);
    if let Some(change) = preview["upgrade"].as_object() {
        list("new: may", &change["rights_added"]);
        list("no longer: may", &change["rights_removed"]);
        let rollback = match change["rollback_possible"].as_bool() {
            Some(true) => "  a rollback stays possible",
            _ => "  there is NO way back by rollback: this version removes or changes what the old one uses",
        };
        output.note(rollback);
    }
}
