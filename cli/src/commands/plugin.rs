//! `commerce plugin`: from an empty folder to production, and back by one version.

use std::path::{Path, PathBuf};

use commerce_kernel::control::{Grants, PluginRequest, Request};
use serde_json::{Value, json};

use crate::Context;
use crate::desk::Desk;
use crate::exit::{Exit, Failure};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Write a small plugin that builds, installs and answers, to start from.
    #[command(after_help = "Example: commerce plugin new wishlist && cd wishlist && commerce plugin install . --yes")]
    New {
        /// Lower-case letters, digits and underscores.
        name: String,
        /// Where to write it; a folder of its name without this.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Compile a plugin to one package file.
    #[command(after_help = "Example: commerce plugin build plugins/product")]
    Build {
        /// Plugin folders; this one without any.
        folders: Vec<PathBuf>,
        /// Every plugin below plugins/, examples/ and tests/ of this project.
        #[arg(long, conflicts_with = "folders")]
        all: bool,
    },
    /// Install a plugin, after showing what it asks for.
    #[command(after_help = "Example: commerce plugin install wishlist.wasm")]
    Install(Package),
    /// Replace a plugin by another version. Calls in flight finish on the old one.
    #[command(after_help = "Example: commerce plugin upgrade wishlist.wasm")]
    Upgrade(Package),
    /// List what is installed.
    #[command(visible_alias = "ls", after_help = "Example: commerce plugin list")]
    List,
    /// Show a plugin's routes, tables, SQL, hosts, limits and digest. Takes an installed name or a package file.
    #[command(after_help = "Example: commerce plugin inspect product")]
    Inspect { name: String },
    /// Let a store use a plugin.
    #[command(after_help = "Example: commerce plugin enable wishlist --store jakarta")]
    Enable {
        name: String,
        /// Without it: every store.
        #[arg(long)]
        store: Option<String>,
    },
    /// Take a plugin away from a store. Its data stays.
    #[command(after_help = "Example: commerce plugin disable wishlist --store jakarta")]
    Disable {
        name: String,
        #[arg(long)]
        store: Option<String>,
    },
    /// Go back to the version before.
    #[command(after_help = "Example: commerce plugin rollback wishlist")]
    Rollback { name: String },
    /// Remove a plugin. Its tables stay, unless they are purged.
    #[command(after_help = "Example: commerce plugin remove wishlist --purge --yes")]
    Remove {
        name: String,
        /// Drop its tables with all that is in them.
        #[arg(long)]
        purge: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Show a plugin's settings in a store, or set them.
    #[command(
        after_help = "Example: commerce plugin settings flat_rate --store jakarta --set '{\"free_above\": 500000}'"
    )]
    Settings {
        name: String,
        #[arg(long)]
        store: String,
        /// A JSON object; `-` reads it from standard input.
        #[arg(long)]
        set: Option<String>,
    },
}

#[derive(clap::Args)]
pub struct Package {
    /// A package file, or a plugin's folder, which is built first.
    package: PathBuf,
    /// Grant all that it asks for, without asking.
    #[arg(long)]
    yes: bool,
    /// Show what would happen and change nothing.
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let output = &context.output;
    let request = match command {
        Command::New { name, dir } => return new(&name, dir, context),
        Command::Build { folders, all } => return build(folders, all, context),
        Command::Install(package) => return install(package, false, context).await,
        Command::Upgrade(package) => return install(package, true, context).await,
        Command::List => {
            let answer = Desk::open(context)
                .await?
                .carry_out(Request::Plugin(PluginRequest::List))
                .await?;
            output.list(
                &answer,
                &[
                    ("name", "name"),
                    ("version", "version"),
                    ("stores", "stores"),
                    ("digest", "digest"),
                ],
            );
            return Ok(Exit::Ok);
        }
        Command::Inspect { name } => {
            let request = if Path::new(&name).exists() {
                PluginRequest::Preview {
                    package: read_package(Path::new(&name), context)?,
                }
            } else {
                PluginRequest::Inspect { name }
            };
            let answer = Desk::open(context).await?.carry_out(Request::Plugin(request)).await?;
            output.value(&answer);
            return Ok(Exit::Ok);
        }
        Command::Enable { name, store } => PluginRequest::Enable { name, store },
        Command::Disable { name, store } => PluginRequest::Disable { name, store },
        Command::Rollback { name } => PluginRequest::Rollback { name },
        Command::Remove { name, purge, yes } => {
            let loss = if purge { " and dropping its tables" } else { "" };
            output.confirm(&format!("Removing plugin {name}{loss}"), yes)?;
            PluginRequest::Remove { name, purge }
        }
        Command::Settings { name, store, set } => {
            let values = set.map(|text| parse_settings(&text)).transpose()?;
            PluginRequest::Settings { name, store, values }
        }
    };
    let answer = Desk::open(context).await?.carry_out(Request::Plugin(request)).await?;
    output.show(&answer);
    Ok(Exit::Ok)
}

