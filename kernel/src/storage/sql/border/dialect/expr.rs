//! Expressions.

use super::super::ColumnType;
use super::super::names;
use super::super::tree::{Arithmetic, Expr, Node};
use super::{BARE, Engine, Printer, placeholder};

/// Operands written one after the other for SQLite.
const LONGEST_CHAIN: usize = 16;

impl Printer<'_> {
    #[recursive::recursive]
    pub(super) fn expr(&mut self, expr: &Expr) {
        match &expr.node {
            Node::Column { id, name } if *id == self.unqualified || *id == BARE => self.push(&names::quoted(name)),
            Node::Column { id, name } => self.push(&format!("t{id}.{}", names::quoted(name))),
            Node::Excluded(name) => self.push(&format!("excluded.{}", names::quoted(name))),
            Node::Argument(number) => {
                let placeholder = placeholder(self.engine, *number);
                self.push(&placeholder);
                self.of_kind(expr.kind);
            }
            Node::Null => {
                self.push("null");
                self.of_kind(expr.kind);
            }
            Node::Text(text) | Node::Timestamp(text) => {
                self.text(text);
                self.of_kind(expr.kind);
            }
            Node::Integer(number) => {
                self.number(&number.to_string());
                self.of_kind(expr.kind);
            }
            Node::Double(number) => {
                self.number(number);
                self.of_kind(expr.kind);
            }
            Node::Boolean(value) => self.push(if *value { "true" } else { "false" }),
            Node::All(parts) => self.chain(parts, " and "),
            Node::Any(parts) => self.chain(parts, " or "),
            Node::Concat(parts) => self.chain(parts, " || "),
            Node::Not(value) => self.around("(not ", value, ")"),
            Node::Negative(value) => self.around("(- ", value, ")"),
            Node::Compare { operator, left, right } => {
                self.push("(");
                self.compared(left, operator.orders());
                self.push(&format!(" {} ", operator.symbol()));
                self.compared(right, operator.orders());
                self.push(")");
            }
            Node::CompareRows { operator, left, right } => {
                self.push("((");
                self.list(left, ", ", |p, value| p.compared(value, operator.orders()));
                self.push(&format!(") {} (", operator.symbol()));
                self.list(right, ", ", |p, value| p.compared(value, operator.orders()));
                self.push("))");
            }
            Node::Distinct { negated, left, right } => {
                self.around(
                    "(",
                    left,
                    if *negated {
                        " is not distinct from "
                    } else {
                        " is distinct from "
                    },
                );
                self.expr(right);
                self.push(")");
            }
            Node::IsNull { negated, value } => {
                self.around("(", value, if *negated { " is not null)" } else { " is null)" })
            }
            Node::IsBoolean { negated, truth, value } => {
                let after = match (negated, truth) {
                    (false, true) => " is true)",
                    (false, false) => " is false)",
                    (true, true) => " is not true)",
                    (true, false) => " is not false)",
                };
                self.around("(", value, after);
            }
            Node::Between {
                negated,
                value,
                low,
                high,
            } => {
                self.push("(");
                self.compared(value, true);
                self.push(if *negated { " not between " } else { " between " });
                self.compared(low, true);
                self.push(" and ");
                self.compared(high, true);
                self.push(")");
            }
            // PostgreSQL's default escape is the backslash, and SQLite has none: it is always said.
            Node::Like {
                negated,
                value,
                pattern,
                escape,
            } => {
                self.around("(", value, if *negated { " not like " } else { " like " });
                self.expr(pattern);
                self.push(" escape ");
                self.text(&escape.to_string());
                self.push(")");
            }
            Node::InList { negated, value, list } => {
                self.around("(", value, if *negated { " not in (" } else { " in (" });
                self.list(list, ", ", |p, item| match &item.node {
                    // At its head it would be read as the subquery of `in (select …)`.
                    Node::Scalar(_) => p.around("(case when true then ", item, " end)"),
                    _ => p.expr(item),
                });
                self.push("))");
            }
            Node::InQuery { negated, values, query } => {
                self.push("(");
                match values.as_slice() {
                    [value] => self.expr(value),
                    values => {
                        self.push("(");
                        self.list(values, ", ", |p, value| p.expr(value));
                        self.push(")");
                    }
                }
                self.push(if *negated { " not in (" } else { " in (" });
                self.query(query);
                self.push("))");
            }
            Node::InArray { negated, value, array } => self.in_array(*negated, value, array),
            Node::Exists { negated, query } => {
                self.push(if *negated { "(not exists (" } else { "(exists (" });
                self.query(query);
                self.push("))");
            }
            Node::Scalar(query) => {
                self.push("(");
                self.query(query);
                self.push(")");
            }
            Node::Arithmetic { operator, left, right } => self.arithmetic(*operator, left, right),
            Node::Case {
                operand,
                arms,
                otherwise,
            } => {
                self.push("(case");
                if let Some(operand) = operand {
                    self.push(" ");
                    self.expr(operand);
                }
                for (condition, result) in arms {
                    self.around(" when ", condition, " then ");
                    self.expr(result);
                }
                if let Some(otherwise) = otherwise {
                    self.push(" else ");
                    self.expr(otherwise);
                }
                self.push(" end)");
            }
            Node::Convert(value) => self.convert(value, expr.kind),
            Node::JsonPath { base, path, as_text } => self.json_path(base, path, *as_text),
            Node::Call { function, arguments } => self.call(*function, arguments),
            Node::Aggregate(aggregate) => self.aggregate(aggregate),
        }
    }

    pub(super) fn around(&mut self, before: &str, value: &Expr, after: &str) {
        self.push(before);
        self.expr(value);
        self.push(after);
    }

    /// SQLite makes a chain into a tree as deep as the chain is long, and refuses deep trees: a long one is halved.
    fn chain(&mut self, parts: &[Expr], operator: &str) {
        self.push("(");
        match parts.split_at(parts.len() / 2) {
            (first, last) if self.engine == Engine::Sqlite && parts.len() > LONGEST_CHAIN => {
                self.chain(first, operator);
                self.push(operator);
                self.chain(last, operator);
            }
            _ => self.list(parts, operator, |p, part| p.expr(part)),
        }
        self.push(")");
    }

    pub(super) fn text(&mut self, text: &str) {
        self.push("'");
        self.push(&text.replace('\'', "''"));
        self.push("'");
    }

    /// A minus would bind less tightly than the cast after it, and two of them would begin a comment.
    fn number(&mut self, digits: &str) {
        match digits.starts_with('-') {
            true => self.push(&format!("({digits})")),
            false => self.push(digits),
        }
    }

    /// PostgreSQL is told the type of every value; on SQLite a value brings its own.
    pub(super) fn of_kind(&mut self, kind: ColumnType) {
        if self.engine == Engine::Postgres {
            self.push("::");
            self.push(kind.sql());
        }
    }

    fn compared(&mut self, value: &Expr, ordered: bool) {
        match ordered {
            true => self.bytewise(value),
            false => self.expr(value),
        }
    }

    /// Text whose order or letters matter: compared byte by byte, as SQLite does, and not by the database's locale.
    pub(super) fn bytewise(&mut self, value: &Expr) {
        let needs_collation =
            self.engine == Engine::Postgres && value.kind == ColumnType::Text && !inherits_collation(value);
        match needs_collation {
            true => self.around("((", value, ") collate \"C\")"),
            false => self.expr(value),
        }
    }

    /// Division by zero fails on PostgreSQL and is NULL on SQLite: NULL on both.
    fn arithmetic(&mut self, operator: Arithmetic, left: &Expr, right: &Expr) {
        let symbol = match operator {
            Arithmetic::Add => " + ",
            Arithmetic::Subtract => " - ",
            Arithmetic::Multiply => " * ",
            Arithmetic::Divide => " / ",
            Arithmetic::Remainder => " % ",
        };
        self.around("(", left, symbol);
        match (operator, self.engine) {
            (Arithmetic::Divide | Arithmetic::Remainder, Engine::Postgres) => self.around("nullif(", right, ", 0)"),
            _ => self.expr(right),
        }
        self.push(")");
    }

    fn convert(&mut self, value: &Expr, kind: ColumnType) {
        match (value.kind, kind, self.engine) {
            (ColumnType::Timestamptz, _, Engine::Postgres) => self.time_as_text(value),
            (ColumnType::Timestamptz, _, Engine::Sqlite)
            | (ColumnType::Boolean, ColumnType::Bigint, Engine::Sqlite) => {
                self.expr(value);
            }
            (ColumnType::Boolean, ColumnType::Bigint, Engine::Postgres) => self.around("", value, "::integer::bigint"),
            (ColumnType::Boolean, _, Engine::Sqlite) => self.boolean_as_text(value),
            (_, kind, Engine::Postgres) => {
                self.expr(value);
                self.of_kind(kind);
            }
            (_, ColumnType::Double, Engine::Sqlite) => self.around("cast(", value, " as real)"),
            (_, ColumnType::Bigint, Engine::Sqlite) => self.around("cast(", value, " as integer)"),
            (_, _, Engine::Sqlite) => self.around("cast(", value, " as text)"),
        }
    }

    pub(super) fn time_as_text(&mut self, value: &Expr) {
        self.around(
            "pg_catalog.to_char(",
            value,
            " at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
        );
    }

    pub(super) fn boolean_as_text(&mut self, value: &Expr) {
        self.around("(case ", value, " when 1 then 'true' when 0 then 'false' end)");
    }
}

/// Whether PostgreSQL takes the expression's collation from a column, all of which are `collate "C"`.
fn inherits_collation(value: &Expr) -> bool {
    match &value.node {
        Node::Column { .. } | Node::Excluded(_) | Node::Scalar(_) => true,
        Node::Concat(parts) => parts.iter().any(inherits_collation),
        Node::Case {
            operand: _,
            arms,
            otherwise,
        } => {
            arms.iter().any(|(_, result)| inherits_collation(result)) || otherwise.iter().any(|e| inherits_collation(e))
        }
        Node::Call { function: _, arguments } => arguments
            .iter()
            .any(|e| e.kind == ColumnType::Text && inherits_collation(e)),
        Node::Aggregate(aggregate) => aggregate
            .arguments
            .first()
            .is_some_and(|e| e.kind == ColumnType::Text && inherits_collation(e)),
        _ => false,
    }
}
