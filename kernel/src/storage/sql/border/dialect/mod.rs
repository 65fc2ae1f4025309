//! Prints a checked statement for one engine.
//!
//! Everything is qualified and parenthesised, so the text means on either engine what the tree says: columns by the
//! kernel's own table names (SQLite would take an unknown `"name"` for a string), functions by schema on PostgreSQL,
//! operators by parentheses. A plugin's words reach the text only as recorded tables and columns, and as literals.

mod expr;
mod functions;
mod json;

use super::ColumnType;
use super::names::{self, STORE_COLUMN};
use super::tree::{
    Body, Conflict, Delete, Expr, From, Id, Insert, Join, Lock, Node, Order, OrderBy, Query, Rows, Select, SetOperator,
    Source, Statement, Target, Update, Wait, With,
};

/// The table number whose columns print without a qualifier, as DDL writes them.
pub(super) const BARE: Id = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Postgres,
    Sqlite,
}

/// `arguments` are the kinds of `$1..$k`; the store's number prints as `$k+1`.
pub(super) fn print(statement: &Statement, engine: Engine, arguments: &[ColumnType]) -> String {
    let mut printer = Printer {
        engine,
        out: String::new(),
        arguments,
        unqualified: BARE,
    };
    printer.statement(statement);
    printer.out
}

/// An expression over one table's columns, as DDL writes it.
pub(super) fn print_bare(expr: &Expr, engine: Engine) -> String {
    let mut printer = Printer {
        engine,
        out: String::new(),
        arguments: &[],
        unqualified: BARE,
    };
    printer.expr(expr);
    printer.out
}

/// How a placeholder prints. `$1` on SQLite would be a *named* parameter, numbered by appearance.
pub(super) fn placeholder(engine: Engine, number: usize) -> String {
    match engine {
        Engine::Postgres => format!("${number}"),
        Engine::Sqlite => format!("?{number}"),
    }
}

pub(super) fn table_name(engine: Engine, plugin: &str, table: &str) -> String {
    match engine {
        Engine::Postgres => names::postgres_table(plugin, table),
        Engine::Sqlite => names::sqlite_table(plugin, table),
    }
}

struct Printer<'a> {
    engine: Engine,
    out: String,
    arguments: &'a [ColumnType],
    /// The table whose columns print without qualifier: the target, in RETURNING on SQLite.
    unqualified: Id,
}

