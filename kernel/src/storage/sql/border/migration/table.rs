//! CREATE TABLE.

use sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use sqlparser::ast::{self, ColumnOption, ForeignKeyConstraint, ReferentialAction, TableConstraint};

use super::super::ColumnType;
use super::super::check::named_type;
use super::super::dialect::{Engine, table_name};
use super::super::names::{self, STORE_COLUMN};
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::schema::{Check, Column, ForeignKey, Table, Unique};
use super::condition::{self, Condition};
use super::{Class, Planner, at_most, refused};

const MOST_COLUMNS: usize = 200;

/// One column as written: its record, and what prints with it.
pub(super) struct NewColumn<'a> {
    pub column: Column,
    default: Option<Condition>,
    checks: Vec<(Option<String>, &'a ast::Expr)>,
    primary: bool,
    unique: Option<Option<String>>,
    references: Option<&'a ForeignKeyConstraint>,
}

impl Planner<'_> {
    pub(super) fn create_table(&mut self, create: &ast::CreateTable) -> Result<(), Refusal> {
        let name = names::written(names::single("the table", &create.name)?);
        names::accept("table", &name)?;
        self.free(&name)?;
        refuse_if!(
            create.if_not_exists => "IF NOT EXISTS is refused: a migration runs once, against the schema that the ones before it left",
            create.query.is_some() => "CREATE TABLE AS is refused: create the table, then insert",
            create.temporary => "temporary tables are refused: use a common table expression",
        );
        // Seventy options: a table that has any of them differs from one built of name, columns and constraints alone.
        let plain = CreateTableBuilder::new(create.name.clone())
            .columns(create.columns.clone())
            .constraints(create.constraints.clone())
            .build();
        refuse_if!(plain != *create => "a table has columns and constraints; all other options are refused");
        if create.columns.len() > MOST_COLUMNS {
            return Err(Refusal::new(
                RefusalKind::TooLarge,
                format!("a table has at most {MOST_COLUMNS} columns"),
            ));
        }

        let mut table = Table {
            name: name.clone(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            uniques: Vec::new(),
            foreign_keys: Vec::new(),
            checks: Vec::new(),
            indexes: Vec::new(),
        };
        let mut written = Vec::new();
        for definition in &create.columns {
            let column = self.new_column(definition)?;
            if table.column(&column.column.name).is_some() {
                return Err(refused(format!("{name} has two columns {}", column.column.name)));
            }
            table.columns.push(column.column.clone());
            written.push(column);
        }
        for column in &written {
            let own = vec![column.column.name.clone()];
            if column.primary {
                primary_key(&mut table, own.clone())?;
            }
            if let Some(given) = &column.unique {
                unique(&mut table, given.clone(), own.clone())?;
            }
            if let Some(references) = column.references {
                self.foreign_key(&mut table, references, own)?;
            }
        }
        for constraint in &create.constraints {
            match constraint {
                TableConstraint::PrimaryKey(key) => {
                    refuse_if!(
                        key.index_name.is_some() || key.index_type.is_some() || !key.include.is_empty() || !key.index_options.is_empty() || key.characteristics.is_some()
                            => "PRIMARY KEY names columns and nothing else",
                    );
                    let columns = key_columns(&table, &key.columns)?;
                    primary_key(&mut table, columns)?;
                }
                TableConstraint::Unique(key) => {
                    let (given, columns) = written_unique(&table, key)?;
                    unique(&mut table, given, columns)?;
                }
                TableConstraint::ForeignKey(key) => {
                    let columns = plain_columns(&table, &key.columns)?;
                    self.foreign_key(&mut table, key, columns)?;
                }
                TableConstraint::Check(_) => {}
                TableConstraint::Index(_)
                | TableConstraint::FulltextOrSpatial(_)
                | TableConstraint::PrimaryKeyUsingIndex(_)
                | TableConstraint::UniqueUsingIndex(_)
                | TableConstraint::Exclude(_) => {
                    return Err(refused("constraints are PRIMARY KEY, UNIQUE, FOREIGN KEY and CHECK"));
                }
            }
        }
        if table.primary_key.is_empty() {
            return Err(refused(format!(
                "{name} needs a primary key: rows without one cannot be told apart"
            )));
        }
        for column in &mut table.columns {
            column.nullable &= !table.primary_key.contains(&column.name);
        }

        // From here on conditions may name the table's columns.
        let first = self.schema.tables.is_empty();
        self.schema.tables.push(table);
        let mut conditions = Vec::new();
        let of_columns = written
            .iter()
            .flat_map(|column| column.checks.iter().map(|(given, expr)| (given.clone(), *expr)));
        let of_table = create.constraints.iter().filter_map(|constraint| match constraint {
            TableConstraint::Check(check) => Some(written_check(check)),
            _ => None,
        });
        for check in of_columns.map(Ok).chain(of_table) {
            let (given, expr) = check?;
            conditions.push(self.check(&name, given, expr)?);
        }
        let table = self.known(&name)?;
        let print = |engine| printed(engine, &self.schema.plugin, table, &written, &conditions);
        let (mut postgres, sqlite) = (vec![print(Engine::Postgres)], vec![print(Engine::Sqlite)]);
        if first {
            postgres.insert(
                0,
                format!("create schema if not exists {}", names::quoted(&self.schema.plugin)),
            );
        }
        self.steps.push(super::Step::Ddl {
            postgres,
            sqlite,
            class: Class::Expand,
            describes: format!("create table {name}"),
        });
        Ok(())
    }

    pub(super) fn new_column<'a>(&self, definition: &'a ast::ColumnDef) -> Result<NewColumn<'a>, Refusal> {
        let ast::ColumnDef {
            name,
            data_type,
            options,
        } = definition;
        let column = names::written(name);
        names::accept("column", &column).map_err(|refusal| refusal.within(name.span))?;
        let kind = named_type(data_type).map_err(|refusal| refusal.within(name.span))?;
        let mut new = NewColumn {
            column: Column {
                name: column,
                kind,
                nullable: true,
                has_default: false,
            },
            default: None,
            checks: Vec::new(),
            primary: false,
            unique: None,
            references: None,
        };
        for ast::ColumnOptionDef { name: given, option } in options {
            let given = given.as_ref().map(names::written);
            match option {
                ColumnOption::Null => {}
                ColumnOption::NotNull => new.column.nullable = false,
                ColumnOption::Default(expr) => {
                    new.column.has_default = true;
                    new.default = Some(condition::default(&self.schema, expr, kind)?);
                }
                ColumnOption::PrimaryKey(_) => new.primary = true,
                ColumnOption::Unique(_) => new.unique = Some(given),
                ColumnOption::ForeignKey(key) => new.references = Some(key),
                ColumnOption::Check(check) => {
                    let (named, expr) = written_check(check)?;
                    new.checks.push((given.or(named), expr));
                }
                ColumnOption::Collation(_) => {
                    return Err(refused(
                        "COLLATE is refused: text compares by its bytes on both engines",
                    ));
                }
                ColumnOption::Generated { .. } | ColumnOption::Identity(_) => {
                    return Err(refused(
                        "generated and identity columns are refused: make ids in the plugin, with ids.new",
                    ));
                }
                ColumnOption::Materialized(_)
                | ColumnOption::Ephemeral(_)
                | ColumnOption::Alias(_)
                | ColumnOption::DialectSpecific(_)
                | ColumnOption::CharacterSet(_)
                | ColumnOption::Comment(_)
                | ColumnOption::OnUpdate(_)
                | ColumnOption::Options(_)
                | ColumnOption::OnConflict(_)
                | ColumnOption::Policy(_)
                | ColumnOption::Tags(_)
                | ColumnOption::Srid(_)
                | ColumnOption::Invisible => {
                    return Err(refused(format!("`{option}` is not a column option here")));
                }
            }
        }
        Ok(new)
    }

    pub(super) fn check(
        &mut self,
        table: &str,
        given: Option<String>,
        expr: &ast::Expr,
    ) -> Result<(String, Condition), Refusal> {
        let condition = condition::condition(&self.schema, table, expr)?;
        let found = self.known(table)?;
        let name = constraint_name(found, given, format!("check{}", found.checks.len() + 1))?;
        let columns = condition.columns.clone();
        if let Some(found) = self.schema.table_mut(table) {
            found.checks.push(Check {
                name: name.clone(),
                columns,
            });
        }
        Ok((name, condition))
    }

    fn foreign_key(&self, table: &mut Table, key: &ForeignKeyConstraint, columns: Vec<String>) -> Result<(), Refusal> {
        let ForeignKeyConstraint {
            name: given,
            index_name,
            columns: _,
            foreign_table,
            referred_columns,
            on_delete,
            on_update,
            match_kind,
            characteristics,
        } = key;
        let other = names::written(names::single("the referenced table", foreign_table).map_err(|_| {
            refused(format!(
                "{foreign_table} belongs to another plugin: keep its id as text and call that plugin"
            ))
        })?);
        let cascade = match on_delete {
            None | Some(ReferentialAction::NoAction | ReferentialAction::Restrict) => false,
            Some(ReferentialAction::Cascade) => true,
            Some(ReferentialAction::SetNull | ReferentialAction::SetDefault) => {
                return Err(refused(
                    "ON DELETE SET NULL and SET DEFAULT are refused, they would also change the store: update the rows in the plugin",
                ));
            }
        };
        refuse_if!(
            !matches!(on_update, None | Some(ReferentialAction::NoAction)) => "ON UPDATE is refused: keys do not change",
            index_name.is_some() || match_kind.is_some() || characteristics.is_some() => "a foreign key has ON DELETE and nothing else",
        );
        let target = if other == table.name {
            &*table
        } else {
            self.known(&other)?
        };
        let references = match referred_columns.is_empty() {
            true => target.primary_key.clone(),
            false => plain_columns(target, referred_columns)?,
        };
        if !target.keys().any(|key| key == references.as_slice()) {
            return Err(refused(format!(
                "({}) is not a key of {other}: a foreign key points to a primary key or a unique constraint",
                references.join(", ")
            )));
        }
        let kinds = |table: &Table, columns: &[String]| -> Vec<Option<ColumnType>> {
            columns
                .iter()
                .map(|column| table.column(column).map(|column| column.kind))
                .collect()
        };
        if kinds(table, &columns) != kinds(target, &references) {
            return Err(refused(format!(
                "({}) and ({}) of {other} differ in number or types",
                columns.join(", "),
                references.join(", ")
            )));
        }
        let name = constraint_name(
            table,
            given.as_ref().map(names::written),
            format!("{}_fkey", columns.join("_")),
        )?;
        table.foreign_keys.push(ForeignKey {
            name,
            columns,
            table: other,
            references,
            cascade,
        });
        Ok(())
    }
}

