//! The functions that plugin SQL has. One that is neither in this table nor in that of the [`aggregates`] does not exist.

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::super::ColumnType::{self, Bigint, Double, Jsonb, Text, Timestamptz};
use super::super::names;
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::tree::{Expr, Function, Node};
use super::conditions::comparable;
use super::operators::{json_step, number};
use super::{Checker, aggregates};

/// A text grows at most by this power of two.
const MOST_PRINTED_TWICE: usize = 6;

fn scalar(name: &str) -> Option<Function> {
    Some(match name {
        "abs" => Function::Abs,
        "coalesce" => Function::Coalesce,
        "current_timestamp" | "now" => Function::Now,
        "greatest" => Function::Greatest,
        "json_array" => Function::JsonArray,
        "json_object" => Function::JsonObject,
        "json_remove" => Function::JsonRemove,
        "json_set" => Function::JsonSet,
        "least" => Function::Least,
        "length" => Function::Length,
        "lower" => Function::Lower,
        "ltrim" => Function::LeftTrim,
        "nullif" => Function::Nullif,
        "replace" => Function::Replace,
        "round" => Function::Round,
        "rtrim" => Function::RightTrim,
        "strpos" => Function::Strpos,
        "substr" => Function::Substr,
        "trim" => Function::Trim,
        "upper" => Function::Upper,
        _ => return None,
    })
}

/// What to write instead of what authors reach for.
fn instead(name: &str) -> &'static str {
    match name {
        "jsonb_build_object" | "json_build_object" => ": use json_object",
        "jsonb_build_array" | "json_build_array" => ": use json_array",
        "jsonb_agg" | "array_agg" | "json_group_array" | "json_arrayagg" => ": use json_agg",
        "jsonb_set" => ": use json_set",
        "group_concat" => ": use string_agg",
        "concat" | "concat_ws" | "format" => ": use ||",
        "ifnull" | "nvl" => ": use coalesce",
        "char_length" | "character_length" => ": use length",
        "instr" | "position" => ": use strpos",
        "date_trunc" | "date_part" | "to_char" | "age" | "strftime" => ": compute times in the plugin",
        "gen_random_uuid" | "uuid_generate_v4" | "random" => ": make ids in the plugin, with ids.new",
        "nextval" | "currval" | "lastval" => ": there are no sequences; make ids in the plugin, with ids.new",
        _ => "; docs/sql.md lists those that are",
    }
}

