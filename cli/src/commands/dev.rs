//! `commerce dev`: from a fresh checkout to a demo store that answers. Started again, it keeps the data. A plugin whose
//! source or package changes is rebuilt and swapped in while it serves.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use commerce_kernel::Kernel;
use commerce_kernel::control::{
    AccountRequest, DataRequest, Grants, Operate, Operator, PluginRequest, Request, StoreCreate, StoreRequest,
};
use commerce_kernel::http::problem::Problem;
use commerce_kernel::kernel::{migrate, serve_kernel};
use commerce_kernel::secrets::Secret;
use notify::{RecursiveMode, Watcher};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::Context;
use crate::commands::migrate::unreachable_database;
use crate::commands::plugin::{build_one, build_together, plugin_folders};
use crate::desk::{load_config, open_kernel, start_log};
use crate::exit::{Exit, Failure, of_status};

#[derive(clap::Args)]
#[command(after_help = "Example: commerce dev")]
pub struct Args {
    /// The folder whose plugins are built, installed and watched.
    #[arg(long, default_value = "plugins")]
    plugins: PathBuf,
    /// How many products a new demo store gets.
    #[arg(long, default_value_t = 60)]
    products: u64,
}

const STORE: &str = "demo";
/// Accounts of a store that exists for trying things out only: the banner prints the password.
const OWNER: &str = "owner@demo.example";
const CUSTOMER: &str = "customer@demo.example";
const PASSWORD: &str = "demo-password";

/// Editors write a file in several steps: what changes within this time is one change.
const SETTLE: Duration = Duration::from_millis(300);

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let config = load_config(context)?;
    let folders = plugin_folders(&args.plugins);
    let packages = build_together(&folders, context)?;
    let _log = start_log(&config)?;
    migrate::up(&config).await.map_err(unreachable_database)?;
    let kernel = open_kernel(config).await?;
    let operator = Operator::new(kernel.clone());
    install(&operator, &packages, context).await?;
    let is_new = provision(&operator, args.products, context).await?;
    let watching = watch(kernel.clone(), &args.plugins, context.output);
    serve_kernel(kernel, |address| banner(&format!("http://{address}"), is_new))
        .await
        .map_err(|error| Failure::new(Exit::Unavailable, format!("{error:#}")))?;
    watching.abort();
    Ok(Exit::Ok)
}

/// Installs what is missing and upgrades what changed. A plugin that calls another's functions needs that one first, so
/// those that fail are tried again after the others.
async fn install(operator: &Operator, packages: &[PathBuf], context: &Context) -> Result<(), Failure> {
    let mut waiting: Vec<&PathBuf> = packages.iter().collect();
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut failed = Vec::new();
        let mut reason = None;
        for package in waiting {
            let bar = context
                .output
                .progress(&format!("installing {}", name_of(package)), None);
            let outcome = swap_in(operator, package).await;
            bar.finish_and_clear();
            match outcome {
                Ok(_) => {}
                Err(failure) => {
                    failed.push(package);
                    reason = Some(failure);
                }
            }
        }
        if failed.len() == before
            && let Some(failure) = reason
        {
            return Err(failure);
        }
        waiting = failed;
    }
    Ok(())
}

