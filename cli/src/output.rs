//! The one place that prints. Results go to standard output, as tables for people or as JSON for machines; everything
//! else (progress, warnings, questions) goes to standard error.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use commerce_kernel::secrets::Secret;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::exit::{Exit, Failure};

#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
    pub quiet: bool,
}

/// A column of a table: its heading and the key, or dotted path of keys, that it shows.
pub type Column = (&'static str, &'static str);

impl Output {
    /// A list answer `{items: […]}`.
    pub fn list(&self, answer: &Value, columns: &[Column]) {
        if self.json {
            return self.value(answer);
        }
        let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        if items.is_empty() {
            return self.note("none");
        }
        let mut table = table();
        table.set_header(columns.iter().map(|(heading, _)| heading.to_uppercase()));
        for item in items {
            table.add_row(columns.iter().map(|(_, path)| cell(at(item, path))));
        }
        print_line(&table.to_string());
    }

    /// One thing, as lines of `key  value`.
    pub fn show(&self, answer: &Value) {
        if self.json {
            return self.value(answer);
        }
        let mut table = table();
        for (key, value) in answer.as_object().into_iter().flatten() {
            table.add_row([key.replace('_', " "), cell(value)]);
        }
        print_line(&table.to_string());
    }

    pub fn heading(&self, title: &str) {
        self.text(&format!("\n{title}"));
    }

    /// A heading with a line for each item.
    pub fn section(&self, title: &str, items: Vec<String>) {
        self.heading(title);
        if items.is_empty() {
            self.text("  none");
        }
        for item in items {
            self.text(&format!("  {item}"));
        }
    }

    pub fn value(&self, answer: &Value) {
        print_line(&serde_json::to_string_pretty(answer).unwrap_or_default());
    }

    /// A result that is text already, for people only.
    pub fn text(&self, text: &str) {
        if !self.json {
            print_line(text);
        }
    }

    /// What a person may like to know and a machine does not need.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    pub fn failure(&self, failure: &Failure) {
        if self.json {
            let error = serde_json::json!({
                "error": { "message": failure.message, "remedy": failure.remedy, "exit": failure.exit as u8 }
            });
            eprintln!("{error}");
        } else {
            eprintln!("error: {}", failure.message);
            if let Some(remedy) = &failure.remedy {
                eprintln!("  try: {remedy}");
            }
        }
    }

    /// A bar for work with a known length, a spinner without; hidden where nobody watches.
    pub fn progress(&self, step: &str, total: Option<u64>) -> ProgressBar {
        if self.quiet || !std::io::stderr().is_terminal() {
            self.note(step);
            return ProgressBar::hidden();
        }
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style("{msg:28} {bar:32} {pos}/{len} {eta}")),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {msg}")),
        };
        bar.set_message(step.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    /// Asks for a yes. Without a terminal there is nobody to ask, and that is an error instead of a hang.
    pub fn confirm(&self, question: &str, yes: bool) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::new(Exit::NeedsConfirmation, format!("{question} needs a yes"))
                .remedy("run it again with --yes"));
        }
        eprint!("{question} [y/N] ");
        let mut answer = String::new();
        std::io::stdin()
            .read_line(&mut answer)
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::new(Exit::NeedsConfirmation, "nothing was changed")),
        }
    }
}

/// As wide as the terminal. One that does not know its width (a pseudo-terminal of a script) says 0, and gets whole lines.
fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if table.width() != Some(0) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Writes a line to standard output. A reader that went away (`| head`) ends the output, not the command.
fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, key| &value[key])
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| format!("{key}: {}", cell(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

/// A password or secret: as given, `-` for the first line of standard input, or asked for without an echo.
pub fn secret_input(given: Option<String>, what: &str) -> Result<Secret<String>, Failure> {
    let text = match given.as_deref() {
        Some("-") => {
            let mut line = String::new();
            std::io::stdin()
                .read_line(&mut line)
                .map_err(|error| Failure::new(Exit::Failed, format!("can't read {what}: {error}")))?;
            Ok(line.trim_end_matches(['\r', '\n']).to_owned())
        }
        Some(given) => Ok(given.to_owned()),
        None if std::io::stdin().is_terminal() => rpassword::prompt_password(format!("{what}: "))
            .map_err(|error| Failure::new(Exit::Failed, format!("can't read {what}: {error}"))),
        None => Err(Failure::new(Exit::Usage, format!("{what} is missing"))
            .remedy("give it with its flag, or pass `-` there and write it to standard input")),
    };
    text.map(Secret::new)
}