impl Checker<'_> {
    pub(super) fn function(&mut self, function: &ast::Function, want: Option<ColumnType>) -> Result<Expr, Refusal> {
        let ast::Function {
            name,
            uses_odbc_syntax,
            parameters,
            args,
            within_group,
            filter,
            null_treatment,
            over,
        } = function;
        let written = match name.0.as_slice() {
            [ast::ObjectNamePart::Identifier(ident)] => names::written(ident),
            _ => name.to_string().to_ascii_lowercase(),
        };
        refuse_if!(
            *uses_odbc_syntax => "{fn …} is refused: write the function's name",
            *parameters != FunctionArguments::None => "parameters before a function's arguments are refused",
            !within_group.is_empty() => "WITHIN GROUP is refused",
            null_treatment.is_some() => "IGNORE NULLS and RESPECT NULLS are refused",
        );
        if let Some(function) = aggregates::named(&written) {
            return self.aggregate(function, &written, args, filter.as_deref(), over.as_ref());
        }
        let Some(function) = scalar(&written) else {
            return Err(Refusal::new(
                RefusalKind::UnknownFunction,
                format!("the function {written} is not offered{}", instead(&written)),
            ));
        };
        refuse_if!(
            filter.is_some() => format!("FILTER goes with an aggregate, and {written} is none"),
            over.is_some() => format!("OVER goes with an aggregate or a window function, and {written} is neither"),
        );
        let arguments = match args {
            FunctionArguments::None => Vec::new(),
            FunctionArguments::Subquery(_) => {
                return Err(Refusal::not_allowed(format!(
                    "{written}(select …) is refused: add parentheses"
                )));
            }
            FunctionArguments::List(list) => {
                refuse_if!(
                    list.duplicate_treatment.is_some() => format!("DISTINCT goes with an aggregate, and {written} is none"),
                    !list.clauses.is_empty() => format!("{written} takes plain arguments only"),
                );
                plain(&list.args, &written)?
            }
        };
        self.call(function, &written, &arguments, want)
    }

    /// The forms that SQL spells with keywords: `substring(x from 1 for 2)`, `trim(both ' ' from x)`.
    pub(super) fn special_function(&mut self, expr: &ast::Expr) -> Result<Expr, Refusal> {
        match expr {
            ast::Expr::Substring {
                expr,
                substring_from,
                substring_for,
                special: _,
                shorthand: _,
            } => {
                let Some(from) = substring_from else {
                    return Err(Refusal::not_allowed("substring needs its start: substr(text, 1, 10)"));
                };
                let mut arguments: Vec<&ast::Expr> = vec![expr, from];
                arguments.extend(substring_for.as_deref());
                self.call(Function::Substr, "substr", &arguments, None)
            }
            ast::Expr::Trim {
                trim_where,
                trim_what,
                expr,
                trim_characters,
            } => {
                refuse_if!(
                    trim_where.is_some() || trim_what.is_some() => "trim(… from …) is refused: write trim(text, characters), ltrim or rtrim",
                );
                let mut arguments: Vec<&ast::Expr> = vec![expr];
                arguments.extend(trim_characters.iter().flatten());
                self.call(Function::Trim, "trim", &arguments, None)
            }
            ast::Expr::Position { expr, r#in } => self.call(Function::Strpos, "strpos", &[r#in, expr], None),
            _ => Err(Refusal::new(RefusalKind::Proof, "not a function with keywords")),
        }
    }

    fn call(
        &mut self,
        function: Function,
        name: &str,
        written: &[&ast::Expr],
        want: Option<ColumnType>,
    ) -> Result<Expr, Refusal> {
        let count = |allowed: std::ops::RangeInclusive<usize>| match allowed.contains(&written.len()) {
            true => Ok(()),
            false => Err(Refusal::wrong_type(format!(
                "{name} does not take {} arguments",
                written.len()
            ))),
        };
        let (arguments, kind) = match function {
            Function::Now => {
                count(0..=0)?;
                (Vec::new(), Timestamptz)
            }
            Function::Abs => {
                count(1..=1)?;
                let value = self.expr(written[0], want).and_then(number)?;
                let kind = value.kind;
                (vec![value], kind)
            }
            Function::Round => {
                count(1..=1)?;
                (vec![self.expr_of(written[0], Double, "the argument of round")?], Double)
            }
            Function::Lower | Function::Upper => {
                count(1..=1)?;
                (self.texts(name, written)?, Text)
            }
            Function::Length => {
                count(1..=1)?;
                let value = self.expr(written[0], Some(Text))?;
                if !matches!(value.kind, Text | ColumnType::Bytea) {
                    return Err(Refusal::wrong_type(format!(
                        "length takes text or bytea, and this is {}",
                        value.kind.sql()
                    )));
                }
                (vec![value], Bigint)
            }
            Function::Trim | Function::LeftTrim | Function::RightTrim => {
                count(1..=2)?;
                (self.texts(name, written)?, Text)
            }
            Function::Replace => {
                count(3..=3)?;
                let arguments = self.texts(name, written)?;
                // Each letter may become the replacement: a long one would multiply a text in the database's memory.
                if !matches!(&arguments[2].node, Node::Text(text) if text.len() <= 64) {
                    return Err(Refusal::not_allowed(
                        "the replacement in replace is a constant of at most 64 bytes",
                    ));
                }
                (arguments, Text)
            }
            Function::Strpos => {
                count(2..=2)?;
                (self.texts(name, written)?, Bigint)
            }
            Function::Substr => {
                count(2..=3)?;
                let mut arguments = self.texts(name, &written[..1])?;
                for position in &written[1..] {
                    let position = self.expr_of(position, Bigint, "a position in substr")?;
                    // It prints more than once.
                    if !matches!(position.node, Node::Integer(_) | Node::Argument(_)) {
                        return Err(Refusal::not_allowed("substr takes constants or arguments as positions"));
                    }
                    arguments.push(position);
                }
                (arguments, Text)
            }
            Function::Coalesce => {
                count(1..=20)?;
                let arguments = self.alike(written, want)?;
                let kind = arguments[0].kind;
                (arguments, kind)
            }
            Function::Nullif => {
                count(2..=2)?;
                let (left, right) = self.pair(written[0], written[1])?;
                comparable(&left, false)?;
                let kind = left.kind;
                (vec![left, right], kind)
            }
            Function::Greatest | Function::Least => {
                count(2..=20)?;
                let arguments = self.alike(written, want)?;
                comparable(&arguments[0], true)?;
                // PostgreSQL leaves NULLs out and SQLite answers NULL; the translation prints each argument twice.
                if arguments.len() > 2 && arguments.iter().any(|argument| argument.nullable) {
                    return Err(Refusal::not_allowed(format!(
                        "{name} of more than two values that may be NULL is refused: wrap them in coalesce"
                    )));
                }
                // One inside the other, forty deep, would print a terabyte.
                if arguments.iter().map(printed_twice).sum::<usize>() > MOST_PRINTED_TWICE {
                    return Err(Refusal::new(
                        RefusalKind::TooLarge,
                        "too many greatest and least of values that may be NULL stand inside each other: select the inner ones in a subquery in FROM",
                    ));
                }
                let kind = arguments[0].kind;
                (arguments, kind)
            }
            Function::JsonObject => {
                if !written.len().is_multiple_of(2) {
                    return Err(Refusal::wrong_type(
                        "json_object takes pairs: json_object('key', value, …)",
                    ));
                }
                count(0..=100)?;
                let mut arguments = Vec::with_capacity(written.len());
                for pair in written.chunks_exact(2) {
                    json_step(pair[0])?;
                    arguments.push(self.expr_of(pair[0], Text, "a key of json_object")?);
                    arguments.push(self.json_value(pair[1])?);
                }
                (arguments, Jsonb)
            }
            Function::JsonArray => {
                count(0..=100)?;
                let mut arguments = Vec::with_capacity(written.len());
                for value in written {
                    arguments.push(self.json_value(value)?);
                }
                (arguments, Jsonb)
            }
            Function::JsonSet => {
                count(3..=3)?;
                let arguments = vec![
                    self.expr_of(written[0], Jsonb, "the first argument of json_set")?,
                    self.json_key(written[1])?,
                    self.expr_of(written[2], Jsonb, "the value of json_set")?,
                ];
                (arguments, Jsonb)
            }
            Function::JsonRemove => {
                count(2..=2)?;
                (
                    vec![
                        self.expr_of(written[0], Jsonb, "the first argument of json_remove")?,
                        self.json_key(written[1])?,
                    ],
                    Jsonb,
                )
            }
        };
        Ok(called(function, arguments, kind))
    }

    fn texts(&mut self, name: &str, written: &[&ast::Expr]) -> Result<Vec<Expr>, Refusal> {
        let what = format!("the argument of {name}");
        written
            .iter()
            .map(|argument| self.expr_of(argument, Text, &what))
            .collect()
    }

    fn json_key(&mut self, key: &ast::Expr) -> Result<Expr, Refusal> {
        let key = self.expr_of(key, Text, "a JSON key")?;
        match &key.node {
            Node::Text(text) if text.contains(['"', '\\']) => {
                Err(Refusal::not_allowed("a JSON key may not contain quotes or backslashes"))
            }
            Node::Text(_) | Node::Argument(_) => Ok(key),
            _ => Err(Refusal::not_allowed("a JSON key is a constant or an argument")),
        }
    }

    pub(super) fn json_value(&mut self, value: &ast::Expr) -> Result<Expr, Refusal> {
        let value = self.expr(value, None)?;
        match value.kind {
            ColumnType::Bytea => Err(Refusal::wrong_type("bytea has no place in JSON")),
            _ => Ok(value),
        }
    }
}