fn primary_key(table: &mut Table, columns: Vec<String>) -> Result<(), Refusal> {
    if !table.primary_key.is_empty() {
        return Err(refused(format!("{} has two primary keys", table.name)));
    }
    let unordered = |kind| matches!(kind, ColumnType::Jsonb | ColumnType::Bytea);
    if table
        .columns
        .iter()
        .any(|column| columns.contains(&column.name) && unordered(column.kind))
    {
        return Err(refused("jsonb and bytea cannot be part of a key"));
    }
    table.primary_key = columns;
    Ok(())
}

pub(super) fn unique(table: &mut Table, given: Option<String>, columns: Vec<String>) -> Result<(), Refusal> {
    let unordered = |kind| matches!(kind, ColumnType::Jsonb | ColumnType::Bytea);
    if table
        .columns
        .iter()
        .any(|column| columns.contains(&column.name) && unordered(column.kind))
    {
        return Err(refused("jsonb and bytea cannot be part of a key"));
    }
    let name = constraint_name(table, given, format!("{}_key", columns.join("_")))?;
    table.uniques.push(Unique { name, columns });
    Ok(())
}

pub(super) fn written_unique(
    table: &Table,
    key: &ast::UniqueConstraint,
) -> Result<(Option<String>, Vec<String>), Refusal> {
    refuse_if!(
        key.index_name.is_some()
            || !key.index_type_display.is_none()
            || key.index_type.is_some()
            || !key.include.is_empty()
            || !key.index_options.is_empty()
            || key.characteristics.is_some()
            || key.nulls_distinct != ast::NullsDistinctOption::None => "UNIQUE names columns and nothing else",
    );
    Ok((key.name.as_ref().map(names::written), key_columns(table, &key.columns)?))
}

