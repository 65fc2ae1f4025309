//! JSON: `jsonb` on PostgreSQL, text with SQLite's JSON functions.

use super::super::ColumnType;
use super::super::names;
use super::super::tree::{Expr, JsonStep, Node};
use super::{Engine, Printer};

impl Printer<'_> {
    /// `value = any($1)`: on PostgreSQL an array, which an index serves like an IN list.
    pub(super) fn in_array(&mut self, negated: bool, value: &Expr, array: &Expr) {
        self.push("(");
        self.expr(value);
        match self.engine {
            Engine::Postgres => {
                self.push(if negated {
                    " <> all(array(select e.v"
                } else {
                    " = any(array(select e.v"
                });
                self.of_kind(value.kind);
                self.around(" from pg_catalog.jsonb_array_elements_text(", array, ") as e(v))))");
            }
            Engine::Sqlite => {
                let kind = if value.kind == ColumnType::Bigint {
                    "integer"
                } else {
                    "text"
                };
                self.push(if negated { " not in " } else { " in " });
                self.around(
                    &format!("(select cast(e.value as {kind}) from json_each("),
                    array,
                    ") as e))",
                );
            }
        }
    }

    /// The rows of a JSON array of objects; a missing or null member is NULL.
    pub(super) fn json_rows(&mut self, rows: &Expr, columns: &[(String, ColumnType)]) {
        self.push("(select ");
        match self.engine {
            Engine::Postgres => {
                self.list(columns, ", ", |p, (name, kind)| {
                    let name = names::quoted(name);
                    p.push(&format!("r.{name}"));
                    if *kind == ColumnType::Text {
                        p.push(" collate \"C\"");
                    }
                    p.push(&format!(" as {name}"));
                });
                self.around(" from pg_catalog.jsonb_to_recordset(", rows, ") as r(");
                self.list(columns, ", ", |p, (name, kind)| {
                    p.push(&format!("{} {}", names::quoted(name), kind.sql()))
                });
                self.push("))");
            }
            Engine::Sqlite => {
                self.list(columns, ", ", |p, (name, kind)| {
                    let path = json_path_text(&[JsonStep::Key(name.clone())]);
                    p.json_member(&path, *kind);
                    p.push(&format!(" as {}", names::quoted(name)));
                });
                self.around(" from json_each(", rows, ") as e)");
            }
        }
    }

    fn json_member(&mut self, path: &str, kind: ColumnType) {
        match kind {
            ColumnType::Text => self.json_text("e.value", path),
            ColumnType::Bigint => self.push(&format!("cast(json_extract(e.value, '{path}') as integer)")),
            ColumnType::Double => self.push(&format!("cast(json_extract(e.value, '{path}') as real)")),
            // Other than the fixed form is brought into it, to the millisecond.
            ColumnType::Timestamptz => {
                let value = format!("json_extract(e.value, '{path}')");
                let shape = "____-__-__T__:__:__.______Z";
                self.push(&format!(
                    "(case when {value} like '{shape}' then {value} else (strftime('%Y-%m-%dT%H:%M:%f', {value}) || '000Z') end)"
                ));
            }
            ColumnType::Jsonb => self.push(&format!("nullif(e.value -> '{path}', 'null')")),
            ColumnType::Boolean | ColumnType::Bytea => self.push(&format!("json_extract(e.value, '{path}')")),
        }
    }

    pub(super) fn json_path(&mut self, base: &Expr, path: &[JsonStep], as_text: bool) {
        match self.engine {
            Engine::Postgres => {
                self.push("(");
                self.expr(base);
                for (index, step) in path.iter().enumerate() {
                    self.push(if as_text && index + 1 == path.len() {
                        " ->> "
                    } else {
                        " -> "
                    });
                    match step {
                        JsonStep::Key(key) => self.text(key),
                        JsonStep::Index(index) => self.push(&index.to_string()),
                    }
                }
                self.push(")");
            }
            Engine::Sqlite if as_text => {
                let mut printed = Printer {
                    engine: self.engine,
                    out: String::new(),
                    ..*self
                };
                printed.expr(base);
                let base = printed.out;
                self.json_text(&base, &json_path_text(path));
            }
            Engine::Sqlite => {
                self.around("(", base, " -> ");
                self.push(&format!("'{}')", json_path_text(path)));
            }
        }
    }

    /// SQLite's `->>` gives a number as a number and true as 1; PostgreSQL's gives text.
    fn json_text(&mut self, base: &str, path: &str) {
        self.push(&format!(
            "(case json_type({base}, '{path}') when 'null' then null when 'text' then {base} ->> '{path}' else {base} -> '{path}' end)"
        ));
    }

    /// A value on its way into a JSON document.
    pub(super) fn json_value(&mut self, value: &Expr) {
        match (value.kind, self.engine) {
            (ColumnType::Timestamptz, Engine::Postgres) => self.time_as_text(value),
            (ColumnType::Jsonb, Engine::Sqlite) => self.around("json(", value, ")"),
            (ColumnType::Boolean, Engine::Sqlite) => {
                self.push("json(");
                self.boolean_as_text(value);
                self.push(")");
            }
            _ => self.expr(value),
        }
    }

    pub(super) fn json_object(&mut self, arguments: &[Expr]) {
        self.push(match self.engine {
            Engine::Postgres => "pg_catalog.jsonb_build_object(",
            Engine::Sqlite => "json_object(",
        });
        self.list(arguments, ", ", |p, argument| p.json_value(argument));
        self.push(")");
    }

    pub(super) fn json_array(&mut self, arguments: &[Expr]) {
        self.push(match self.engine {
            Engine::Postgres => "pg_catalog.jsonb_build_array(",
            Engine::Sqlite => "json_array(",
        });
        self.list(arguments, ", ", |p, argument| p.json_value(argument));
        self.push(")");
    }

    /// Sets one member of an object; NULL counts as `{}`, and a NULL value as JSON's null.
    pub(super) fn json_set(&mut self, arguments: &[Expr]) {
        let [document, key, value] = arguments else {
            return;
        };
        match self.engine {
            Engine::Postgres => {
                self.around("pg_catalog.jsonb_set(coalesce(", document, ", '{}'::jsonb), array[");
                self.json_key(key);
                self.around("], coalesce(", value, ", 'null'::jsonb))");
            }
            Engine::Sqlite => {
                self.around("json_set(coalesce(", document, ", '{}'), ");
                self.sqlite_key_path(key);
                self.around(", json(coalesce(", value, ", 'null')))");
            }
        }
    }

    pub(super) fn json_remove(&mut self, arguments: &[Expr]) {
        let [document, key] = arguments else { return };
        match self.engine {
            Engine::Postgres => {
                self.around("(", document, " - ");
                self.json_key(key);
                self.push(")");
            }
            Engine::Sqlite => {
                self.around("json_remove(", document, ", ");
                self.sqlite_key_path(key);
                self.push(")");
            }
        }
    }

    fn sqlite_key_path(&mut self, key: &Expr) {
        self.push("('$.\"' || ");
        self.json_key(key);
        self.push(" || '\"')");
    }

    /// A key from an argument loses what would be path syntax on SQLite, on both engines alike.
    fn json_key(&mut self, key: &Expr) {
        match (&key.node, self.engine) {
            (Node::Argument(_), Engine::Postgres) => {
                self.around(
                    "coalesce(pg_catalog.replace(pg_catalog.replace(",
                    key,
                    ", '\"', ''), '\\', ''), '')",
                );
            }
            (Node::Argument(_), Engine::Sqlite) => {
                self.around("coalesce(replace(replace(", key, ", '\"', ''), '\\', ''), '')")
            }
            _ => self.expr(key),
        }
    }
}

/// `$."key"[0]`, safe inside a string literal: quotes and backslashes were refused, and apostrophes are doubled here.
fn json_path_text(path: &[JsonStep]) -> String {
    let mut text = String::from("$");
    for step in path {
        match step {
            JsonStep::Key(key) => text.push_str(&format!(".\"{}\"", key.replace('\'', "''"))),
            JsonStep::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}