/// How many parts of an expression the translation for SQLite writes out twice.
fn printed_twice(expr: &Expr) -> usize {
    let mut found = 0;
    expr.each(&mut |part| {
        if let Node::Call {
            function: Function::Greatest | Function::Least,
            arguments,
        } = &part.node
        {
            found += usize::from(arguments.iter().any(|argument| argument.nullable));
        }
        true
    });
    found
}

pub(super) fn lower(value: Expr) -> Expr {
    called(Function::Lower, vec![value], Text)
}

fn called(function: Function, arguments: Vec<Expr>, kind: ColumnType) -> Expr {
    let any = arguments.iter().any(|argument| argument.nullable);
    let all = arguments.iter().all(|argument| argument.nullable);
    let nullable = match function {
        Function::Now | Function::JsonArray | Function::JsonObject | Function::JsonSet => false,
        Function::Coalesce | Function::Greatest | Function::Least => all,
        Function::Nullif => true,
        _ => any,
    };
    let weights = arguments.iter().map(|argument| argument.weight);
    let weight = match (function, kind) {
        (Function::JsonArray | Function::JsonObject | Function::JsonSet, _) => weights.fold(1, u32::saturating_add),
        (Function::Replace, _) => match arguments.as_slice() {
            // Each letter may become the replacement.
            [
                value,
                _,
                Expr {
                    node: Node::Text(by), ..
                },
            ] => value.weight.saturating_mul((by.len() as u32).max(1)),
            _ => u32::MAX,
        },
        (_, Text | Jsonb) => weights.max().unwrap_or(1),
        _ => 1,
    };
    Expr {
        node: Node::Call { function, arguments },
        kind,
        nullable,
        weight,
    }
}

pub(super) fn plain<'e>(args: &'e [FunctionArg], name: &str) -> Result<Vec<&'e ast::Expr>, Refusal> {
    let expr = |arg: &'e FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        FunctionArg::Unnamed(
            FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::Wildcard | FunctionArgExpr::WildcardWithOptions(_),
        ) => Err(Refusal::not_allowed(format!("* is not an argument of {name}"))),
        FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
            Err(Refusal::not_allowed(format!("{name} takes its arguments by position")))
        }
    };
    args.iter().map(expr).collect()
}
