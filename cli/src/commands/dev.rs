//! `commerce dev`: from a fresh checkout to a demo store that answers. Started again, it keeps the data. A plugin whose
//! source or package changes is rebuilt and swapped in while it serves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use commerce_kernel::control::{
    AccountRequest, DataRequest, Grants, Operate, Operator, PluginRequest, Request, StoreCreate, StoreRequest,
};
use commerce_kernel::http::problem::Problem;
use commerce_kernel::kernel::{migrate, serve_kernel};
use commerce_kernel::secrets::Secret;
use notify::{RecursiveMode, Watcher};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::Context;
use crate::commands::migrate::unreachable_database;
use crate::commands::plugin::{build_packages, plugin_folders};
use crate::desk::{load_config, open_kernel, start_log};
use crate::exit::{Exit, Failure, of_status};
use crate::output::Output;

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
    let packages = build_packages(&folders, context)?;
    let _log = start_log(&config)?;
    migrate::up(&config).await.map_err(unreachable_database)?;
    let kernel = open_kernel(config).await?;
    let operator = Operator::new(kernel.clone());
    install(&operator, &packages, context).await?;
    let is_new = provision(&operator, args.products, context).await?;
    let watching = Watch::start(operator, args.plugins, packages, context.output);
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

/// Swaps in what changes: a plugin's source, which is rebuilt first, or a package that somebody else built. What does not
/// build or install is reported, and the plugin left as it was.
struct Watch {
    operator: Operator,
    /// The folder of the plugins' folders.
    plugins: PathBuf,
    packages: BTreeSet<PathBuf>,
    output: Output,
}

impl Watch {
    fn start(operator: Operator, plugins: PathBuf, packages: Vec<PathBuf>, output: Output) -> JoinHandle<()> {
        let watch = Self {
            operator,
            plugins,
            packages: packages.into_iter().collect(),
            output,
        };
        tokio::spawn(async move {
            if let Err(error) = watch.run().await {
                output.note(&format!("changed plugins are not swapped in: {error}"));
            }
        })
    }

    async fn run(mut self) -> notify::Result<()> {
        let (sender, mut changes) = mpsc::unbounded_channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            for path in event
                .into_iter()
                .filter(|event| !event.kind.is_access())
                .flat_map(|event| event.paths)
            {
                let _ = sender.send(path);
            }
        })?;
        watcher.watch(&self.plugins, RecursiveMode::Recursive)?;
        let folders: BTreeSet<&Path> = self.packages.iter().filter_map(|package| package.parent()).collect();
        for folder in folders {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        while let Some(first) = changes.recv().await {
            let mut touched = BTreeSet::from([first]);
            while let Ok(Some(path)) = tokio::time::timeout(SETTLE, changes.recv()).await {
                touched.insert(path);
            }
            if let Err(failure) = self.follow(&touched).await {
                self.output.failure(&failure);
            }
        }
        Ok(())
    }

    async fn follow(&mut self, touched: &BTreeSet<PathBuf>) -> Result<(), Failure> {
        let folders = plugin_folders(&self.plugins);
        let is_source = |path: &Path| {
            let mut sources = folders.iter().filter_map(|folder| folder.canonicalize().ok());
            sources.any(|folder| path.starts_with(folder))
        };
        if touched.iter().any(|path| is_source(path)) {
            let context = Context {
                config: None,
                output: self.output,
            };
            let building = tokio::task::spawn_blocking(move || build_packages(&folders, &context));
            let built = building.await;
            let built = built.map_err(|error| Failure::new(Exit::Failed, error.to_string()))??;
            self.packages.extend(built);
        } else if touched.is_disjoint(&self.packages) {
            return Ok(());
        }
        for package in &self.packages {
            match swap_in(&self.operator, package).await {
                Ok(true) => self.output.note(&format!("{} was swapped in", name_of(package))),
                Ok(false) => {}
                Err(failure) => self.output.failure(&failure),
            }
        }
        Ok(())
    }
}
