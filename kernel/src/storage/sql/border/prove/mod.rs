//! The second walk: proves what was printed, knowing nothing of how it was made.
//!
//! It reads the text as the engine will. The parser's understanding of the text, printed again, must be the same tokens,
//! so nothing escaped its quotes and no operator bound otherwise than meant. Every word must be one that the border
//! prints. Every occurrence of a base table must be the exact tokens of a slice, or the target of the write, whose
//! predicate must stand in the tree as `store_id = $k+1 and (…)`. As the table names are counted among the tokens and not
//! collected by a walk over a tree, no kind of node can hide one.

mod vocabulary;
mod writes;

use std::any::TypeId;

use sqlparser::ast::Statement;
use sqlparser::dialect::{Dialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Word};

use super::TableAccess;
use super::dialect::{Engine, placeholder, table_name};
use super::names::STORE_COLUMN;
use super::refusal::{Refusal, RefusalKind};
pub(super) use vocabulary::VOCABULARY;
use vocabulary::known_word;

pub(super) struct Printed<'a> {
    pub engine: Engine,
    pub text: &'a str,
    /// k
    pub arguments: usize,
    /// What the statement was found to touch.
    pub tables: &'a [TableAccess],
}

impl Printed<'_> {
    pub fn prove(&self) -> Result<(), Refusal> {
        let tokens = self.tokens(self.text)?;
        let statement = self.parse()?;
        if self.tokens(&statement.to_string())? != tokens {
            return Err(unproven("the parser reads something else than was meant"));
        }
        self.knows_every_word(&tokens)?;
        self.tables_are_slices(&tokens, &statement)
    }

    fn dialect(&self) -> &'static dyn Dialect {
        match self.engine {
            Engine::Postgres => &PostgreSqlDialect {},
            Engine::Sqlite => &SqliteText,
        }
    }

    /// Without white space, and unquoted words in lower case, as both engines read them.
    fn tokens(&self, text: &str) -> Result<Vec<Token>, Refusal> {
        let mut tokens = Tokenizer::new(self.dialect(), text)
            .tokenize()
            .map_err(|_| unproven("the tokens cannot be read"))?;
        tokens.retain(|token| !matches!(token, Token::Whitespace(_)));
        for token in &mut tokens {
            if let Token::Word(word) = token
                && word.quote_style.is_none()
            {
                word.value.make_ascii_lowercase();
            }
        }
        Ok(tokens)
    }

    fn parse(&self) -> Result<Statement, Refusal> {
        let parser = Parser::new(self.dialect()).with_recursion_limit(4_000);
        let statements = parser
            .try_with_sql(self.text)
            .and_then(|mut parser| parser.parse_statements());
        let mut statements = statements
            .map_err(|error| unproven(&format!("the text cannot be read: {error}")))?
            .into_iter();
        match (statements.next(), statements.next()) {
            (Some(statement), None) => Ok(statement),
            _ => Err(unproven("the text is not one statement")),
        }
    }

    fn knows_every_word(&self, tokens: &[Token]) -> Result<(), Refusal> {
        for token in tokens {
            match token {
                Token::Word(Word {
                    value,
                    quote_style: None,
                    ..
                }) if known_word(value) => {}
                Token::Word(Word {
                    value,
                    quote_style: None,
                    ..
                }) => {
                    return Err(unproven(&format!("the word {value} is not one that is printed")));
                }
                Token::Placeholder(name) if !self.known_placeholder(name) => {
                    return Err(unproven(&format!("{name} is not an argument")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn known_placeholder(&self, name: &str) -> bool {
        // Not by trying every number: a text with thousands of arguments would take seconds.
        let number = name.get(1..).and_then(|digits| digits.parse().ok());
        number.is_some_and(|number| {
            (1..=self.arguments + 1).contains(&number) && placeholder(self.engine, number) == name
        })
    }

    fn tables_are_slices(&self, tokens: &[Token], statement: &Statement) -> Result<(), Refusal> {
        let store_columns = tokens.iter().filter(|token| is_quoted(token, STORE_COLUMN)).count();
        let mut explained = 0;
        let mut targets = 0;
        for (name_at, name_length) in self.table_names(tokens) {
            let name = &tokens[name_at..name_at + name_length];
            if !self.tables.iter().any(|access| self.names(access, name)) {
                return Err(unproven("a table is named that was not found in the text"));
            }
            if self.is_slice(tokens, name_at, name_length) {
                explained += 1;
                continue;
            }
            let written = self
                .tables
                .iter()
                .any(|access| access.writes && self.names(access, name));
            if !written || targets > 0 {
                return Err(unproven("a table is read without its store's predicate"));
            }
            targets += 1;
        }
        if targets > 0 {
            explained += self
                .guarded_target(statement)
                .ok_or_else(|| unproven("a table is written without its store's predicate"))?;
        }
        match explained == store_columns {
            true => Ok(()),
            false => Err(unproven("the store's column stands where it should not")),
        }
    }

    /// Where base tables are named, and by how many tokens.
    fn table_names(&self, tokens: &[Token]) -> Vec<(usize, usize)> {
        match self.engine {
            Engine::Postgres => {
                let quoted = |token: &Token| {
                    matches!(
                        token,
                        Token::Word(Word {
                            quote_style: Some(_),
                            ..
                        })
                    )
                };
                let named = |window: &[Token]| quoted(&window[0]) && window[1] == Token::Period && quoted(&window[2]);
                tokens
                    .windows(3)
                    .enumerate()
                    .filter(|(_, window)| named(window))
                    .map(|(at, _)| (at, 3))
                    .collect()
            }
            Engine::Sqlite => {
                let named = |token: &Token| matches!(token, Token::Word(Word { value, quote_style: Some(_), .. }) if value.contains('.'));
                tokens
                    .iter()
                    .enumerate()
                    .filter(|(_, token)| named(token))
                    .map(|(at, _)| (at, 1))
                    .collect()
            }
        }
    }

    fn names(&self, access: &TableAccess, name: &[Token]) -> bool {
        let written: String = name.iter().map(Token::to_string).collect();
        written == table_name(self.engine, &access.plugin, &access.table)
    }

    /// `( select s."a", … from NAME as s where s."store_id" = $k+1 )`, token by token.
    fn is_slice(&self, tokens: &[Token], name_at: usize, name_length: usize) -> bool {
        let mut after = tokens[name_at + name_length..].iter();
        let store = placeholder(self.engine, self.arguments + 1);
        let mut expected = vec!["as", "s", "where", "s", ".", "\"store_id\"", "=", &store];
        if self.engine == Engine::Postgres {
            expected.extend(["::", "bigint"]);
        }
        expected.push(")");
        if !expected
            .iter()
            .all(|expected| after.next().is_some_and(|token| token.to_string() == *expected))
        {
            return false;
        }
        let mut before = tokens[..name_at].iter().rev();
        if !before.next().is_some_and(|token| is_word(token, "from")) {
            return false;
        }
        // Backwards: columns `s."a"`, commas between them, then `( select`.
        loop {
            let column = before
                .next()
                .is_some_and(|token| is_any_quoted(token) && !is_quoted(token, STORE_COLUMN));
            let qualified =
                before.next() == Some(&Token::Period) && before.next().is_some_and(|token| is_word(token, "s"));
            if !column || !qualified {
                return false;
            }
            match before.next() {
                Some(Token::Comma) => {}
                Some(token) if is_word(token, "select") => {
                    return before.next() == Some(&Token::LParen);
                }
                _ => return false,
            }
        }
    }
}

/// The parser's SQLite, with what SQLite also reads and the border prints.
#[derive(Debug)]
struct SqliteText;

impl Dialect for SqliteText {
    fn dialect(&self) -> TypeId {
        TypeId::of::<SQLiteDialect>()
    }

    fn is_delimited_identifier_start(&self, letter: char) -> bool {
        letter == '"'
    }

    fn is_identifier_start(&self, letter: char) -> bool {
        letter.is_ascii_alphabetic() || letter == '_'
    }

    fn is_identifier_part(&self, letter: char) -> bool {
        letter.is_ascii_alphanumeric() || letter == '_'
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    fn supports_insert_table_alias(&self) -> bool {
        true
    }
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(Word { value, quote_style: None, .. }) if value == word)
}

fn is_any_quoted(token: &Token) -> bool {
    matches!(
        token,
        Token::Word(Word {
            quote_style: Some('"'),
            ..
        })
    )
}

fn is_quoted(token: &Token, name: &str) -> bool {
    matches!(token, Token::Word(Word { value, quote_style: Some(_), .. }) if value == name)
}

fn unproven(why: &str) -> Refusal {
    Refusal::new(
        RefusalKind::Proof,
        format!(
            "the kernel could not prove its own translation and refuses to run it: {why}; please report this statement"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Border, Prepared, Schema, plan_migration};
    use super::*;

    fn prepared(text: &str) -> Prepared {
        let empty = Schema::empty("notes").expect("a plain name");
        let tables = "create table items (id text primary key, size bigint not null)";
        let schema = plan_migration(&empty, "items.sql", tables)
            .expect("accepted")
            .schema_after;
        Border::new(Arc::new(schema), Vec::new())
            .prepare(text)
            .expect("accepted")
    }

    /// Whether the walk still passes after a bug of the printer, which wrote `after` where it should write `before`.
    fn passes(text: &str, before: &str, after: &str) -> bool {
        let prepared = prepared(text);
        assert!(prepared.sqlite.contains(before), "{}", prepared.sqlite);
        let printed = prepared.sqlite.replacen(before, after, 1);
        let walk = Printed {
            engine: Engine::Sqlite,
            text: &printed,
            arguments: prepared.arguments,
            tables: &prepared.tables,
        };
        walk.prove().is_ok()
    }

    #[test]
    fn a_printer_that_forgets_a_predicate_is_caught() {
        let select = "select id from items where size > $1";
        assert!(passes(select, "where", "where"));
        for (before, after) in [
            (" where s.\"store_id\" = ?2", ""),
            ("s.\"store_id\" = ?2", "true"),
            ("s.\"store_id\" = ?2", "s.\"store_id\" = ?1"),
            ("s.\"store_id\" = ?2", "s.\"store_id\" <> ?2"),
            ("s.\"store_id\" = ?2", "s.\"store_id\" = ?2 or true"),
            ("s.\"store_id\" = ?2", "s.\"size\" = ?2"),
            ("s.\"id\"", "s.\"store_id\""),
            ("\"notes.items\"", "\"other.items\""),
            ("\"notes.items\"", "sqlite_schema"),
            ("t1.\"size\"", "load_extension(t1.\"size\")"),
        ] {
            assert!(!passes(select, before, after), "{before} as {after}");
        }
    }

    #[test]
    fn a_printer_that_forgets_to_guard_a_write_is_caught() {
        let update = "update items set size = 1 where id = $1 or size = 2";
        assert!(passes(update, "where", "where"));
        for (before, after) in [
            ("t1.\"store_id\" = ?2 and (", "("),
            ("t1.\"store_id\" = ?2 and (", "t1.\"store_id\" = ?1 and ("),
            ("t1.\"store_id\" = ?2 and (", "t1.\"store_id\" = ?2 or ("),
            // What joining the two conditions as text would give.
            (
                "and (((t1.\"id\" = ?1) or (t1.\"size\" = 2)))",
                "and (t1.\"id\" = ?1) or (t1.\"size\" = 2)",
            ),
            ("set \"size\"", "set \"store_id\" = 3, \"size\""),
        ] {
            assert!(!passes(update, before, after), "{before} as {after}");
        }
        let insert = "insert into items (id, size) values ($1, 5) on conflict (id) do update set size = excluded.size";
        assert!(passes(insert, "values", "values"));
        for (before, after) in [
            ("(\"store_id\", \"id\", \"size\")", "(\"id\", \"store_id\", \"size\")"),
            ("(?2, ?1, 5)", "(?1, ?2, 5)"),
            ("conflict (\"store_id\", \"id\")", "conflict (\"id\")"),
            ("where t1.\"store_id\" = ?2", "where true"),
        ] {
            assert!(!passes(insert, before, after), "{before} as {after}");
        }
    }
}
