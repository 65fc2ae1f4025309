//! A plugin's settings in a store.

use commerce_kernel::control::{PluginRequest, Request};
use serde_json::{Value, json};

use crate::Context;
use crate::desk::Desk;
use crate::exit::{Exit, Failure};

#[derive(clap::Args)]
pub struct Args {
    name: String,
    #[arg(long)]
    store: String,
    /// A JSON object; `-` reads it from standard input.
    #[arg(long)]
    set: Option<String>,
    /// Print the JSON Schema of the settings instead.
    #[arg(long, conflicts_with = "set")]
    schema: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let values = args.set.map(|text| parse(&text)).transpose()?;
    let request = PluginRequest::Settings {
        name: args.name,
        store: args.store,
        values,
    };
    let answer = Desk::open(context).await?.carry_out(Request::Plugin(request)).await?;
    let output = &context.output;
    if args.schema {
        output.value(&answer["schema"]);
    } else if output.json {
        output.value(&answer["values"]);
    } else {
        let columns = [
            ("setting", "name"),
            ("value", "value"),
            ("kind", "kind"),
            ("meaning", "meaning"),
        ];
        output.list(&json!({ "items": rows(&answer) }), &columns);
    }
    Ok(Exit::Ok)
}

/// A row for every setting there is, set or not.
fn rows(answer: &Value) -> Vec<Value> {
    let properties = answer["schema"]["properties"].as_object();
    let rows = properties.into_iter().flatten().map(|(name, schema)| {
        json!({
            "name": name,
            "value": answer["values"][name],
            "kind": kind(schema),
            "meaning": schema["description"].as_str().unwrap_or_default(),
        })
    });
    rows.collect()
}

/// `integer`, or the name of the schema that it refers to.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let alternatives = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
    if let Some(alternatives) = alternatives {
        return alternatives.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}

fn parse(text: &str) -> Result<Value, Failure> {
    let text = match text {
        "-" => std::io::read_to_string(std::io::stdin())
            .map_err(|error| Failure::new(Exit::Failed, format!("can't read standard input: {error}")))?,
        text => text.to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(Exit::Usage, format!("the settings are not JSON: {error}")).remedy(r#"--set '{"key": "value"}'"#)
    })
}
