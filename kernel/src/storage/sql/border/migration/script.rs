//! A migration file as a list of statements, each with its mark.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Token, Tokenizer, Whitespace};

use super::super::refusal::{Place, Refusal, RefusalKind};

/// Bytes.
const LONGEST_FILE: usize = 1024 * 1024;

/// In a comment line before a data statement: it also runs for each store that is created later.
const EACH_STORE: &str = "each store";

pub(super) struct Piece {
    /// Preceded by line breaks and spaces, so that places in refusals are those of the file.
    pub text: String,
    pub each_store: bool,
}

pub(super) fn statements(text: &str) -> Result<Vec<Piece>, Refusal> {
    if text.len() > LONGEST_FILE {
        return Err(Refusal::new(
            RefusalKind::TooLarge,
            format!("the file has more than {LONGEST_FILE} bytes: split it"),
        ));
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text)
        .tokenize_with_location()
        .map_err(|error| Refusal {
            kind: RefusalKind::Syntax,
            message: error.message,
            at: Place::of(error.location),
        })?;
    let lines: Vec<&str> = text.split('\n').collect();
    let mut pieces = Vec::new();
    let (mut start, mut each_store) = (None, false);
    for token in &tokens {
        match &token.token {
            Token::Whitespace(Whitespace::SingleLineComment { comment, .. }) if start.is_none() => {
                each_store |= comment.trim().eq_ignore_ascii_case(EACH_STORE);
            }
            Token::Whitespace(_) => {}
            Token::SemiColon | Token::EOF => {
                if let Some(start) = start.take() {
                    let end = match token.token {
                        Token::EOF => Location {
                            line: lines.len() as u64,
                            column: u64::MAX,
                        },
                        _ => token.span.start,
                    };
                    pieces.push(Piece {
                        text: between(&lines, start, end),
                        each_store,
                    });
                    each_store = false;
                }
            }
            _ => {
                start.get_or_insert(token.span.start);
            }
        }
    }
    if let Some(start) = start {
        let end = Location {
            line: lines.len() as u64,
            column: u64::MAX,
        };
        pieces.push(Piece {
            text: between(&lines, start, end),
            each_store,
        });
    }
    match each_store && pieces.last().is_none_or(|last| !last.each_store) {
        true => Err(Refusal::new(
            RefusalKind::Syntax,
            "`-- each store` stands before a statement, and none follows",
        )),
        false => Ok(pieces),
    }
}

/// The text from one place up to another, moved nowhere: line and column stay as they are in the file.
fn between(lines: &[&str], start: Location, end: Location) -> String {
    let mut text = "\n".repeat(start.line.saturating_sub(1) as usize);
    text.push_str(&" ".repeat(start.column.saturating_sub(1) as usize));
    for (number, line) in (1..).zip(lines.iter()) {
        if number < start.line || number > end.line {
            continue;
        }
        let from = if number == start.line { start.column - 1 } else { 0 };
        let to = if number == end.line { end.column - 1 } else { u64::MAX };
        text.extend(line.chars().skip(from as usize).take(to.saturating_sub(from) as usize));
        text.push('\n');
    }
    text
}
