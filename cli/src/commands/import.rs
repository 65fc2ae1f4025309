//! `commerce import`: reads a file, hands its rows to the plugin that knows the format, and reports what became of each.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use commerce_kernel::control::{DataRequest, Request};
use serde_json::{Value, json};

use crate::Context;
use crate::desk::Desk;
use crate::exit::{Exit, Failure};

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
    /// A CSV file with a header line.
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
/// Few at first: a planner that knows nothing of the tables yet may take a plan that is good for few rows only.
const FIRST_ROWS: usize = 25;
const ROWS_AT_A_TIME: usize = 250;

#[derive(Default, serde::Serialize)]
struct Report {
    rows: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    /// Rows, of which one may have several errors.
    skipped: usize,
    errors: Vec<Value>,
    dry_run: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let total = count_records(&args.file)?;
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
        let outcome = import(desk, &args, &store, &mut report, |rows| bar.set_position(rows)).await;
        bar.finish_and_clear();
        let lines: BTreeSet<u64> = report
            .errors
            .iter()
            .filter_map(|error| error["line"].as_u64())
            .collect();
        report.skipped = lines.len();
        if outcome.is_err() && !dry_run && report.created + report.updated > 0 {
            // What was written before it ended stays written.
            print(&report, context);
        }
        outcome.map(|()| report)
    };
    let mut report = if args.dry_run || args.on_error == OnError::Stop {
        pass(&mut desk, true).await?
    } else {
        Report::default()
    };
    let stopped = args.on_error == OnError::Stop && !report.errors.is_empty();
    if !args.dry_run && !stopped {
        report = pass(&mut desk, false).await?;
    }
    print(&report, context);
    match (report.errors.is_empty(), stopped) {
        (true, _) => Ok(Exit::Ok),
        (false, true) => Err(
            Failure::new(Exit::Failed, "nothing was imported, because some rows are wrong")
                .remedy("mend the rows above, or import the others with --on-error skip"),
        ),
        (false, false) => Ok(Exit::Partial),
    }
}

async fn import(
    desk: &mut Desk,
    args: &Args,
    store: &str,
    report: &mut Report,
    on_rows: impl Fn(u64),
) -> Result<(), Failure> {
    let mut reader = reader(&args.file)?;
    let lines = open(&args.file)?;
    let header: Vec<String> = reader
        .headers()
        .map_err(|e| malformed(&args.file, &e))?
        .iter()
        .map(str::to_owned)
        .collect();
    let mut waiting: Vec<Value> = Vec::new();
    let mut records = reader.records();
    let mut rows_at_a_time = FIRST_ROWS;
    loop {
        let mut last = false;
        let wanted = waiting.len() + rows_at_a_time;
        rows_at_a_time = (2 * rows_at_a_time).min(ROWS_AT_A_TIME);
        while waiting.len() < wanted {
            match records.next() {
                Some(Ok(record)) => {
                    let line = record.position().map_or(0, |position| line_of(&lines, position));
                    waiting.push(json!({ "line": line, "fields": record.iter().collect::<Vec<_>>() }));
                    report.rows += 1;
                }
                Some(Err(error)) => return Err(malformed(&args.file, &error)),
                None => {
                    last = true;
                    break;
                }
            }
        }
        let payload = json!({
            "header": header,
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
        let answer = desk.carry_out(Request::Data(request)).await?;
        let consumed = answer["consumed"].as_u64().unwrap_or(0) as usize;
        report.created += answer["created"].as_u64().unwrap_or(0);
        report.updated += answer["updated"].as_u64().unwrap_or(0);
        report.unchanged += answer["unchanged"].as_u64().unwrap_or(0);
        report
            .errors
            .extend(answer["errors"].as_array().cloned().unwrap_or_default());
        waiting.drain(..consumed.min(waiting.len()));
        on_rows(report.rows);
        if last {
            return Ok(());
        }
    }
}

fn print(report: &Report, context: &Context) {
    let output = &context.output;
    if output.json {
        return output.value(&serde_json::to_value(report).unwrap_or_default());
    }
    for error in &report.errors {
        let line = error["line"].as_u64().unwrap_or(0);
        output.note(&format!(
            "line {line}: {}",
            error["message"].as_str().unwrap_or("wrong")
        ));
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

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| {
        Failure::new(Exit::NotFound, format!("can't read {}: {error}", path.display()))
            .remedy("check the file's name; it must be a CSV file with a header line")
    })
}

fn reader(path: &Path) -> Result<csv::Reader<BufReader<File>>, Failure> {
    let file = BufReader::new(open(path)?);
    Ok(csv::ReaderBuilder::new().flexible(true).from_reader(file))
}

/// The line as an editor counts it. For the reader a record begins where the one before ended, which is in the middle of a
/// CR LF, and before any empty lines.
fn line_of(file: &File, position: &csv::Position) -> u64 {
    let (mut line, mut at) = (position.line(), position.byte());
    let mut bytes = [0; 32];
    while let Ok(read @ 1..) = file.read_at(&mut bytes, at) {
        let ends = bytes[..read]
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        line += bytes[..ends].iter().filter(|byte| **byte == b'\n').count() as u64;
        if ends < read {
            break;
        }
        at += read as u64;
    }
    line
}

fn count_records(path: &Path) -> Result<u64, Failure> {
    let mut record = csv::ByteRecord::new();
    let mut reader = reader(path)?;
    let mut count = 0;
    while reader
        .read_byte_record(&mut record)
        .map_err(|error| malformed(path, &error))?
    {
        count += 1;
    }
    Ok(count)
}

fn malformed(path: &Path, error: &csv::Error) -> Failure {
    let line = error
        .position()
        .map(|p| format!(" line {}:", p.line()))
        .unwrap_or_default();
    Failure::new(
        Exit::Failed,
        format!("{}:{line} not a CSV record: {error}", path.display()),
    )
    .remedy("save the file as UTF-8 CSV and try again")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_are_those_of_an_editor_whatever_ends_them() {
        for (text, expected) in [
            ("a,b\n1,2\n3,4\n", [2, 3]),
            ("a,b\r\n1,2\r\n3,4\r\n", [2, 3]),
            ("a,b\r\n\"1\r\nx\",2\r\n3,4", [2, 4]),
            ("a,b\n\n\n1,2\n\n3,4\n", [4, 6]),
        ] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let raw = open(file.path()).unwrap();
            let mut reader = reader(file.path()).unwrap();
            let lines: Vec<u64> = reader
                .records()
                .map(|record| line_of(&raw, record.unwrap().position().unwrap()))
                .collect();
            assert_eq!(lines, expected, "{text:?}");
        }
    }
}
