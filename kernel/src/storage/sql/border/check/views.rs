//! What FROM reads besides the plugin's own tables: views that other plugins export, and rows passed as JSON.

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr};

use super::super::ColumnType;
use super::super::names;
use super::super::parse;
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::tree::{Node, Query, Source};
use super::from::or_aliased;
use super::query::Want;
use super::scope::{Visible, VisibleColumn, columns_of};
use super::{Checker, types};

impl Checker<'_> {
    /// Another plugin's exported view: its text, checked against its owner's schema, sliced like everything else.
    pub(super) fn foreign_view(
        &mut self,
        plugin: &ast::Ident,
        view: &ast::Ident,
        alias: Option<&ast::TableAlias>,
    ) -> Result<(Source, Visible), Refusal> {
        let (owner, name) = (names::written(plugin), names::written(view));
        let views = self.views;
        let Some(found) = views.iter().find(|view| view.plugin == owner && view.name == name) else {
            return Err(Refusal::new(
                RefusalKind::UnknownName,
                format!(
                    "{owner}.{name} is not a view granted to plugin {}: ask for it in plugin.toml, or call {owner}",
                    self.schema.plugin
                ),
            )
            .within(plugin.span));
        };
        let mut inside = Checker::new(&found.schema, &[], 0);
        (inside.named, inside.depth, inside.sources) = (self.named, self.depth, self.sources);
        let query = inside.view_text(&found.text)?;
        (self.named, self.sources) = (inside.named, inside.sources);
        for table in inside.tables {
            self.touches(&table.plugin, &table.table, false);
        }
        let (id, columns) = (self.name(), columns_of(&query.columns));
        let (written, columns) = or_aliased(alias, name, columns)?;
        Ok((Source::Query(Box::new(query)), Visible::new(written, id, columns)))
    }

    pub(super) fn view_text(&mut self, text: &str) -> Result<Query, Refusal> {
        let parsed = parse::one_statement(text)?;
        let ast::Statement::Query(query) = &parsed.statement else {
            return Err(Refusal::not_allowed("a view is one SELECT"));
        };
        refuse_if!(parsed.arguments > 0 => "a view takes no arguments");
        let query = self.query(query, &Want::default())?;
        refuse_if!(self.locks => "a view locks no rows");
        for (index, column) in query.columns.iter().enumerate() {
            if query.columns[..index].iter().any(|other| other.name == column.name) {
                return Err(Refusal::new(
                    RefusalKind::AmbiguousName,
                    format!("the view has two columns {}", column.name),
                ));
            }
        }
        Ok(query)
    }

    /// `json_rows($1) as r(id text, size bigint)`: the rows of a JSON array of objects.
    pub(super) fn table_function(
        &mut self,
        name: &ast::ObjectName,
        args: &[FunctionArg],
        alias: Option<&ast::TableAlias>,
    ) -> Result<(Source, Visible), Refusal> {
        let written = name.to_string().to_ascii_lowercase();
        if written != "json_rows" {
            return Err(Refusal::new(
                RefusalKind::UnknownFunction,
                format!("{written} is not a table here: the one table function is json_rows($1) as r(name type, …)"),
            ));
        }
        let usage = || Refusal::not_allowed("write json_rows($1) as r(name type, …)");
        let ([FunctionArg::Unnamed(FunctionArgExpr::Expr(rows))], Some(alias)) = (args, alias) else {
            return Err(usage());
        };
        let rows = self.within_rows(Vec::new(), |checker| {
            checker.expr_of(rows, ColumnType::Jsonb, "the argument of json_rows")
        })?;
        if !matches!(rows.node, Node::Argument(_)) {
            return Err(usage());
        }
        let ast::TableAlias {
            explicit: _,
            name,
            columns,
            at,
        } = alias;
        refuse_if!(at.is_some() => "AT after a name is refused");
        let mut kinds: Vec<(String, ColumnType)> = Vec::new();
        for ast::TableAliasColumnDef { name, data_type } in columns {
            let kind = types::named(data_type.as_ref().ok_or_else(usage)?)?;
            let column = names::written(name);
            names::accept("column", &column)?;
            refuse_if!(
                kind == ColumnType::Bytea => "bytea has no place in JSON",
                kinds.iter().any(|(other, _)| *other == column) => format!("json_rows names the column {column} twice"),
            );
            kinds.push((column, kind));
        }
        if kinds.is_empty() {
            return Err(usage());
        }
        let visible = kinds.iter().map(|(name, kind)| VisibleColumn {
            written: name.clone(),
            printed: name.clone(),
            kind: *kind,
            nullable: true,
            weight: 1,
        });
        let table = Visible::new(names::written(name), self.name(), visible.collect());
        Ok((Source::JsonRows { rows, columns: kinds }, table))
    }
}
