//! `commerce doctor`: checks everything the configuration names, and says what to fix.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use commerce_kernel::config::Config;
use commerce_kernel::control;
use commerce_kernel::kernel::{check, make_data_dir, migrate};
use commerce_kernel::storage::sql::Migration;
use serde_json::{Value, json};

use crate::Context;
use crate::desk::load_config;
use crate::exit::{Exit, Failure};

#[derive(clap::Args)]
#[command(after_help = "Example: commerce doctor")]
pub struct Args {}

pub async fn run(_args: Args, context: &Context) -> Result<Exit, Failure> {
    let config = load_config(context)?;
    let running = matches!(control::connect(&config.data_dir).await, Ok(Some(_)));
    let mut findings = vec![finding("configuration", Ok("valid".to_owned()))];
    findings.push(finding("data folder", data_folder(&config)));
    findings.push(finding(
        "kernel",
        Ok(if running { "running" } else { "not running" }.to_owned()),
    ));
    if !running {
        findings.push(finding(
            "http port",
            port(&config.http.host, config.http.port, "http.port"),
        ));
    }
    let asked = Instant::now();
    match migrate::status(&config).await {
        // What else there is to say of a database follows only where it can be asked.
        Err(error) => findings.push(finding("database", Err(format!("{error:#}")))),
        Ok(migrations) => {
            findings.push(finding("database", version(&migrations, asked.elapsed())));
            findings.push(finding("database rights", told(check::rights(&config).await)));
            findings.push(finding("master key", told(check::master_key(&config).await)));
        }
    }
    findings.push(finding("plugin compiler", plugin_compiler()));
    let bad = findings.iter().any(|finding| finding["ok"] == false);
    context.output.list(
        &json!({ "items": findings }),
        &[("check", "check"), ("ok", "ok"), ("finding", "finding")],
    );
    if bad {
        Err(Failure::new(Exit::Failed, "something needs to be fixed: see above"))
    } else {
        Ok(Exit::Ok)
    }
}

fn finding(check: &str, outcome: Result<String, String>) -> Value {
    match outcome {
        Ok(text) => json!({ "check": check, "ok": true, "finding": text }),
        Err(text) => json!({ "check": check, "ok": false, "finding": text }),
    }
}

fn data_folder(config: &Config) -> Result<String, String> {
    let folder = &config.data_dir;
    let shown = folder.display();
    make_data_dir(config).map_err(|error| format!("{error:#}: set data_dir, or its rights"))?;
    let probe = folder.join(".doctor");
    std::fs::write(&probe, b"probe")
        .and_then(|()| std::fs::remove_file(probe))
        .map_err(|error| format!("{shown} can't be written ({error}): set data_dir, or its rights"))?;
    let mode = std::fs::metadata(folder).map_or(0, |metadata| metadata.permissions().mode());
    Ok(match mode & 0o007 {
        0 => format!("{shown} can be written"),
        _ => format!("{shown} can be written, and looked into by every user of this machine: chmod 700 it"),
    })
}

fn port(host: &str, port: u16, key: &str) -> Result<String, String> {
    TcpListener::bind((host, port))
        .map(|_| format!("{host}:{port} is free"))
        .map_err(|error| format!("{host}:{port} can't be used ({error}): set {key}, or stop what uses it"))
}

fn version(migrations: &[Migration], latency: Duration) -> Result<String, String> {
    let waiting = migrations.iter().filter(|known| known.applied_at.is_none());
    match waiting.count() {
        0 => Ok(format!("reached in {} ms and at this version", latency.as_millis())),
        missing => Err(format!("{missing} migrations have not run: commerce migrate up")),
    }
}

fn told(outcome: anyhow::Result<String>) -> Result<String, String> {
    outcome.map_err(|error| format!("{error:#}"))
}

fn plugin_compiler() -> Result<String, String> {
    Ok(match commerce_build::Toolchain::find(std::path::Path::new(".")) {
        Ok(_) => "plugins can be built".to_owned(),
        // Only whoever writes plugins needs it.
        Err(error) => format!("plugins can't be built here ({error}); installed ones run"),
    })
}
