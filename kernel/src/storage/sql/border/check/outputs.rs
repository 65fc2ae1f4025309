//! The values that a SELECT names, and what they are called in the answer.

use sqlparser::ast::{self, SelectItem};

use super::super::names;
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::tree::{Expr, Output};
use super::Checker;
use super::query::Want;

/// PostgreSQL takes 1,664 with the keys of groups and order among them, SQLite 2,000.
const MOST_OUTPUTS: usize = 1_000;

impl Checker<'_> {
    pub(super) fn items(
        &mut self,
        projection: &[SelectItem],
        want: &Want,
    ) -> Result<(Vec<Expr>, Vec<String>), Refusal> {
        let (mut items, mut names) = (Vec::new(), Vec::new());
        for item in projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    names.push(default_name(expr, items.len()));
                    items.push(self.expr(expr, want.column(items.len()))?);
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    names.push(output_name(alias)?);
                    items.push(self.expr(expr, want.column(items.len()))?);
                }
                SelectItem::ExprWithAliases { .. } => {
                    return Err(Refusal::not_allowed("one name per selected value"));
                }
                SelectItem::Wildcard(options) => {
                    plain_wildcard(options)?;
                    let tables = self.frames.last().map_or(&[][..], |frame| &frame.tables);
                    for (name, column) in tables
                        .iter()
                        .filter(|table| !table.excluded)
                        .flat_map(|table| table.all())
                    {
                        names.push(name);
                        items.push(column);
                    }
                }
                SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    plain_wildcard(options)?;
                    let table = names::single("the table", name)?;
                    // Only this query's own tables: `outer.*` has no meaning that both engines share.
                    let written = names::written(table);
                    let tables = self.frames.last().map_or(&[][..], |frame| &frame.tables);
                    let Some(table) = tables.iter().find(|table| table.written == written) else {
                        return Err(Refusal::new(
                            RefusalKind::UnknownName,
                            format!("no table {written} is in this FROM"),
                        ));
                    };
                    for (name, column) in table.all() {
                        names.push(name);
                        items.push(column);
                    }
                }
                SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::Expr(_), _) => {
                    return Err(Refusal::not_allowed("* of an expression is refused: name the columns"));
                }
            }
        }
        match items.len() {
            0 => Err(Refusal::not_allowed("a SELECT names at least one column")),
            1..=MOST_OUTPUTS => Ok((items, names)),
            many => Err(Refusal::new(
                RefusalKind::TooLarge,
                format!("this selects {many} values and {MOST_OUTPUTS} are allowed: name the columns that you need"),
            )),
        }
    }
}

pub(super) fn outputs(items: &[Expr], names: &[String]) -> Vec<Output> {
    let output = |(item, name): (&Expr, &String)| Output {
        name: name.clone(),
        kind: item.kind,
        nullable: item.nullable,
        weight: item.weight,
    };
    items.iter().zip(names).map(output).collect()
}

fn plain_wildcard(options: &ast::WildcardAdditionalOptions) -> Result<(), Refusal> {
    let ast::WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    refuse_if!(
        opt_ilike.is_some()
            || opt_exclude.is_some()
            || opt_except.is_some()
            || opt_replace.is_some()
            || opt_rename.is_some()
            || opt_alias.is_some() => "* takes no options: name the columns",
    );
    Ok(())
}

/// The name of an answer's column never reaches the engines, so it may be any word.
pub(super) fn output_name(alias: &ast::Ident) -> Result<String, Refusal> {
    let name = names::written(alias);
    let plain = !name.is_empty() && name.len() <= 63 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match plain {
        true => Ok(name),
        false => Err(Refusal::new(
            RefusalKind::ReservedName,
            "the name of a selected value has at most 63 letters, digits and _",
        )
        .within(alias.span)),
    }
}

pub(super) fn default_name(expr: &ast::Expr, index: usize) -> String {
    match expr {
        ast::Expr::Identifier(ident) => names::written(ident),
        ast::Expr::CompoundIdentifier(parts) => parts.last().map(names::written).unwrap_or_default(),
        ast::Expr::Nested(inner) => default_name(inner, index),
        ast::Expr::Function(function) => function.name.to_string().to_ascii_lowercase(),
        _ => format!("column{}", index + 1),
    }
}