impl Printer<'_> {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn list<T>(&mut self, items: &[T], separator: &str, mut print: impl FnMut(&mut Self, &T)) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.push(separator);
            }
            print(self, item);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Query(query) => self.query(query),
            Statement::Insert { with, insert } => {
                self.with(with);
                self.insert(insert);
            }
            Statement::Update { with, update } => {
                self.with(with);
                self.update(update);
            }
            Statement::Delete { with, delete } => {
                self.with(with);
                self.delete(delete);
            }
        }
    }

    /// The store's number, typed where PostgreSQL would have to guess.
    fn store(&mut self) {
        let placeholder = placeholder(self.engine, self.arguments.len() + 1);
        self.push(&placeholder);
        if self.engine == Engine::Postgres {
            self.push("::bigint");
        }
    }

    fn with(&mut self, with: &With) {
        if with.tables.is_empty() {
            return;
        }
        self.push(if with.recursive { "with recursive " } else { "with " });
        self.list(&with.tables, ", ", |p, table| {
            p.push(&format!("w{} as (", table.id));
            p.query(&table.query);
            p.push(")");
        });
        self.push(" ");
    }

    #[recursive::recursive]
    fn query(&mut self, query: &Query) {
        self.with(&query.with);
        self.body(&query.body);
        self.order(&query.order);
        if let Some(limit) = &query.limit {
            self.push(" limit ");
            self.count(limit);
        }
        if let Some(offset) = &query.offset {
            self.push(" offset ");
            self.count(offset);
        }
        if self.engine == Engine::Postgres {
            query.locks.iter().for_each(|lock| self.lock(lock));
        }
    }

    /// SQLite has one writer, whose rows nobody else can change: nothing to lock, nothing to skip.
    fn lock(&mut self, lock: &Lock) {
        self.push(&format!(" for update of t{}", lock.id));
        self.push(match lock.wait {
            Wait::Block => "",
            Wait::Fail => " nowait",
            Wait::Skip => " skip locked",
        });
    }

    /// A negative LIMIT is an error on PostgreSQL and no limit on SQLite; NULL the other way round. Both mean 0 here.
    fn count(&mut self, count: &Expr) {
        match (&count.node, self.engine) {
            (Node::Integer(number), _) => self.push(&number.max(&0).to_string()),
            (_, Engine::Postgres) => {
                self.push("greatest(");
                self.expr(count);
                self.push(", 0)");
            }
            (_, Engine::Sqlite) => {
                self.push("max(coalesce(");
                self.expr(count);
                self.push(", 0), 0)");
            }
        }
    }

    fn body(&mut self, body: &Body) {
        match body {
            Body::Select(select) => self.select(select),
            Body::Set {
                operator,
                all,
                left,
                right,
            } => {
                // SQLite has no parentheses here and no precedence: what is not plainly left to right is wrapped.
                let left_to_right =
                    |inner: SetOperator| inner != SetOperator::Intersect && *operator != SetOperator::Intersect;
                match left.as_ref() {
                    Body::Set { operator: inner, .. } if !left_to_right(*inner) => self.wrapped(left),
                    left => self.body(left),
                }
                self.push(match operator {
                    SetOperator::Union => " union ",
                    SetOperator::Except => " except ",
                    SetOperator::Intersect => " intersect ",
                });
                if *all {
                    self.push("all ");
                }
                match right.as_ref() {
                    Body::Set { .. } => self.wrapped(right),
                    right => self.body(right),
                }
            }
        }
    }

    fn wrapped(&mut self, body: &Body) {
        let mut first = body;
        let columns = loop {
            match first {
                Body::Select(select) => break select.items.len(),
                Body::Set { left, .. } => first = left,
            }
        };
        self.push("select ");
        let names: Vec<String> = (1..=columns).map(|index| format!("q.c{index}")).collect();
        self.push(&names.join(", "));
        self.push(" from (");
        self.body(body);
        self.push(") as q");
    }

    fn select(&mut self, select: &Select) {
        self.push(if select.distinct { "select distinct " } else { "select " });
        for (index, item) in select.items.iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            // Whoever reads this column can rely on its collation.
            self.bytewise(item);
            self.push(&format!(" as c{}", index + 1));
        }
        if !select.from.is_empty() {
            self.push(" from ");
            self.from(&select.from);
        }
        if let Some(filter) = &select.filter {
            self.push(" where ");
            self.expr(filter);
        }
        if !select.group.is_empty() {
            self.push(" group by ");
            self.list(&select.group, ", ", |p, key| p.expr(key));
        }
        if let Some(having) = &select.having {
            self.push(" having ");
            self.expr(having);
        }
    }

    fn from(&mut self, list: &[From]) {
        for (index, from) in list.iter().enumerate() {
            match (&from.join, index) {
                (_, 0) => {}
                (Join::Cross, _) => self.push(" cross join "),
                (Join::Inner(_), _) => self.push(" join "),
                (Join::Left(_), _) => self.push(" left join "),
            }
            self.source(&from.source);
            self.push(&format!(" as t{}", from.id));
            if let Join::Inner(on) | Join::Left(on) = &from.join {
                self.push(" on ");
                self.expr(on);
            }
        }
    }

    fn source(&mut self, source: &Source) {
        match source {
            Source::Slice { plugin, table, columns } => self.slice(plugin, table, columns),
            Source::Query(query) => {
                self.push("(");
                self.query(query);
                self.push(")");
            }
            Source::CommonTable(id) => self.push(&format!("w{id}")),
            Source::JsonRows { rows, columns } => self.json_rows(rows, columns),
        }
    }

    /// One store's rows of a base table: the only way a table is ever read.
    fn slice(&mut self, plugin: &str, table: &str, columns: &[String]) {
        self.push("(select ");
        self.list(columns, ", ", |p, column| p.push(&format!("s.\"{column}\"")));
        let table = table_name(self.engine, plugin, table);
        self.push(&format!(" from {table} as s where s.\"{STORE_COLUMN}\" = "));
        self.store();
        self.push(")");
    }

    fn order(&mut self, order: &[Order]) {
        if order.is_empty() {
            return;
        }
        self.push(" order by ");
        self.sort_keys(order);
    }

    fn sort_keys(&mut self, order: &[Order]) {
        self.list(order, ", ", |p, key| {
            match &key.by {
                OrderBy::Output(position) => p.push(&position.to_string()),
                OrderBy::Expr(expr) => p.bytewise(expr),
            }
            if key.descending {
                p.push(" desc");
            }
            match key.nulls_first {
                None => {}
                Some(true) => p.push(" nulls first"),
                Some(false) => p.push(" nulls last"),
            }
        });
    }

    fn target(&self, target: &Target) -> String {
        format!(
            "{} as t{}",
            table_name(self.engine, &target.plugin, &target.table),
            target.id
        )
    }

    fn insert(&mut self, insert: &Insert) {
        let Insert {
            target,
            columns,
            rows,
            conflict,
            returning,
        } = insert;
        let table = self.target(target);
        self.push(&format!("insert into {table} (\"{STORE_COLUMN}\""));
        columns.iter().for_each(|column| self.push(&format!(", \"{column}\"")));
        self.push(") ");
        match rows {
            Rows::Values(rows) => {
                self.push("values ");
                self.list(rows, ", ", |p, row| {
                    p.push("(");
                    p.store();
                    for value in row {
                        p.push(", ");
                        p.expr(value);
                    }
                    p.push(")");
                });
            }
            Rows::Query(query) => {
                self.push("select ");
                self.store();
                (1..=columns.len()).for_each(|index| self.push(&format!(", r.c{index}")));
                self.push(" from (");
                self.query(query);
                // Without WHERE, SQLite would read ON CONFLICT as the ON of a join.
                self.push(") as r where true");
            }
        }
        if let Some(conflict) = conflict {
            self.conflict(target, conflict);
        }
        self.returning(target, returning);
    }

    fn conflict(&mut self, target: &Target, conflict: &Conflict) {
        self.push(" on conflict");
        if !conflict.columns.is_empty() {
            self.push(&format!(" (\"{STORE_COLUMN}\""));
            conflict
                .columns
                .iter()
                .for_each(|column| self.push(&format!(", \"{column}\"")));
            self.push(")");
        }
        match &conflict.update {
            None => self.push(" do nothing"),
            Some(update) => {
                self.push(" do update set ");
                self.assignments(&update.set);
                self.guarded(target, update.filter.as_ref());
            }
        }
    }

    fn assignments(&mut self, set: &[(String, Expr)]) {
        self.list(set, ", ", |p, (column, value)| {
            p.push(&format!("\"{column}\" = "));
            p.expr(value);
        });
    }

    fn update(&mut self, update: &Update) {
        let Update {
            target,
            set,
            from,
            filter,
            returning,
        } = update;
        let table = self.target(target);
        self.push(&format!("update {table} set "));
        self.assignments(set);
        if !from.is_empty() {
            self.push(" from ");
            self.from(from);
        }
        self.guarded(target, filter.as_ref());
        self.returning(target, returning);
    }

    fn delete(&mut self, delete: &Delete) {
        let Delete {
            target,
            filter,
            returning,
        } = delete;
        let table = self.target(target);
        self.push(&format!("delete from {table}"));
        self.guarded(target, filter.as_ref());
        self.returning(target, returning);
    }

    /// The store's predicate, and the plugin's as one nested node: joined as text, `a and b or 1=1` reached every store.
    fn guarded(&mut self, target: &Target, filter: Option<&Expr>) {
        self.push(&format!(" where t{}.\"{STORE_COLUMN}\" = ", target.id));
        self.store();
        if let Some(filter) = filter {
            self.push(" and (");
            self.expr(filter);
            self.push(")");
        }
    }

    fn returning(&mut self, target: &Target, values: &[Expr]) {
        if values.is_empty() {
            return;
        }
        self.push(" returning ");
        // SQLite knows the target by its columns alone here; PostgreSQL also sees those of FROM.
        if self.engine == Engine::Sqlite {
            self.unqualified = target.id;
        }
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.expr(value);
            self.push(&format!(" as c{}", index + 1));
        }
        self.unqualified = BARE;
    }
}