fn new(name: &str, dir: Option<PathBuf>, context: &Context) -> Result<Exit, Failure> {
    let dir = dir.unwrap_or_else(|| PathBuf::from(name));
    commerce_build::new(name, &dir).map_err(build_failure)?;
    let answer = json!({ "name": name, "folder": dir });
    if context.output.json {
        context.output.value(&answer);
    } else {
        context.output.text(&format!(
            "wrote {}\n\nnext:\n  cd {}\n  commerce plugin install . --yes",
            dir.display(),
            dir.display()
        ));
    }
    Ok(Exit::Ok)
}

fn build(folders: Vec<PathBuf>, all: bool, context: &Context) -> Result<Exit, Failure> {
    let built = if all {
        build_together(&plugins_of_project(), context)?
    } else {
        let folders = if folders.is_empty() {
            vec![PathBuf::from(".")]
        } else {
            folders
        };
        folders
            .iter()
            .map(|folder| build_one(folder, context))
            .collect::<Result<_, _>>()?
    };
    let items: Vec<Value> = built
        .iter()
        .map(|path| json!({ "package": path, "bytes": size(path) }))
        .collect();
    context.output.list(
        &json!({ "items": items }),
        &[("package", "package"), ("bytes", "bytes")],
    );
    Ok(Exit::Ok)
}

/// The plugins of this repository: those that ship first, then examples and what only tests install.
fn plugins_of_project() -> Vec<PathBuf> {
    ["plugins", "examples", "tests/hostile"]
        .iter()
        .flat_map(|folder| plugin_folders(Path::new(folder)))
        .collect()
}

/// The folders directly inside of this one that hold a plugin, by name.
pub fn plugin_folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.join("plugin.toml").exists())
        .collect();
    folders.sort();
    folders
}

fn build_failure(error: commerce_build::BuildError) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Compiles one plugin; the compiler's own progress goes to standard error.
pub fn build_one(folder: &Path, context: &Context) -> Result<PathBuf, Failure> {
    commerce_build::build(folder, &Default::default(), &mut |line| context.output.note(line)).map_err(build_failure)
}

/// Compiles plugins of one workspace side by side.
pub fn build_together(folders: &[PathBuf], context: &Context) -> Result<Vec<PathBuf>, Failure> {
    commerce_build::build_all(folders, &Default::default(), &mut |line| context.output.note(line))
        .map_err(build_failure)
}

pub fn read_package(path: &Path, context: &Context) -> Result<Vec<u8>, Failure> {
    let file = if path.is_dir() {
        build_one(path, context)?
    } else {
        path.to_owned()
    };
    std::fs::read(&file).map_err(|error| {
        Failure::new(Exit::NotFound, format!("can't read {}: {error}", file.display()))
            .remedy("name a .wasm package or a plugin's folder")
    })
}

async fn install(args: Package, upgrade: bool, context: &Context) -> Result<Exit, Failure> {
    let package = read_package(&args.package, context)?;
    let mut desk = Desk::open(context).await?;
    let preview = desk
        .carry_out(Request::Plugin(PluginRequest::Preview {
            package: package.clone(),
        }))
        .await?;
    if args.dry_run {
        context.output.value(&preview);
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

fn parse_settings(text: &str) -> Result<Value, Failure> {
    let text = match text {
        "-" => std::io::read_to_string(std::io::stdin())
            .map_err(|error| Failure::new(Exit::Failed, format!("can't read standard input: {error}")))?,
        text => text.to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(Exit::Usage, format!("the settings are not JSON: {error}")).remedy(r#"--set '{"key": "value"}'"#)
    })
}