fn written_check(check: &ast::CheckConstraint) -> Result<(Option<String>, &ast::Expr), Refusal> {
    refuse_if!(check.no_inherit || check.enforced.is_some() => "CHECK takes a condition and nothing else");
    Ok((check.name.as_ref().map(names::written), &check.expr))
}

/// The plugin's own name, or one like PostgreSQL would make; unique within the table either way.
fn constraint_name(table: &Table, given: Option<String>, made: String) -> Result<String, Refusal> {
    let taken = |name: &str| {
        name == PRIMARY_KEY
            || table.uniques.iter().any(|unique| unique.name == name)
            || table.foreign_keys.iter().any(|key| key.name == name)
            || table.checks.iter().any(|check| check.name == name)
    };
    if let Some(given) = given {
        names::accept("constraint", &given)?;
        return match taken(&given) {
            true => Err(refused(format!("{} has two constraints {given}", table.name))),
            false => Ok(given),
        };
    }
    let short: String = made.chars().take(24).collect();
    let mut name = if made.len() <= 31 { made } else { short.clone() };
    let mut number = 1;
    while taken(&name) {
        number += 1;
        name = format!("{short}_{number}");
    }
    Ok(name)
}

fn key_columns(table: &Table, columns: &[ast::IndexColumn]) -> Result<Vec<String>, Refusal> {
    let mut idents = Vec::with_capacity(columns.len());
    for ast::IndexColumn { column, operator_class } in columns {
        let ast::OrderByExpr {
            expr,
            options,
            with_fill,
        } = column;
        refuse_if!(
            operator_class.is_some() || options.sort.is_some() || options.nulls_first.is_some() || with_fill.is_some()
                => "a key names columns and nothing else",
        );
        let ast::Expr::Identifier(ident) = expr else {
            return Err(refused("a key names columns: make a unique index for an expression"));
        };
        idents.push(ident.clone());
    }
    plain_columns(table, &idents)
}

