//! CREATE INDEX and DROP INDEX.

use sqlparser::ast;

use super::super::dialect::{Engine, table_name};
use super::super::names::{self, STORE_COLUMN};
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::schema::Index;
use super::condition::{self, Condition};
use super::{Class, Planner, at_most, refused};

/// One key of an index: a column, or an expression.
struct Key {
    text: Condition,
    descending: bool,
    plain: bool,
}

impl Planner<'_> {
    pub(super) fn create_index(&mut self, create: &ast::CreateIndex) -> Result<(), Refusal> {
        let ast::CreateIndex {
            name,
            table_name: table,
            using,
            columns,
            unique,
            concurrently,
            r#async,
            if_not_exists,
            include,
            nulls_distinct,
            with,
            predicate,
            index_options,
            alter_options,
        } = create;
        refuse_if!(
            *if_not_exists => "IF NOT EXISTS is refused: a migration runs once, against the schema that the ones before it left",
            *concurrently => "CONCURRENTLY is refused: a migration is one transaction",
            !matches!(using, None | Some(ast::IndexType::BTree)) => "indexes are B-trees on both engines: leave USING out",
            *r#async
                || !include.is_empty()
                || nulls_distinct.is_some()
                || !with.is_empty()
                || !index_options.is_empty()
                || !alter_options.is_empty() => "an index has keys and a WHERE, and no other options",
        );
        let Some(name) = name else {
            return Err(refused("an index needs a name"));
        };
        let name = names::written(names::single("the index", name)?);
        names::accept("index", &name)?;
        self.free(&name)?;
        let table = names::written(names::single("the table", table)?);
        self.known(&table)?;

        at_most(columns.len())?;
        let mut keys = Vec::with_capacity(columns.len());
        for column in columns {
            keys.push(self.index_key(&table, column)?);
        }
        let filter = predicate
            .as_ref()
            .map(|filter| condition::condition(&self.schema, &table, filter))
            .transpose()?;
        let mut reads: Vec<String> = Vec::new();
        for column in keys
            .iter()
            .map(|key| &key.text)
            .chain(&filter)
            .flat_map(|condition| &condition.columns)
        {
            if !reads.contains(column) {
                reads.push(column.clone());
            }
        }
        // Rows that the running version may write could break a new rule.
        let class = if *unique {
            self.class_of_change(&table)
        } else {
            Class::Expand
        };
        let plain = keys.iter().all(|key| key.plain);
        let index = Index {
            name: name.clone(),
            unique: *unique,
            partial: filter.is_some(),
            columns: reads,
            plain,
        };
        if let Some(table) = self.schema.table_mut(&table) {
            table.indexes.push(index);
        }
        let plugin = self.schema.plugin.clone();
        self.ddl(class, format!("create index {name} on {table}"), |engine| {
            let unique = if *unique { "unique " } else { "" };
            let mut text = format!(
                "create {unique}index {} on {} (\"{STORE_COLUMN}\"",
                created_name(engine, &plugin, &name),
                table_name(engine, &plugin, &table)
            );
            for key in &keys {
                let printed = key.text.text(engine);
                text.push_str(&if key.plain {
                    format!(", {printed}")
                } else {
                    format!(", ({printed})")
                });
                text.push_str(if key.descending { " desc" } else { "" });
            }
            text.push(')');
            if let Some(filter) = &filter {
                text.push_str(&format!(" where {}", filter.text(engine)));
            }
            text
        });
        Ok(())
    }

    fn index_key(&self, table: &str, column: &ast::IndexColumn) -> Result<Key, Refusal> {
        let ast::IndexColumn {
            column:
                ast::OrderByExpr {
                    expr,
                    options,
                    with_fill,
                },
            operator_class,
        } = column;
        refuse_if!(
            operator_class.is_some() => "operator classes are refused",
            options.nulls_first.is_some() => "NULLS FIRST and NULLS LAST are refused in an index: SQLite has neither there",
            with_fill.is_some() => "WITH FILL is refused",
        );
        let descending = match options.sort {
            None | Some(ast::OrderBySort::Asc) => false,
            Some(ast::OrderBySort::Desc) => true,
            Some(_) => return Err(refused("an index key is ASC or DESC")),
        };
        let text = condition::key(&self.schema, table, expr)?;
        if text.columns.is_empty() {
            return Err(refused("an index key reads at least one column"));
        }
        Ok(Key {
            text,
            descending,
            plain: matches!(expr, ast::Expr::Identifier(_)),
        })
    }

    pub(super) fn drop_index(&mut self, name: &ast::ObjectName) -> Result<(), Refusal> {
        let name = names::written(names::single("the index", name)?);
        let found = self
            .schema
            .tables
            .iter()
            .find(|table| table.indexes.iter().any(|index| index.name == name));
        let Some(table) = found.map(|table| table.name.clone()) else {
            return Err(Refusal::new(
                RefusalKind::UnknownName,
                format!("plugin {} has no index {name}", self.schema.plugin),
            ));
        };
        let class = self.class_of_change(&table);
        let mut dropped_unique = false;
        if let Some(table) = self.schema.table_mut(&table) {
            dropped_unique = table.indexes.iter().any(|index| index.name == name && index.unique);
            table.indexes.retain(|index| index.name != name);
        }
        let referenced = self
            .schema
            .tables
            .iter()
            .flat_map(|other| &other.foreign_keys)
            .find(|key| {
                key.table == table
                    && self
                        .schema
                        .table(&table)
                        .is_none_or(|table| !table.keys().any(|found| found == key.references))
            });
        if let Some(key) = referenced {
            return Err(refused(format!("the foreign key {} needs the index {name}", key.name)));
        }
        // Without a plain index the running version is slower; without a unique one its upserts fail.
        let class = if dropped_unique { class } else { Class::Expand };
        let plugin = self.schema.plugin.clone();
        self.ddl(class, format!("drop index {name}"), |engine| {
            format!("drop index {}", dropped_name(engine, &plugin, &name))
        });
        Ok(())
    }
}

/// PostgreSQL puts an index into its table's schema and wants no prefix; on SQLite all indexes share one space.
pub(super) fn created_name(engine: Engine, plugin: &str, index: &str) -> String {
    match engine {
        Engine::Postgres => names::quoted(index),
        Engine::Sqlite => names::sqlite_table(plugin, index),
    }
}

fn dropped_name(engine: Engine, plugin: &str, index: &str) -> String {
    table_name(engine, plugin, index)
}