fn name_of(package: &Path) -> String {
    package.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Installs or upgrades; answers whether anything changed.
async fn swap_in(operator: &Operator, package: &Path) -> Result<bool, Failure> {
    let bytes = std::fs::read(package)
        .map_err(|error| Failure::new(Exit::Failed, format!("can't read {}: {error}", package.display())))?;
    let installed = ask(operator, Request::Plugin(PluginRequest::List)).await?;
    let name = name_of(package);
    let upgrade = installed["items"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|plugin| plugin["name"] == name.as_str());
    let request = PluginRequest::Install {
        package: bytes,
        grants: Grants::All,
        upgrade,
    };
    match operator.carry_out(Request::Plugin(request), &mut |_| {}).await {
        Ok(_) => Ok(true),
        // The package that is installed already.
        Err(problem) if upgrade && problem.status == 409 => Ok(false),
        Err(problem) => Err(failure(&format!("plugin {name}"), problem)),
    }
}

async fn ask(operator: &Operator, request: Request) -> Result<Value, Failure> {
    operator
        .carry_out(request, &mut |_| {})
        .await
        .map_err(|problem| failure("the demo store", problem))
}

fn failure(what: &str, problem: Problem) -> Failure {
    Failure::new(of_status(problem.status), format!("{what}: {}", problem.detail))
}

/// Makes the demo store where there is none; answers whether it did.
async fn provision(operator: &Operator, products: u64, context: &Context) -> Result<bool, Failure> {
    let stores = ask(operator, Request::Store(StoreRequest::List)).await?;
    if stores["items"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|store| store["slug"] == STORE)
    {
        return Ok(false);
    }
    let create = StoreCreate {
        slug: STORE.to_owned(),
        name: "Demo store".to_owned(),
        currency: "IDR".to_owned(),
        currencies: vec!["USD".to_owned()],
        hosts: Vec::new(),
        timezone: Some("Asia/Jakarta".to_owned()),
        owner_email: OWNER.to_owned(),
        owner_password: Secret::new(PASSWORD.to_owned()),
    };
    ask(operator, Request::Store(StoreRequest::Create(create))).await?;
    let customer = AccountRequest::Create {
        store: STORE.to_owned(),
        email: CUSTOMER.to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        role: None,
    };
    ask(operator, Request::Account(customer)).await?;
    let bar = context.output.progress("seeding products", Some(products));
    let seed = DataRequest::Seed {
        store: STORE.to_owned(),
        counts: BTreeMap::from([("products".to_owned(), products)]),
    };
    let seeded = operator
        .carry_out(Request::Data(seed), &mut |progress| bar.set_position(progress.done))
        .await;
    bar.finish_and_clear();
    if let Err(problem) = seeded {
        // Half a demonstration would be kept for good: the next start makes it anew.
        let store = STORE.to_owned();
        ask(operator, Request::Store(StoreRequest::Delete { store })).await?;
        return Err(failure("the demonstration", problem));
    }
    Ok(true)
}

fn banner(url: &str, is_new: bool) {
    let state = if is_new { "new" } else { "kept from before" };
    println!(
        "
  {url}        store {STORE} ({state}), API at {url}/docs

  staff      {OWNER}     {PASSWORD}
  customer   {CUSTOMER}  {PASSWORD}

  curl '{url}/api/products?limit=3'
  curl -X POST {url}/api/auth/login -H 'content-type: application/json' -d '{{\"email\":\"{CUSTOMER}\",\"password\":\"{PASSWORD}\"}}'
  curl -X POST {url}/api/carts -H 'content-type: application/json' -d '{{}}'

  Plugins are rebuilt and swapped in as they change. Ctrl-C stops.
"
    );
}

/// Rebuilds the plugin whose files change, and swaps it in. What does not build or install is reported and left as it was.
fn watch(kernel: Arc<Kernel>, plugins: &Path, output: crate::output::Output) -> tokio::task::JoinHandle<()> {
    let plugins = plugins.to_owned();
    tokio::spawn(async move {
        let (sender, mut changes) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            for path in event
                .into_iter()
                .filter(|event| !event.kind.is_access())
                .flat_map(|event| event.paths)
            {
                let _ = sender.send(path);
            }
        });
        let Ok(mut watcher) = watcher else { return };
        if watcher.watch(&plugins, RecursiveMode::Recursive).is_err() {
            return;
        }
        let operator = Operator::new(kernel);
        while let Some(first) = changes.recv().await {
            let mut touched = BTreeSet::from([first]);
            while let Ok(Some(path)) = tokio::time::timeout(SETTLE, changes.recv()).await {
                touched.insert(path);
            }
            let folders = plugin_folders(&plugins)
                .into_iter()
                .filter_map(|folder| folder.canonicalize().ok());
            for folder in folders.filter(|folder| touched.iter().any(|path| path.starts_with(folder))) {
                rebuild(&operator, &folder, output).await;
            }
        }
    })
}

async fn rebuild(operator: &Operator, folder: &Path, output: crate::output::Output) {
    let (built, name) = {
        let folder = folder.to_owned();
        let name = name_of(&folder);
        let context = Context { config: None, output };
        (
            tokio::task::spawn_blocking(move || build_one(&folder, &context)).await,
            name,
        )
    };
    let outcome = match built {
        Ok(Ok(package)) => swap_in(operator, &package).await,
        Ok(Err(failure)) => Err(failure),
        Err(error) => Err(Failure::new(Exit::Failed, error.to_string())),
    };
    match outcome {
        Ok(true) => output.note(&format!("{name} was swapped in")),
        Ok(false) => {}
        Err(failure) => output.failure(&failure),
    }
}