fn plain_columns(table: &Table, idents: &[ast::Ident]) -> Result<Vec<String>, Refusal> {
    at_most(idents.len())?;
    let mut columns: Vec<String> = Vec::with_capacity(idents.len());
    for ident in idents {
        let name = names::written(ident);
        if table.column(&name).is_none() {
            return Err(
                Refusal::new(RefusalKind::UnknownName, format!("{} has no column {name}", table.name))
                    .within(ident.span),
            );
        }
        if columns.contains(&name) {
            return Err(refused(format!("{name} stands twice in a key")));
        }
        columns.push(name);
    }
    Ok(columns)
}

/// The dot keeps a constraint's name apart from every relation's: plugins cannot write one.
pub(super) fn physical_constraint(table: &str, constraint: &str) -> String {
    format!("\"{table}.{constraint}\"")
}

pub(super) const PRIMARY_KEY: &str = "pkey";

fn printed(
    engine: Engine,
    plugin: &str,
    table: &Table,
    written: &[NewColumn],
    checks: &[(String, Condition)],
) -> String {
    let mut parts = vec![format!(
        "\"{STORE_COLUMN}\" {} not null",
        physical_type(engine, ColumnType::Bigint)
    )];
    parts.extend(
        table
            .columns
            .iter()
            .zip(written)
            .map(|(column, written)| printed_column(engine, column, written)),
    );
    let constraint = |name: &str| physical_constraint(&table.name, name);
    parts.push(format!(
        "constraint {} primary key ({})",
        constraint(PRIMARY_KEY),
        with_store(&table.primary_key)
    ));
    for unique in &table.uniques {
        parts.push(format!(
            "constraint {} unique ({})",
            constraint(&unique.name),
            with_store(&unique.columns)
        ));
    }
    for key in &table.foreign_keys {
        parts.push(format!(
            "constraint {} foreign key ({}) references {} ({}){}",
            constraint(&key.name),
            with_store(&key.columns),
            table_name(engine, plugin, &key.table),
            with_store(&key.references),
            if key.cascade { " on delete cascade" } else { "" },
        ));
    }
    for (name, condition) in checks {
        parts.push(format!(
            "constraint {} check ({})",
            constraint(name),
            condition.text(engine)
        ));
    }
    let strict = match engine {
        Engine::Postgres => "",
        // Refuses a value of another type, as PostgreSQL does.
        Engine::Sqlite => " strict",
    };
    format!(
        "create table {} (\n  {}\n){strict}",
        table_name(engine, plugin, &table.name),
        parts.join(",\n  ")
    )
}

