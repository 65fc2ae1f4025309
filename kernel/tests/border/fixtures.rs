//! Text in, text out: every accepted statement with what both engines get, every refused one with its message.

use std::fmt::Write;

use crate::shop;

/// One statement of a fixture file: `-- name: …`, perhaps `-- arguments: [...]`, then the text.
pub struct Fixture {
    pub name: String,
    pub arguments: Vec<serde_json::Value>,
    pub text: String,
}

pub fn read(file: &str) -> Vec<Fixture> {
    let mut fixtures: Vec<Fixture> = Vec::new();
    for line in file.lines() {
        if let Some(name) = line.strip_prefix("-- name: ") {
            fixtures.push(Fixture {
                name: name.to_owned(),
                arguments: Vec::new(),
                text: String::new(),
            });
        } else if let Some(fixture) = fixtures.last_mut() {
            match line.strip_prefix("-- arguments: ") {
                Some(arguments) => fixture.arguments = serde_json::from_str(arguments).expect("arguments are JSON"),
                None if line.is_empty() => {}
                None => {
                    let separator = if fixture.text.is_empty() { "" } else { "\n" };
                    let _ = write!(fixture.text, "{separator}{line}");
                }
            }
        }
    }
    fixtures
}

pub fn accepted() -> Vec<Fixture> {
    read(include_str!("fixtures/accepted.sql"))
}

#[test]
fn accepted_texts_become_slices_on_both_engines() {
    let border = shop::border();
    let mut report = String::new();
    let mut refused = Vec::new();
    for fixture in accepted() {
        let prepared = match border.prepare(&fixture.text) {
            Ok(prepared) => prepared,
            Err(refusal) => {
                refused.push(format!("{}: {refusal}", fixture.name));
                continue;
            }
        };
        let columns: Vec<String> = prepared
            .columns
            .iter()
            .map(|column| {
                format!(
                    "{}: {}",
                    column.name,
                    column.kind.map_or("?".to_owned(), |kind| format!("{kind:?}"))
                )
            })
            .collect();
        let _ = write!(
            report,
            "## {}\n\n{}\n\npostgres: {}\nsqlite:   {}\narguments: {:?}, writes: {}, columns: [{}]\n\n",
            fixture.name,
            fixture.text,
            prepared.postgres,
            prepared.sqlite,
            prepared.argument_types,
            prepared.writes,
            columns.join(", ")
        );
    }
    assert_eq!(refused, Vec::<String>::new());
    insta::assert_snapshot!(report);
}

#[test]
fn refused_texts_say_which_construct_and_what_to_write_instead() {
    let border = shop::border();
    let (mut report, mut accepted) = (String::new(), Vec::new());
    for fixture in read(include_str!("fixtures/refused.sql")) {
        match border.prepare(&fixture.text) {
            Ok(prepared) => accepted.push(format!("{} became {}", fixture.name, prepared.postgres)),
            Err(refusal) => {
                let _ = write!(
                    report,
                    "## {}\n{}\n=> {:?}: {refusal}\n\n",
                    fixture.name, fixture.text, refusal.kind
                );
            }
        }
    }
    assert_eq!(accepted, Vec::<String>::new());
    insta::assert_snapshot!(report);
}
