//! `commerce import`: reads a file, hands its rows to the plugin that knows the format, and reports what became of each.

mod table;

use std::path::PathBuf;

use commerce_kernel::control::{DataRequest, Request};
use serde_json::{Value, json};

use crate::Context;
use crate::desk::Desk;
use crate::exit::{Exit, Failure};
use table::Table;

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OnError {
    /// Report the row and go on with the next.
    Skip,
    /// Check the whole file first, and import nothing where a row is wrong.
    Stop,
}

#[derive(clap::Args)]
#[command(after_help = "Example: commerce import products export.csv --format shopify --store jakarta --currency USD")]
pub struct Args {
    /// What the file holds: `products`.
    resource: String,
    /// A CSV file with a header line; tabs or semicolons may part its fields.
    file: PathBuf,
    /// Who wrote the file.
    #[arg(long, default_value = "shopify")]
    format: String,
    /// The store's slug; may be left out where there is only one store.
    #[arg(long)]
    store: Option<String>,
    /// The currency of the file's amounts, which the store gets if it has not got it; the store's default without it.
    #[arg(long)]
    currency: Option<String>,
    #[arg(long, value_enum, default_value = "skip")]
    on_error: OnError,
    /// Check every row and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Rows handed over at a time: one unit of work each, so that a large file does not hold the database's writer for long.
const ROWS_AT_A_TIME: usize = 250;
/// Their bytes: descriptions are long in some files, and a plugin's memory has a bound.
const BYTES_AT_A_TIME: usize = 2 << 20;

#[derive(Default, serde::Serialize)]
struct Report {
    rows: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    /// Rows with an error.
    skipped: u64,
    errors: Vec<Remark>,
    /// What was taken otherwise than it was written.
    warnings: Vec<Remark>,
    dry_run: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize)]
struct Remark {
    line: u64,
    message: String,
}

/// What became of the rows that were handed over.
#[derive(serde::Deserialize)]
struct Outcome {
    consumed: usize,
    created: u64,
    updated: u64,
    unchanged: u64,
    errors: Vec<Remark>,
    #[serde(default)]
    warnings: Vec<Remark>,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let table = Table::open(&args.file)?;
    let total = table.body().count() as u64;
    let mut desk = Desk::open(context).await?;
    let store = match &args.store {
        Some(store) => store.clone(),
        None => desk.only_store().await?,
    };
    let pass = async |desk: &mut Desk, dry_run: bool| {
        let step = if dry_run {
            format!("checking {}", args.resource)
        } else {
            format!("importing {}", args.resource)
        };
        let bar = context.output.progress(&step, Some(total));
        let mut report = Report {
            dry_run,
            ..Report::default()
        };
        let ended = import(desk, &args, &store, &table, &mut report, |rows| bar.set_position(rows)).await;
        bar.finish_and_clear();
        report.settle();
        (report, ended)
    };
    let checked = match args.dry_run || args.on_error == OnError::Stop {
        true => Some(pass(&mut desk, true).await),
        false => None,
    };
    let (report, ended) = match checked {
        Some((report, ended)) if args.dry_run || ended.is_err() || !report.errors.is_empty() => (report, ended),
        _ => pass(&mut desk, false).await,
    };
    print(&report, context);
    ended?;
    let stopped = args.on_error == OnError::Stop;
    match (report.errors.is_empty(), stopped) {
        (true, _) => Ok(Exit::Ok),
        (false, true) => Err(
            Failure::new(Exit::Failed, "nothing was imported, because some rows are wrong")
                .remedy("mend the rows above, or import the others with --on-error skip"),
        ),
        (false, false) => Ok(Exit::Partial),
    }
}

/// `report` has what was done, however this ends.
async fn import(
    desk: &mut Desk,
    args: &Args,
    store: &str,
    table: &Table,
    report: &mut Report,
    on_rows: impl Fn(u64),
) -> Result<(), Failure> {
    let mut rows = table.body();
    // Those that came back come again, with more behind them.
    let mut waiting: Vec<Value> = Vec::new();
    loop {
        let mut last = true;
        let (mut taken, mut bytes) = (0, 0);
        for row in rows.by_ref() {
            match row.fields {
                Ok(fields) => {
                    bytes += fields.iter().map(String::len).sum::<usize>();
                    waiting.push(json!({ "line": row.line, "fields": fields }));
                }
                Err(message) => report.errors.push(Remark {
                    line: row.line,
                    message,
                }),
            }
            taken += 1;
            if taken == ROWS_AT_A_TIME || bytes >= BYTES_AT_A_TIME {
                last = false;
                break;
            }
        }
        let payload = json!({
            "header": table.header,
            "rows": waiting,
            "last": last,
            "options": { "currency": args.currency, "dry_run": report.dry_run },
        });
        let request = DataRequest::Import {
            store: store.to_owned(),
            resource: args.resource.clone(),
            format: args.format.clone(),
            payload,
        };
        let answer = desk
            .carry_out(Request::Data(request))
            .await
            .map_err(|failure| match report.rows {
                0 => failure,
                rows => interrupted(failure, rows),
            })?;
        let outcome: Outcome = serde_json::from_value(answer).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the plugin's answer is no report of an import: {error}"),
            )
        })?;
        waiting.drain(..outcome.consumed.min(waiting.len()));
        report.rows += taken as u64;
        report.created += outcome.created;
        report.updated += outcome.updated;
        report.unchanged += outcome.unchanged;
        report.errors.extend(outcome.errors);
        report.warnings.extend(outcome.warnings);
        on_rows(report.rows);
        if last {
            return Ok(());
        }
    }
}

fn interrupted(failure: Failure, rows: u64) -> Failure {
    Failure::new(
        failure.exit,
        format!("the import ended after {rows} rows: {}", failure.message),
    )
    .remedy("what was imported stays; the same command again finds it unchanged and goes on from there")
}

impl Report {
    /// Brings what the file and the plugin said of it into the order of its lines.
    fn settle(&mut self) {
        self.errors.sort();
        self.warnings.sort();
        self.skipped = self.errors.chunk_by(|a, b| a.line == b.line).count() as u64;
    }
}

fn print(report: &Report, context: &Context) {
    let output = &context.output;
    if output.json {
        return output.value(&serde_json::to_value(report).unwrap_or_default());
    }
    for Remark { line, message } in &report.errors {
        output.note(&format!("line {line}: {message}"));
    }
    for Remark { line, message } in &report.warnings {
        output.note(&format!("line {line}: warning: {message}"));
    }
    let trial = if report.dry_run {
        "nothing was changed; it would be: "
    } else {
        ""
    };
    output.text(&format!(
        "{} rows read; {trial}{} created, {} updated, {} unchanged, {} wrong rows skipped",
        report.rows, report.created, report.updated, report.unchanged, report.skipped
    ));
}