pub(super) fn printed_column(engine: Engine, column: &Column, written: &NewColumn) -> String {
    let name = names::quoted(&column.name);
    let mut text = format!("{name} {}", physical_type(engine, column.kind));
    if engine == Engine::Postgres && column.kind == ColumnType::Text {
        text.push_str(" collate \"C\"");
    }
    if !column.nullable {
        text.push_str(" not null");
    }
    if let Some(default) = &written.default {
        text.push_str(&format!(" default {}", default.text(engine)));
    }
    if engine == Engine::Sqlite && column.kind == ColumnType::Boolean {
        text.push_str(&format!(" check ({name} in (0, 1))"));
    }
    text
}

impl NewColumn<'_> {
    /// A column that is added to rows which exist: with a value for them, and without keys.
    pub fn addable(&self) -> Result<(), Refusal> {
        let name = &self.column.name;
        if self.primary || self.references.is_some() {
            return Err(refused(format!(
                "{name}: keys cannot be added to a table that exists; make a new table and copy the rows"
            )));
        }
        if self.unique.is_some() {
            return Err(refused(format!("{name}: add the column, then create a unique index")));
        }
        if !self.checks.is_empty() {
            return Err(refused(format!(
                "{name}: a check cannot be added to a table that exists; make a new table and copy the rows"
            )));
        }
        if !self.column.nullable && self.default.is_none() {
            return Err(refused(format!(
                "{name} is NOT NULL and needs a DEFAULT, for the rows that exist"
            )));
        }
        Ok(())
    }
}

fn physical_type(engine: Engine, kind: ColumnType) -> &'static str {
    match (engine, kind) {
        (Engine::Postgres, kind) => kind.sql(),
        (Engine::Sqlite, ColumnType::Bigint | ColumnType::Boolean) => "integer",
        (Engine::Sqlite, ColumnType::Double) => "real",
        (Engine::Sqlite, ColumnType::Text | ColumnType::Timestamptz | ColumnType::Jsonb) => "text",
        (Engine::Sqlite, ColumnType::Bytea) => "blob",
    }
}

pub(super) fn with_store(columns: &[String]) -> String {
    let mut list = format!("\"{STORE_COLUMN}\"");
    columns
        .iter()
        .for_each(|column| list.push_str(&format!(", {}", names::quoted(column))));
    list
}
