//! Aggregates and windows.

use sqlparser::ast::{
    self, DuplicateTreatment, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
};

use super::super::ColumnType::{self, Bigint, Boolean, Double, Jsonb, Text};
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::tree::{Aggregate, AggregateFunction, Expr, Node, Window};
use super::Checker;
use super::conditions::comparable;
use super::functions::plain;
use super::operators::number;
use super::scope::Phase;

pub(super) fn named(name: &str) -> Option<AggregateFunction> {
    Some(match name {
        "avg" => AggregateFunction::Average,
        "bool_and" => AggregateFunction::BoolAnd,
        "bool_or" => AggregateFunction::BoolOr,
        "count" => AggregateFunction::Count,
        "dense_rank" => AggregateFunction::DenseRank,
        "json_agg" => AggregateFunction::JsonAgg,
        "lag" => AggregateFunction::Lag,
        "lead" => AggregateFunction::Lead,
        "max" => AggregateFunction::Max,
        "min" => AggregateFunction::Min,
        "rank" => AggregateFunction::Rank,
        "row_number" => AggregateFunction::RowNumber,
        "string_agg" => AggregateFunction::StringAgg,
        "sum" => AggregateFunction::Sum,
        _ => return None,
    })
}

impl Checker<'_> {
    pub(super) fn aggregate(
        &mut self,
        function: AggregateFunction,
        name: &str,
        args: &FunctionArguments,
        filter: Option<&ast::Expr>,
        over: Option<&ast::WindowType>,
    ) -> Result<Expr, Refusal> {
        let FunctionArguments::List(list) = args else {
            return Err(Refusal::wrong_type(format!(
                "{name} takes its arguments in parentheses"
            )));
        };
        let phase = self.phase();
        match (over.is_some(), phase) {
            (true, Phase::Output) | (false, Phase::Output | Phase::Groups) => {}
            (_, Phase::Argument) => {
                return Err(Refusal::new(
                    RefusalKind::Grouping,
                    format!("{name} stands inside another aggregate"),
                ));
            }
            (true, _) => {
                return Err(Refusal::new(
                    RefusalKind::Grouping,
                    format!("{name}(…) over stands only in the select list and ORDER BY"),
                ));
            }
            (false, Phase::Rows) => {
                return Err(Refusal::new(
                    RefusalKind::Grouping,
                    format!("the aggregate {name} cannot stand here: use HAVING or a subquery"),
                ));
            }
        }
        if function.needs_window() && over.is_none() {
            return Err(Refusal::not_allowed(format!("{name} needs OVER (…)")));
        }
        let ast::FunctionArgumentList {
            duplicate_treatment,
            args,
            clauses,
        } = list;
        let distinct = matches!(duplicate_treatment, Some(DuplicateTreatment::Distinct));
        let inside = if over.is_some() { Phase::Groups } else { Phase::Argument };
        let (arguments, order, filter) = self.in_phase(inside, |checker| {
            let arguments = checker.aggregate_arguments(function, name, args)?;
            let order = match clauses.as_slice() {
                [] => Vec::new(),
                [FunctionArgumentClause::OrderBy(keys)] if takes_order(function) => {
                    checker.sort_keys(keys, "an aggregate")?
                }
                _ => {
                    return Err(Refusal::not_allowed(format!(
                        "{name} takes no such clause in its parentheses"
                    )));
                }
            };
            let filter = filter.map(|filter| checker.boolean(filter)).transpose()?;
            Ok((arguments, order, filter))
        })?;
        refuse_if!(
            distinct && (over.is_some() || !order.is_empty() || arguments.len() != 1)
                => "DISTINCT in an aggregate goes with one argument, and without ORDER BY and OVER",
            over.is_some() && !order.is_empty() => "ORDER BY goes into OVER (…)",
            filter.is_some() && function.needs_window() => format!("FILTER goes with aggregates, and {name} is none"),
            over.is_some() && takes_order(function) => format!("{name} has no OVER"),
        );
        if distinct {
            comparable(&arguments[0], false)?;
        }
        let over = over.map(|over| self.window(over)).transpose()?;
        if over.is_none() {
            self.mark_aggregated(name, &arguments, filter.as_ref())?;
        }
        let (kind, nullable) = answers(function, &arguments);
        let weight = arguments
            .iter()
            .map(|argument| argument.weight)
            .fold(1, u32::saturating_add);
        let aggregate = Aggregate {
            function,
            arguments,
            distinct,
            order,
            filter,
            over,
        };
        Ok(Expr {
            node: Node::Aggregate(Box::new(aggregate)),
            kind,
            nullable,
            weight,
        })
    }

    fn aggregate_arguments(
        &mut self,
        function: AggregateFunction,
        name: &str,
        args: &[FunctionArg],
    ) -> Result<Vec<Expr>, Refusal> {
        if let (AggregateFunction::Count, [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]) = (function, args) {
            return Ok(Vec::new());
        }
        let args = plain(args, name)?;
        let counted = match function {
            AggregateFunction::RowNumber | AggregateFunction::Rank | AggregateFunction::DenseRank => 0,
            AggregateFunction::StringAgg => 2,
            _ => 1,
        };
        if args.len() != counted {
            return Err(Refusal::wrong_type(format!(
                "{name} takes {counted} arguments here, not {}",
                args.len()
            )));
        }
        let Some(first) = args.first() else {
            return Ok(Vec::new());
        };
        let value = match function {
            AggregateFunction::Average => self.expr_of(first, Double, "the argument of avg")?,
            AggregateFunction::Sum => self.expr(first, None).and_then(number)?,
            AggregateFunction::BoolAnd | AggregateFunction::BoolOr => self.boolean(first)?,
            AggregateFunction::StringAgg => self.expr_of(first, Text, "the argument of string_agg")?,
            AggregateFunction::JsonAgg => self.json_value(first)?,
            AggregateFunction::Max | AggregateFunction::Min => {
                let value = self.expr(first, None)?;
                comparable(&value, true)?;
                if value.kind == Boolean {
                    return Err(Refusal::wrong_type(format!(
                        "{name} of a boolean: use bool_and or bool_or"
                    )));
                }
                value
            }
            _ => self.expr(first, None)?,
        };
        let mut arguments = vec![value];
        if let Some(separator) = args.get(1) {
            let separator = self.expr_of(separator, Text, "the separator of string_agg")?;
            if !matches!(separator.node, Node::Text(_)) {
                return Err(Refusal::not_allowed("the separator of string_agg is a constant"));
            }
            arguments.push(separator);
        }
        Ok(arguments)
    }

    fn window(&mut self, over: &ast::WindowType) -> Result<Window, Refusal> {
        let ast::WindowType::WindowSpec(ast::WindowSpec {
            window_name,
            partition_by,
            order_by,
            window_frame,
        }) = over
        else {
            return Err(Refusal::not_allowed(
                "named windows are refused: write over (partition by … order by …)",
            ));
        };
        refuse_if!(
            window_name.is_some() => "named windows are refused: write over (partition by … order by …)",
            window_frame.is_some() => "window frames are refused: the default frame means the same on both engines",
        );
        self.in_phase(Phase::Groups, |checker| {
            let mut partition = Vec::with_capacity(partition_by.len());
            for key in partition_by {
                let key = checker.expr(key, None)?;
                comparable(&key, false)?;
                partition.push(key);
            }
            Ok(Window {
                partition,
                order: checker.sort_keys(order_by, "a window")?,
            })
        })
    }
}

fn takes_order(function: AggregateFunction) -> bool {
    matches!(function, AggregateFunction::JsonAgg | AggregateFunction::StringAgg)
}

/// The kind of an aggregate's answer, and whether it can be NULL.
fn answers(function: AggregateFunction, arguments: &[Expr]) -> (ColumnType, bool) {
    let of_argument = arguments.first().map_or(Bigint, |argument| argument.kind);
    match function {
        AggregateFunction::Count
        | AggregateFunction::DenseRank
        | AggregateFunction::Rank
        | AggregateFunction::RowNumber => (Bigint, false),
        AggregateFunction::JsonAgg => (Jsonb, false),
        AggregateFunction::Average => (Double, true),
        AggregateFunction::BoolAnd | AggregateFunction::BoolOr => (Boolean, true),
        AggregateFunction::StringAgg => (Text, true),
        AggregateFunction::Lag
        | AggregateFunction::Lead
        | AggregateFunction::Max
        | AggregateFunction::Min
        | AggregateFunction::Sum => (of_argument, true),
    }
}
