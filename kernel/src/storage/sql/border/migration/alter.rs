//! ALTER TABLE: what both engines can do to a table with rows in it.

use sqlparser::ast::{self, AlterTableOperation, RenameTableNameKind, TableConstraint};

use super::super::dialect::{Engine, table_name};
use super::super::names;
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::schema::{Index, Table};
use super::table::{PRIMARY_KEY, physical_constraint, printed_column, with_store, written_unique};
use super::{Class, Planner, Step, index, refused};

impl Planner<'_> {
    pub(super) fn alter_table(&mut self, alter: &ast::AlterTable) -> Result<(), Refusal> {
        let ast::AlterTable {
            name,
            if_exists,
            only,
            operations,
            location,
            on_cluster,
            table_type,
            end_token: _,
        } = alter;
        refuse_if!(
            *if_exists => "IF EXISTS is refused: a migration runs once, against the schema that the ones before it left",
            *only || location.is_some() || on_cluster.is_some() || table_type.is_some() => "this ALTER TABLE uses an option that is not offered",
        );
        let table = names::written(names::single("the table", name)?);
        self.known(&table)?;
        operations
            .iter()
            .try_for_each(|operation| self.alter(&table, operation))
    }

    fn alter(&mut self, table: &str, operation: &AlterTableOperation) -> Result<(), Refusal> {
        match operation {
            AlterTableOperation::AddColumn {
                column_keyword: _,
                if_not_exists,
                column_def,
                column_position,
            } => {
                refuse_if!(*if_not_exists || column_position.is_some() => "ADD COLUMN takes a column and nothing else");
                self.add_column(table, column_def)
            }
            AlterTableOperation::RenameColumn {
                old_column_name,
                new_column_name,
            } => self.rename_column(table, old_column_name, new_column_name),
            AlterTableOperation::DropColumn {
                has_column_keyword: _,
                column_names,
                if_exists,
                drop_behavior,
            } => {
                refuse_if!(*if_exists || drop_behavior.is_some() => "DROP COLUMN takes a name and nothing else");
                column_names.iter().try_for_each(|name| self.drop_column(table, name))
            }
            AlterTableOperation::RenameTable {
                table_name: RenameTableNameKind::To(name),
            } => self.rename_table(table, name),
            AlterTableOperation::AddConstraint {
                constraint: TableConstraint::Unique(key),
                not_valid: false,
            } => self.add_unique(table, key),
            AlterTableOperation::AddConstraint { .. } => Err(refused(
                "SQLite adds no foreign key, check or primary key to a table that exists: make a new table, copy the rows, drop the old one later",
            )),
            AlterTableOperation::AlterColumn { .. } => Err(refused(
                "SQLite changes no column's type, default or NOT NULL: add a new column, fill it, and drop the old one in a later version",
            )),
            _ => Err(refused(
                "ALTER TABLE may add, rename and drop columns, add UNIQUE, and rename the table",
            )),
        }
    }

    fn add_column(&mut self, table: &str, definition: &ast::ColumnDef) -> Result<(), Refusal> {
        let new = self.new_column(definition)?;
        new.addable()?;
        let name = new.column.name.clone();
        if self.known(table)?.column(&name).is_some() {
            return Err(refused(format!("{table} already has a column {name}")));
        }
        if let Some(table) = self.schema.table_mut(table) {
            table.columns.push(new.column.clone());
        }
        let plugin = self.schema.plugin.clone();
        self.ddl(Class::Expand, format!("add column {table}.{name}"), |engine| {
            format!(
                "alter table {} add column {}",
                table_name(engine, &plugin, table),
                printed_column(engine, &new.column, &new)
            )
        });
        Ok(())
    }

    fn drop_column(&mut self, table: &str, ident: &ast::Ident) -> Result<(), Refusal> {
        let name = self.known_column(table, ident)?;
        let found = self.known(table)?;
        let uses = |columns: &[String]| columns.contains(&name);
        let user = found
            .indexes
            .iter()
            .find(|index| uses(&index.columns))
            .map(|index| format!("the index {}", index.name))
            .or_else(|| {
                found
                    .checks
                    .iter()
                    .find(|check| uses(&check.columns))
                    .map(|check| format!("the check {}", check.name))
            })
            .or_else(|| {
                found
                    .foreign_keys
                    .iter()
                    .find(|key| uses(&key.columns))
                    .map(|key| format!("the foreign key {}", key.name))
            })
            .or_else(|| found.keys().any(uses).then(|| "a key".to_owned()));
        if let Some(user) = user {
            return Err(refused(format!(
                "{user} of {table} uses {name}: drop it first, or make a new table and copy the rows"
            )));
        }
        let class = self.class_of_change(table);
        if let Some(table) = self.schema.table_mut(table) {
            table.columns.retain(|column| column.name != name);
        }
        let plugin = self.schema.plugin.clone();
        self.ddl(class, format!("drop column {table}.{name}"), |engine| {
            format!(
                "alter table {} drop column {}",
                table_name(engine, &plugin, table),
                names::quoted(&name)
            )
        });
        Ok(())
    }

    fn rename_column(&mut self, table: &str, old: &ast::Ident, new: &ast::Ident) -> Result<(), Refusal> {
        let old = self.known_column(table, old)?;
        let new = names::written(new);
        names::accept("column", &new)?;
        if self.known(table)?.column(&new).is_some() {
            return Err(refused(format!("{table} already has a column {new}")));
        }
        let class = self.class_of_change(table);
        for other in &mut self.schema.tables {
            let own = other.name == table;
            for key in other.foreign_keys.iter_mut().filter(|key| key.table == table) {
                rename(&mut key.references, &old, &new);
            }
            if own {
                rename_everywhere(other, &old, &new);
            }
        }
        let plugin = self.schema.plugin.clone();
        self.ddl(class, format!("rename column {table}.{old} to {new}"), |engine| {
            let table = table_name(engine, &plugin, table);
            format!(
                "alter table {table} rename column {} to {}",
                names::quoted(&old),
                names::quoted(&new)
            )
        });
        Ok(())
    }

    /// PostgreSQL's constraints bear their table's name, so they are renamed with it: the old name may come again.
    fn rename_table(&mut self, table: &str, name: &ast::ObjectName) -> Result<(), Refusal> {
        let new = names::written(names::single("the table", name)?);
        names::accept("table", &new)?;
        self.free(&new)?;
        let class = self.class_of_change(table);
        let found = self.known(table)?;
        let constraints: Vec<String> = std::iter::once(PRIMARY_KEY.to_owned())
            .chain(found.uniques.iter().map(|unique| unique.name.clone()))
            .chain(found.foreign_keys.iter().map(|key| key.name.clone()))
            .chain(found.checks.iter().map(|check| check.name.clone()))
            .collect();
        for other in &mut self.schema.tables {
            if other.name == table {
                other.name = new.clone();
            }
            other
                .foreign_keys
                .iter_mut()
                .filter(|key| key.table == table)
                .for_each(|key| key.table = new.clone());
        }
        let plugin = &self.schema.plugin;
        let mut postgres = vec![format!(
            "alter table {} rename to {}",
            table_name(Engine::Postgres, plugin, table),
            names::quoted(&new)
        )];
        let renamed = table_name(Engine::Postgres, plugin, &new);
        postgres.extend(constraints.iter().map(|constraint| {
            let (before, after) = (
                physical_constraint(table, constraint),
                physical_constraint(&new, constraint),
            );
            format!("alter table {renamed} rename constraint {before} to {after}")
        }));
        let sqlite = vec![format!(
            "alter table {} rename to {}",
            table_name(Engine::Sqlite, plugin, table),
            table_name(Engine::Sqlite, plugin, &new)
        )];
        self.renamed.push(table.to_owned());
        self.steps.push(Step::Ddl {
            postgres,
            sqlite,
            class,
            describes: format!("rename table {table} to {new}"),
        });
        Ok(())
    }

    /// On both engines a unique index: SQLite adds no constraint to a table that exists.
    fn add_unique(&mut self, table: &str, key: &ast::UniqueConstraint) -> Result<(), Refusal> {
        let (given, columns) = written_unique(self.known(table)?, key)?;
        let Some(name) = given else {
            return Err(refused("give the constraint a name: ADD CONSTRAINT name UNIQUE (…)"));
        };
        names::accept("constraint", &name)?;
        self.free(&name)?;
        let class = self.class_of_change(table);
        if let Some(table) = self.schema.table_mut(table) {
            table.indexes.push(Index {
                name: name.clone(),
                unique: true,
                partial: false,
                columns: columns.clone(),
                plain: true,
            });
        }
        let plugin = self.schema.plugin.clone();
        self.ddl(class, format!("add unique {name} to {table}"), |engine| {
            let index = index::created_name(engine, &plugin, &name);
            format!(
                "create unique index {index} on {} ({})",
                table_name(engine, &plugin, table),
                with_store(&columns)
            )
        });
        Ok(())
    }

    fn known_column(&self, table: &str, ident: &ast::Ident) -> Result<String, Refusal> {
        let name = names::written(ident);
        match self.known(table)?.column(&name) {
            Some(_) => Ok(name),
            None => {
                Err(Refusal::new(RefusalKind::UnknownName, format!("{table} has no column {name}")).within(ident.span))
            }
        }
    }
}

fn rename(columns: &mut [String], old: &str, new: &str) {
    columns
        .iter_mut()
        .filter(|column| *column == old)
        .for_each(|column| *column = new.to_owned());
}

fn rename_everywhere(table: &mut Table, old: &str, new: &str) {
    table
        .columns
        .iter_mut()
        .filter(|column| column.name == old)
        .for_each(|column| column.name = new.to_owned());
    rename(&mut table.primary_key, old, new);
    table
        .uniques
        .iter_mut()
        .for_each(|unique| rename(&mut unique.columns, old, new));
    table
        .foreign_keys
        .iter_mut()
        .for_each(|key| rename(&mut key.columns, old, new));
    table
        .checks
        .iter_mut()
        .for_each(|check| rename(&mut check.columns, old, new));
    table
        .indexes
        .iter_mut()
        .for_each(|index| rename(&mut index.columns, old, new));
}
