//! What each function is called, and how its meaning is kept the same.

use super::super::ColumnType;
use super::super::tree::{Aggregate, AggregateFunction, Expr, Function, Node};
use super::{Engine, Printer};

/// PostgreSQL's substr counts with four bytes.
const FARTHEST: i64 = 1_000_000_000;

impl Printer<'_> {
    pub(super) fn call(&mut self, function: Function, arguments: &[Expr]) {
        let postgres = self.engine == Engine::Postgres;
        match function {
            Function::Abs => self.named("abs", arguments),
            Function::Lower => self.letters("lower", arguments),
            Function::Upper => self.letters("upper", arguments),
            Function::Replace => self.named("replace", arguments),
            Function::Trim => self.named(if postgres { "btrim" } else { "trim" }, arguments),
            Function::LeftTrim => self.named("ltrim", arguments),
            Function::RightTrim => self.named("rtrim", arguments),
            Function::Length => self.counted("length", arguments),
            Function::Strpos => self.counted(if postgres { "strpos" } else { "instr" }, arguments),
            Function::Substr => self.substr(arguments),
            // To one millisecond, the finest that SQLite has, and of the statement, not of the transaction.
            Function::Now if postgres => {
                self.push("pg_catalog.date_trunc('milliseconds', pg_catalog.statement_timestamp())");
            }
            Function::Now => self.push("(strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')"),
            // Halves go away from zero: so rounds numeric on PostgreSQL, whose double precision goes to even.
            Function::Round if postgres => {
                self.around("pg_catalog.round(", &arguments[0], "::numeric)::double precision")
            }
            Function::Round => self.named("round", arguments),
            Function::Coalesce => match arguments {
                // SQLite's needs two.
                [value] => self.expr(value),
                values => self.keyword("coalesce", values),
            },
            Function::Nullif => self.keyword("nullif", arguments),
            Function::Greatest => self.extreme(if postgres { "greatest" } else { "max" }, arguments),
            Function::Least => self.extreme(if postgres { "least" } else { "min" }, arguments),
            Function::JsonObject => self.json_object(arguments),
            Function::JsonArray => self.json_array(arguments),
            Function::JsonSet => self.json_set(arguments),
            Function::JsonRemove => self.json_remove(arguments),
        }
    }

    /// A call that nothing in a search path can replace.
    pub(super) fn named(&mut self, name: &str, arguments: &[Expr]) {
        if self.engine == Engine::Postgres {
            self.push("pg_catalog.");
        }
        self.keyword(name, arguments);
    }

    /// What PostgreSQL's grammar knows by name, and no schema has.
    fn keyword(&mut self, name: &str, arguments: &[Expr]) {
        self.push(name);
        self.push("(");
        self.list(arguments, ", ", |p, argument| p.expr(argument));
        self.push(")");
    }

    fn letters(&mut self, name: &str, arguments: &[Expr]) {
        if self.engine == Engine::Postgres {
            self.push("pg_catalog.");
        }
        self.push(name);
        self.push("(");
        self.list(arguments, ", ", |p, argument| p.bytewise(argument));
        self.push(")");
    }

    /// PostgreSQL counts with four bytes, plugins with eight.
    fn counted(&mut self, name: &str, arguments: &[Expr]) {
        self.named(name, arguments);
        self.of_kind(ColumnType::Bigint);
    }

    /// Positions below 1 mean the start and lengths below 0 nothing: SQLite would count from the end.
    fn substr(&mut self, arguments: &[Expr]) {
        let postgres = self.engine == Engine::Postgres;
        self.push(if postgres { "pg_catalog.\"substr\"(" } else { "substr(" });
        for (index, argument) in arguments.iter().enumerate() {
            if index == 0 {
                self.expr(argument);
                continue;
            }
            let least = if index == 1 { 1 } else { 0 };
            self.push(", ");
            match argument.node {
                Node::Integer(number) => self.push(&number.clamp(least, FARTHEST).to_string()),
                _ => {
                    self.around("(case when ", argument, &format!(" < {least} then {least} when "));
                    self.around("", argument, &format!(" > {FARTHEST} then {FARTHEST} else "));
                    self.around("", argument, " end)");
                    if postgres {
                        self.push("::integer");
                    }
                }
            }
        }
        self.push(")");
    }

    /// NULLs are left out, as PostgreSQL does; SQLite's answer would be NULL.
    fn extreme(&mut self, name: &str, arguments: &[Expr]) {
        self.push(name);
        self.push("(");
        match (self.engine, arguments) {
            (Engine::Sqlite, [left, right]) if left.nullable || right.nullable => {
                for (first, second, after) in [(left, right, ", "), (right, left, "")] {
                    self.around("coalesce(", first, ", ");
                    self.around("", second, ")");
                    self.push(after);
                }
            }
            _ => self.list(arguments, ", ", |p, argument| p.bytewise(argument)),
        }
        self.push(")");
    }

    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) {
        let postgres = self.engine == Engine::Postgres;
        let Aggregate {
            function,
            arguments,
            distinct,
            order,
            filter,
            over,
        } = aggregate;
        let name = match (function, self.engine) {
            (AggregateFunction::Average, _) => "avg",
            (AggregateFunction::BoolAnd, Engine::Postgres) => "bool_and",
            (AggregateFunction::BoolOr, Engine::Postgres) => "bool_or",
            (AggregateFunction::BoolAnd | AggregateFunction::Min, _) => "min",
            (AggregateFunction::BoolOr | AggregateFunction::Max, _) => "max",
            (AggregateFunction::Count, _) => "count",
            (AggregateFunction::DenseRank, _) => "dense_rank",
            (AggregateFunction::JsonAgg, Engine::Postgres) => "jsonb_agg",
            (AggregateFunction::JsonAgg, Engine::Sqlite) => "json_group_array",
            (AggregateFunction::Lag, _) => "lag",
            (AggregateFunction::Lead, _) => "lead",
            (AggregateFunction::Rank, _) => "rank",
            (AggregateFunction::RowNumber, _) => "row_number",
            (AggregateFunction::StringAgg, _) => "string_agg",
            (AggregateFunction::Sum, _) => "sum",
        };
        // The sum of bigint is numeric on PostgreSQL, and its JSON array of no rows is NULL.
        let (before, after) = match (function, postgres) {
            (AggregateFunction::Sum, true) => ("(", format!(")::{}", arguments[0].kind.sql())),
            (AggregateFunction::JsonAgg, true) => ("coalesce(", ", '[]'::jsonb)".to_owned()),
            _ => ("", String::new()),
        };
        self.push(before);
        self.push(if postgres { "pg_catalog." } else { "" });
        self.push(name);
        self.push(if *distinct { "(distinct " } else { "(" });
        match (function, arguments.is_empty()) {
            (AggregateFunction::Count, true) => self.push("*"),
            (AggregateFunction::JsonAgg, _) => self.list(arguments, ", ", |p, argument| p.json_value(argument)),
            (AggregateFunction::Min | AggregateFunction::Max, _) => {
                self.list(arguments, ", ", |p, argument| p.bytewise(argument))
            }
            _ => self.list(arguments, ", ", |p, argument| p.expr(argument)),
        }
        self.order(order);
        self.push(")");
        if let Some(filter) = filter {
            self.around(" filter (where ", filter, ")");
        }
        if let Some(window) = over {
            self.push(" over (");
            if !window.partition.is_empty() {
                self.push("partition by ");
                self.list(&window.partition, ", ", |p, key| p.expr(key));
            }
            self.order(&window.order);
            self.push(")");
        }
        self.push(&after);
    }
}
