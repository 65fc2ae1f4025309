//! Random statements, each in three texts: as a plugin writes it, and as plain SQL for each engine, made independently
//! of the border. The plain ones are what the plugin's author means.

use commerce_kernel::storage::sql::border::ColumnType;
use serde_json::Value;

/// The plugin's text, PostgreSQL's and SQLite's.
type Texts = [String; 3];

/// Fills the gaps of a pattern in all three texts. Each part is made once.
macro_rules! texts {
    ($pattern:literal $(, $part:expr)* $(,)?) => {
        filled($pattern, &[$(Texts::clone(&$part)),*])
    };
}

fn filled(pattern: &str, parts: &[Texts]) -> Texts {
    [0, 1, 2].map(|index| {
        let mut pieces = pattern.split("{}");
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for (piece, part) in pieces.zip(parts) {
            text.push_str(&part[index]);
            text.push_str(piece);
        }
        text
    })
}

fn same(text: &str) -> Texts {
    [0, 1, 2].map(|_| text.to_owned())
}

fn each(plugin: &str, postgres: &str, sqlite: &str) -> Texts {
    [plugin, postgres, sqlite].map(str::to_owned)
}

pub struct Statement {
    pub texts: Texts,
    pub arguments: Vec<Value>,
    /// Whether the text decides the order of all rows.
    pub ordered: bool,
    pub writes: bool,
}

pub struct Generator {
    state: u64,
    arguments: Vec<Value>,
    /// Not in new values: those may not read the table that they change.
    subqueries: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Number,
    Truth,
}

struct Table {
    name: &'static str,
    key: &'static [&'static str],
    columns: &'static [(&'static str, Kind, bool)],
}

/// Name, kind, and whether it may be NULL.
const TABLES: &[Table] = &[
    Table {
        name: "items",
        key: &["id"],
        columns: &[
            ("id", Kind::Text, false),
            ("category_id", Kind::Text, true),
            ("title", Kind::Text, false),
            ("note", Kind::Text, true),
            ("price", Kind::Number, false),
            ("stock", Kind::Number, false),
            ("active", Kind::Truth, false),
        ],
    },
    Table {
        name: "lines",
        key: &["order_id", "position"],
        columns: &[
            ("order_id", Kind::Text, false),
            ("position", Kind::Number, false),
            ("item_id", Kind::Text, false),
            ("quantity", Kind::Number, false),
        ],
    },
    Table {
        name: "categories",
        key: &["id"],
        columns: &[
            ("id", Kind::Text, false),
            ("parent_id", Kind::Text, true),
            ("name", Kind::Text, false),
        ],
    },
];

type Scope = Vec<(String, &'static Table)>;

impl Generator {
    pub fn new(seed: u64) -> Self {
        Generator {
            state: seed,
            arguments: Vec::new(),
            subqueries: true,
        }
    }

    pub fn statement(&mut self) -> Statement {
        self.arguments.clear();
        let (texts, ordered, writes) = match self.below(20) {
            0..=8 => self.select(),
            9 => self.set_operation(),
            10 => self.grouped(),
            11 => self.windowed(),
            12 => self.documents(),
            13 => self.tree(),
            14 => self.locked(),
            15 | 16 => self.insert(),
            17 | 18 => self.update(),
            _ => self.delete(),
        };
        numbered(Statement {
            texts,
            arguments: std::mem::take(&mut self.arguments),
            ordered,
            writes,
        })
    }

    /// SplitMix64: short, and the same everywhere for a seed.
    fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn chance(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    // Values.

    fn literal(&mut self, kind: Kind) -> Texts {
        let (value, plugin, postgres, sqlite, cast) = match kind {
            Kind::Text => {
                let text = self.one(&["i1", "i2", "o1", "a", "B", "b%", "", "root", "books", "it''s", "_x"]);
                let value = Value::from(text.replace("''", "'"));
                (
                    value,
                    format!("'{text}'"),
                    format!("('{text}'::text collate \"C\")"),
                    format!("'{text}'"),
                    "text",
                )
            }
            Kind::Number => {
                let number = self.one(&[0_i64, 1, 2, 3, 7, 10, 250, 1000, -1]);
                (
                    Value::from(number),
                    format!("({number})"),
                    format!("(({number})::bigint)"),
                    format!("({number})"),
                    "bigint",
                )
            }
            Kind::Truth => {
                let truth = self.chance(2);
                (
                    Value::from(truth),
                    truth.to_string(),
                    truth.to_string(),
                    truth.to_string(),
                    "boolean",
                )
            }
        };
        match self.below(3) {
            0 => {
                self.arguments.push(value);
                let number = self.arguments.len();
                [format!("cast(${number} as {cast})"), postgres, sqlite]
            }
            1 if self.chance(6) => each(&format!("cast(null as {cast})"), &format!("null::{cast}"), "null"),
            _ => [plugin, postgres, sqlite],
        }
    }

    fn column(&mut self, kind: Kind, scope: &Scope) -> Option<Texts> {
        let mut fitting = Vec::new();
        for (alias, table) in scope {
            for (name, of, _) in table.columns {
                if *of == kind {
                    fitting.push(format!("{alias}.{name}"));
                }
            }
        }
        if fitting.is_empty() {
            return None;
        }
        let index = self.below(fitting.len() as u64) as usize;
        Some(same(&fitting[index]))
    }

    fn value(&mut self, kind: Kind, scope: &Scope, depth: u32) -> Texts {
        if depth == 0 || self.chance(3) {
            return match self.chance(4) {
                true => self.literal(kind),
                false => match self.column(kind, scope) {
                    Some(column) => column,
                    None => self.literal(kind),
                },
            };
        }
        if self.chance(6) {
            return self.any_kind(kind, scope, depth);
        }
        match kind {
            Kind::Text => self.text(scope, depth),
            Kind::Number => self.number(scope, depth),
            Kind::Truth => self.truth(scope, depth),
        }
    }

    fn any_kind(&mut self, kind: Kind, scope: &Scope, depth: u32) -> Texts {
        let value = |generator: &mut Self| generator.value(kind, scope, depth - 1);
        match self.below(6) {
            0 => texts!("coalesce({}, {})", value(self), value(self)),
            1 => {
                let condition = self.truth(scope, depth - 1);
                texts!("case when {} then {} else {} end", condition, value(self), value(self))
            }
            2 => texts!("case {} when {} then {} end", value(self), value(self), value(self)),
            3 => texts!("nullif({}, {})", value(self), value(self)),
            4 if kind != Kind::Truth => {
                let (a, b) = (value(self), value(self));
                let name = self.one(&[["greatest", "max"], ["least", "min"]]);
                [
                    format!("{}({}, {})", name[0], a[0], b[0]),
                    format!("{}({}, {})", name[0], a[1], b[1]),
                    format!(
                        "{}(coalesce({}, {}), coalesce({}, {}))",
                        name[1], a[2], b[2], b[2], a[2]
                    ),
                ]
            }
            4 => value(self),
            _ if self.subqueries => self.scalar(kind, scope),
            _ => value(self),
        }
    }

    fn text(&mut self, scope: &Scope, depth: u32) -> Texts {
        let text = |generator: &mut Self| generator.value(Kind::Text, scope, depth - 1);
        match self.below(8) {
            0 => texts!("({} || {})", text(self), text(self)),
            1 => texts!("lower({})", text(self)),
            2 => texts!("upper({})", text(self)),
            3 => {
                let inner = text(self);
                let name = self.one(&[
                    ["trim", "btrim", "trim"],
                    ["ltrim", "ltrim", "ltrim"],
                    ["rtrim", "rtrim", "rtrim"],
                ]);
                let characters = self.one(&["", ", 'ab'"]);
                [0, 1, 2].map(|index| format!("{}({}{characters})", name[index], inner[index]))
            }
            4 => texts!("replace({}, {}, 'xy')", text(self), text(self)),
            5 => {
                let (from, length) = (self.below(4) + 1, self.below(4));
                let inner = text(self);
                match self.chance(2) {
                    true => [0, 1, 2].map(|index| format!("substr({}, {from}, {length})", inner[index])),
                    false => [0, 1, 2].map(|index| format!("substr({}, {from})", inner[index])),
                }
            }
            6 => {
                let number = self.value(Kind::Number, scope, depth - 1);
                [
                    format!("cast({} as text)", number[0]),
                    format!("(({})::text collate \"C\")", number[1]),
                    format!("cast({} as text)", number[2]),
                ]
            }
            _ => {
                let truth = self.truth(scope, depth - 1);
                [
                    format!("cast({} as text)", truth[0]),
                    format!("(({})::text collate \"C\")", truth[1]),
                    format!("case {} when 1 then 'true' when 0 then 'false' end", truth[2]),
                ]
            }
        }
    }

    fn number(&mut self, scope: &Scope, depth: u32) -> Texts {
        let number = |generator: &mut Self| generator.value(Kind::Number, scope, depth - 1);
        match self.below(9) {
            0 => {
                let operator = same(self.one(&["+", "-"]));
                texts!("({} {} {})", number(self), operator, number(self))
            }
            // One factor is small: overflow is a matter of its own.
            1 => texts!("({} * 3)", number(self)),
            2 => {
                let (a, b) = (number(self), number(self));
                let operator = self.one(&["/", "%"]);
                [
                    format!("({} {operator} {})", a[0], b[0]),
                    format!("({} {operator} nullif({}, 0))", a[1], b[1]),
                    format!("({} {operator} {})", a[2], b[2]),
                ]
            }
            3 => texts!("(- {})", number(self)),
            4 => texts!("abs({})", number(self)),
            5 => {
                let text = self.value(Kind::Text, scope, depth - 1);
                [
                    format!("length({})", text[0]),
                    format!("length({})::bigint", text[1]),
                    format!("length({})", text[2]),
                ]
            }
            6 => {
                let (a, b) = (
                    self.value(Kind::Text, scope, depth - 1),
                    self.value(Kind::Text, scope, depth - 1),
                );
                [
                    format!("strpos({}, {})", a[0], b[0]),
                    format!("strpos({}, {})::bigint", a[1], b[1]),
                    format!("instr({}, {})", a[2], b[2]),
                ]
            }
            7 => {
                let truth = self.truth(scope, depth - 1);
                [
                    format!("cast({} as bigint)", truth[0]),
                    format!("({})::int::bigint", truth[1]),
                    format!("({})", truth[2]),
                ]
            }
            _ => {
                let value = number(self);
                [
                    format!("cast(round({} / 2.0) as bigint)", value[0]),
                    format!("round(({})::numeric / 2.0)::bigint", value[1]),
                    format!("cast(round({} / 2.0) as integer)", value[2]),
                ]
            }
        }
    }

    fn truth(&mut self, scope: &Scope, depth: u32) -> Texts {
        let inner = depth.saturating_sub(1);
        let kind = self.one(&[Kind::Text, Kind::Number]);
        let value = |generator: &mut Self| generator.value(kind, scope, inner);
        match self.below(if depth == 0 { 4 } else { 17 }) {
            0 | 1 => {
                let operator = same(self.one(&["=", "<>", "<", "<=", ">", ">="]));
                texts!("({} {} {})", value(self), operator, value(self))
            }
            2 => {
                let after = same(self.one(&["is null", "is not null"]));
                texts!("({} {})", value(self), after)
            }
            3 => self.value(Kind::Truth, scope, inner),
            4 => {
                let operator = same(self.one(&["and", "or"]));
                // As authors write it, without parentheses around the whole: these are the border's to keep.
                let (a, b, c) = (
                    self.truth(scope, inner),
                    self.truth(scope, inner),
                    self.truth(scope, inner),
                );
                texts!("({} {} {} or {})", a, operator, b, c)
            }
            5 => texts!("(not {})", self.truth(scope, inner)),
            6 => {
                let not = same(self.one(&["", "not "]));
                texts!("({} {}between {} and {})", value(self), not, value(self), value(self))
            }
            7 => {
                let not = same(self.one(&["", "not "]));
                // The parser takes a subquery at the head of a list for the whole list.
                let head = self.literal(kind);
                texts!("({} {}in ({}, {}))", value(self), not, head, value(self))
            }
            8 => {
                let not = same(self.one(&["", "not "]));
                let value = self.value(Kind::Text, scope, inner);
                let pattern = same(self.one(&["'%i%'", "'_1'", "'B%'", "'%'", "'it%'"]));
                let escape = each("", "", " escape '\\'");
                texts!("({} {}like {}{})", value, not, pattern, escape)
            }
            9 => {
                let value = self.value(Kind::Text, scope, inner);
                let pattern = self.one(&["%I%", "b%", "%S"]);
                [
                    format!("({} ilike '{pattern}')", value[0]),
                    format!("(lower({}) like lower('{pattern}'))", value[1]),
                    format!("(lower({}) like lower('{pattern}'))", value[2]),
                ]
            }
            10 => {
                let not = same(self.one(&["", "not "]));
                texts!("({} is {}distinct from {})", value(self), not, value(self))
            }
            11 => {
                let after = same(self.one(&["is true", "is false", "is not true", "is not false"]));
                texts!("({} {})", self.truth(scope, inner), after)
            }
            12 => {
                let operator = same(self.one(&["<", ">", "=", "<=", "<>"]));
                let (a, b) = (
                    self.value(Kind::Number, scope, inner),
                    self.value(Kind::Number, scope, inner),
                );
                texts!("(({}, {}) {} ({}, {}))", a, value(self), operator, b, value(self))
            }
            13 if self.subqueries => self.exists(scope),
            14 if self.subqueries => self.in_query(scope),
            15 => self.in_array(scope, inner),
            _ => each(
                "(now() > timestamptz '2020-01-01T00:00:00Z')",
                "(now() > '2020-01-01')",
                "true",
            ),
        }
    }

    fn exists(&mut self, scope: &Scope) -> Texts {
        let table = &TABLES[self.below(3) as usize];
        let mut inside = scope.clone();
        let alias = format!("e{}", scope.len());
        inside.push((alias.clone(), table));
        let filter = self.truth(&inside, 1);
        let not = same(self.one(&["", "not "]));
        let from = same(&format!("{} {alias}", table.name));
        // SQLite 3.51 turns EXISTS over a plain table into a join, and then counts its rows for OFFSET; not over a slice.
        let whole = each("", "", " limit 1");
        texts!("({}exists (select 1 from {} where {}{}))", not, from, filter, whole)
    }

    fn in_query(&mut self, scope: &Scope) -> Texts {
        let value = self.value(Kind::Text, scope, 0);
        let not = same(self.one(&["", "not "]));
        let query = match self.below(3) {
            0 => same("select item_id from lines"),
            1 => same("select parent_id from categories"),
            _ => {
                let table = &TABLES[0];
                let mut inside = scope.clone();
                inside.push(("q0".to_owned(), table));
                texts!("select q0.id from items q0 where {}", self.truth(&inside, 1))
            }
        };
        match self.chance(3) {
            true => texts!(
                "(({}, {}) {}in (select item_id, order_id from lines))",
                value,
                value,
                not
            ),
            false => texts!("({} {}in ({}))", value, not, query),
        }
    }

    fn in_array(&mut self, scope: &Scope, depth: u32) -> Texts {
        let list = self.one(&[["i1", "i3"], ["root", "o1"]]);
        let value = self.value(Kind::Text, scope, depth);
        self.arguments.push(serde_json::json!(list));
        let number = self.arguments.len();
        let plain = format!("('{}', '{}')", list[0], list[1]);
        match self.chance(2) {
            true => [
                format!("({} = any(${number}))", value[0]),
                format!("({} in {plain})", value[1]),
                format!("({} in {plain})", value[2]),
            ],
            false => [
                format!("({} <> all(${number}))", value[0]),
                format!("({} not in {plain})", value[1]),
                format!("({} not in {plain})", value[2]),
            ],
        }
    }

    fn scalar(&mut self, kind: Kind, scope: &Scope) -> Texts {
        let table = &TABLES[self.below(2) as usize];
        let mut inside = scope.clone();
        let alias = format!("s{}", scope.len());
        inside.push((alias.clone(), table));
        let filter = self.truth(&inside, 1);
        let from = same(&format!("{} {alias}", table.name));
        match kind {
            Kind::Number => {
                let column = same(&format!(
                    "{alias}.{}",
                    if table.name == "items" { "price" } else { "quantity" }
                ));
                match self.below(3) {
                    0 => texts!("(select count(*) from {} where {})", from, filter),
                    1 => {
                        let sum = [
                            format!("sum({})", column[0]),
                            format!("sum({})::bigint", column[1]),
                            format!("sum({})", column[2]),
                        ];
                        texts!("(select {} from {} where {})", sum, from, filter)
                    }
                    _ => texts!("(select max({}) from {} where {})", column, from, filter),
                }
            }
            Kind::Text => {
                let key = same(
                    &table
                        .key
                        .iter()
                        .map(|column| format!("{alias}.{column}"))
                        .collect::<Vec<_>>()
                        .join(", "),
                );
                let first = same(&format!("{alias}.{}", table.key[0]));
                texts!(
                    "(select {} from {} where {} order by {} limit 1)",
                    first,
                    from,
                    filter,
                    key
                )
            }
            Kind::Truth => {
                let condition = self.value(Kind::Truth, &vec![(alias.clone(), table)], 0);
                [
                    format!(
                        "(select bool_or({}) from {} where {})",
                        condition[0], from[0], filter[0]
                    ),
                    format!(
                        "(select bool_or({}) from {} where {})",
                        condition[1], from[1], filter[1]
                    ),
                    format!("(select max({}) from {} where {})", condition[2], from[2], filter[2]),
                ]
            }
        }
    }

    // Queries.

    /// A FROM of one to three tables.
    fn from(&mut self) -> (Texts, Scope) {
        let first = &TABLES[self.below(3) as usize];
        let mut scope: Scope = vec![("a".to_owned(), first)];
        let mut from = same(&format!("{} a", first.name));
        for alias in ["b", "c"] {
            if !self.chance(3) {
                continue;
            }
            let table = &TABLES[self.below(3) as usize];
            scope.push((alias.to_owned(), table));
            let derived = self.chance(4);
            let right = match derived {
                true => {
                    let filter = self.truth(&vec![("d".to_owned(), table)], 1);
                    let name = same(table.name);
                    texts!("(select * from {} d where {}) as {}", name, filter, same(alias))
                }
                false => same(&format!("{} {alias}", table.name)),
            };
            from = match self.below(4) {
                0 => texts!("{} cross join {}", from, right),
                1 => texts!("{} join {} on {}", from, right, self.truth(&scope, 1)),
                2 if alias == "c" => texts!("{} , {}", from, right),
                _ => texts!("{} left join {} on {}", from, right, self.truth(&scope, 1)),
            };
        }
        (from, scope)
    }

    fn keys(&self, scope: &Scope) -> Vec<String> {
        scope
            .iter()
            .flat_map(|(alias, table)| table.key.iter().map(move |key| format!("{alias}.{key}")))
            .collect()
    }

    /// Sorted by every key, so that no two engines can differ; a left-joined key may be NULL.
    fn order(&mut self, first: Option<Texts>, keys: &[String]) -> Texts {
        let mut order = [0, 1, 2].map(|_| Vec::new());
        for key in first.into_iter().chain(keys.iter().map(|key| same(key))) {
            let descending = self.chance(2);
            let nulls = self.below(3);
            for (index, list) in order.iter_mut().enumerate() {
                let direction = if descending { " desc" } else { "" };
                let nulls = match (nulls, index, descending) {
                    (0, _, _) => " nulls first",
                    (1, _, _) => " nulls last",
                    (_, 2, true) => " nulls first",
                    (_, 2, false) => " nulls last",
                    _ => "",
                };
                list.push(format!("{}{direction}{nulls}", key[index]));
            }
        }
        [0, 1, 2].map(|index| order[index].join(", "))
    }

    fn select(&mut self) -> (Texts, bool, bool) {
        let (from, scope) = self.from();
        let keys = self.keys(&scope);
        let items = match self.below(6) {
            0 => same("*"),
            1 => same("a.*"),
            _ => {
                let kind = self.one(&[Kind::Text, Kind::Number, Kind::Truth]);
                let (a, b) = (self.value(kind, &scope, 2), self.value(Kind::Number, &scope, 2));
                texts!("{} as x, {} as y, {}", a, b, same(&keys.join(", ")))
            }
        };
        let filter = self.truth(&scope, 3);
        let mut texts = texts!("select {} from {} where {}", items, from, filter);
        if self.chance(8) {
            let distinct = self.value(Kind::Text, &scope, 1);
            let distinct = texts!("select distinct {} as x from {} where {}", distinct, from, filter);
            let ordered = self.chance(2);
            return (
                if ordered {
                    texts!("{} order by 1{}", distinct, each("", "", " nulls last"))
                } else {
                    distinct
                },
                ordered,
                false,
            );
        }
        let ordered = !self.chance(3);
        if ordered {
            let kind = self.one(&[Kind::Text, Kind::Number]);
            let first = self
                .chance(2)
                .then(|| self.value(kind, &scope, 1))
                .filter(|first| !first[0].starts_with(['\'', '(']) && !first[0].starts_with("cast($"));
            // A bare column could be another's alias; a position would be a constant.
            let first = first.filter(|first| first[0].contains('.'));
            let order = self.order(first, &keys);
            texts = texts!("{} order by {}", texts, order);
            if self.chance(3) {
                let (limit, offset) = (self.below(5) as i64 - 1, self.below(3));
                self.arguments.push(Value::from(limit));
                let number = self.arguments.len();
                let plain = limit.max(0);
                texts = [
                    format!("{} limit ${number} offset {offset}", texts[0]),
                    format!("{} limit {plain} offset {offset}", texts[1]),
                    format!("{} limit {plain} offset {offset}", texts[2]),
                ];
            }
        }
        (texts, ordered, false)
    }

    fn set_operation(&mut self) -> (Texts, bool, bool) {
        let side = |generator: &mut Self| {
            let table = &TABLES[generator.below(3) as usize];
            let scope: Scope = vec![("a".to_owned(), table)];
            let (text, filter) = (generator.value(Kind::Text, &scope, 1), generator.truth(&scope, 2));
            texts!(
                "select {} as x from {} where {}",
                text,
                same(&format!("{} a", table.name)),
                filter
            )
        };
        let operator = same(self.one(&["union", "union all", "except", "intersect"]));
        let (a, b, c) = (side(self), side(self), side(self));
        let texts = match self.chance(3) {
            true => texts!("with w as ({}) select x from w {} {}", a, operator, b),
            false => {
                let nested = [
                    format!("{} union {}", b[0], c[0]),
                    format!("({} union {})", b[1], c[1]),
                    format!("select x from ({} union {})", b[2], c[2]),
                ];
                let right = [format!("({})", nested[0]), nested[1].clone(), nested[2].clone()];
                texts!("{} {} {}", a, operator, right)
            }
        };
        (
            texts!("{} order by 1{}", texts, each("", "", " nulls last")),
            true,
            false,
        )
    }

    fn grouped(&mut self) -> (Texts, bool, bool) {
        let (from, scope) = self.from();
        let key = self.column(Kind::Text, &scope).unwrap_or_else(|| same("a.id"));
        let filter = self.truth(&scope, 2);
        let (number, truth, text) = (
            self.value(Kind::Number, &scope, 1),
            self.truth(&scope, 1),
            self.value(Kind::Text, &scope, 1),
        );
        let each_filter = self.truth(&scope, 1);
        let distinct = same(self.one(&["", "distinct "]));
        let sum = [
            format!("sum({}{}) filter (where {})", distinct[0], number[0], each_filter[0]),
            format!(
                "(sum({}{}) filter (where {}))::bigint",
                distinct[1], number[1], each_filter[1]
            ),
            format!("sum({}{}) filter (where {})", distinct[2], number[2], each_filter[2]),
        ];
        let average = [
            format!("avg({})", number[0]),
            format!("avg(({})::double precision)", number[1]),
            format!("avg({})", number[2]),
        ];
        let truths = [
            format!("bool_and({}) as e, bool_or({}) as s", truth[0], truth[0]),
            format!("bool_and({}) as e, bool_or({}) as s", truth[1], truth[1]),
            format!("min({}) as e, max({}) as s", truth[2], truth[2]),
        ];
        let items = texts!(
            "{} as k, count(*) as n, count({}{}) as t, {} as total, {} as average, min({}) as least, max({}) as most, {}",
            key,
            distinct,
            text,
            sum,
            average,
            text,
            number,
            truths
        );
        let keys = self.keys(&scope);
        let joined = [
            format!("string_agg({}, ',' order by {}) as j", text[0], keys.join(", ")),
            format!("string_agg({}, ',' order by {}) as j", text[1], keys.join(", ")),
            format!(
                "group_concat({}, ',' order by {}) as j",
                text[2],
                keys.iter()
                    .map(|key| format!("{key} nulls last"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        ];
        let texts = texts!(
            "select {}, {} from {} where {} group by {} having count(*) >= 1",
            items,
            joined,
            from,
            filter,
            key
        );
        (
            texts!("{} order by 1{}", texts, each("", "", " nulls last")),
            true,
            false,
        )
    }

    fn windowed(&mut self) -> (Texts, bool, bool) {
        let table = &TABLES[self.below(2) as usize];
        let scope: Scope = vec![("a".to_owned(), table)];
        let keys = self.keys(&scope).join(", ");
        let (part, number, text) = (
            self.value(Kind::Text, &scope, 1),
            self.value(Kind::Number, &scope, 1),
            self.value(Kind::Text, &scope, 1),
        );
        let nulls = each("", "", " nulls last");
        let sum = [
            format!("sum({})", number[0]),
            format!("sum({})", number[1]),
            format!("sum({})", number[2]),
        ];
        let sum = texts!("{} over (partition by {})", sum, part);
        let sum = [sum[0].clone(), format!("({})::bigint", sum[1]), sum[2].clone()];
        let name = same(self.one(&["rank()", "dense_rank()"]));
        let texts = texts!(
            "select row_number() over (partition by {} order by {}{}, {}) as n, {} over (order by {}{}) as r, {} as s, lag({}) over (order by {}) as g, lead({}) over (order by {}) as d",
            part,
            number,
            nulls,
            same(&keys),
            name,
            number,
            nulls,
            sum,
            text,
            same(&keys),
            number,
            same(&keys)
        );
        (
            texts!(
                "{} from {} order by {}",
                texts,
                same(&format!("{} a", table.name)),
                same(&keys)
            ),
            true,
            false,
        )
    }

    fn documents(&mut self) -> (Texts, bool, bool) {
        let scope: Scope = vec![("a".to_owned(), &TABLES[0])];
        let (text, number, truth) = (
            self.value(Kind::Text, &scope, 1),
            self.value(Kind::Number, &scope, 1),
            self.truth(&scope, 1),
        );
        let truth_json = [
            truth[0].clone(),
            truth[1].clone(),
            format!("json(case {} when 1 then 'true' when 0 then 'false' end)", truth[2]),
        ];
        let builder = each("json_object", "jsonb_build_object", "json_object");
        let list = each("json_array", "jsonb_build_array", "json_array");
        let lines = each(
            "(select json_agg(l.quantity order by l.order_id, l.position) from lines l where l.item_id = a.id)",
            "(select coalesce(jsonb_agg(l.quantity order by l.order_id, l.position), '[]') from lines l where l.item_id = a.id)",
            "json((select json_group_array(l.quantity order by l.order_id, l.position) from lines l where l.item_id = a.id))",
        );
        let at = each(
            "a.created_at",
            "to_char(a.created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
            "a.created_at",
        );
        let data = each("a.data", "a.data", "json(a.data)");
        let texts = texts!(
            "select a.id, {}('t', {}, 'n', {}, 'b', {}, 'l', {}, 'd', {}, 'at', {}, 'a', {}({}, {})) as doc, ",
            builder,
            text,
            number,
            truth_json,
            lines,
            data,
            at,
            list,
            number,
            text
        );
        let fields = each(
            "a.data ->> 'k' as k, a.data -> 'o' -> 'p' as p, a.data ->> 'b' as b, json_set(a.data, 'new', '[1]') as s, json_remove(a.data, 'k') as r",
            "(a.data ->> 'k') as k, a.data -> 'o' -> 'p' as p, a.data ->> 'b' as b, jsonb_set(a.data, '{new}', '[1]') as s, a.data - 'k' as r",
            "(case json_type(a.data, '$.k') when 'text' then a.data ->> '$.k' when 'null' then null else a.data -> '$.k' end) as k, a.data -> '$.o.p' as p, (case json_type(a.data, '$.b') when 'true' then 'true' when 'false' then 'false' end) as b, json_set(a.data, '$.new', json('[1]')) as s, json_remove(a.data, '$.k') as r",
        );
        let filter = self.truth(&scope, 2);
        (
            texts!("{} {} from items a where {} order by a.id", texts, fields, filter),
            true,
            false,
        )
    }

    fn tree(&mut self) -> (Texts, bool, bool) {
        let filter = self.truth(&vec![("c".to_owned(), &TABLES[2])], 1);
        let texts = texts!(
            "with recursive tree(id, depth, path) as (select c.id, {}, c.name from categories c where c.parent_id is null and {} \
             union all select c.id, t.depth + 1, t.path || '/' || c.name from tree t join categories c on c.parent_id = t.id) \
             select t.id, t.depth, t.path from tree t order by t.path{}, t.id{}",
            each("cast(0 as bigint)", "0::bigint", "0"),
            filter,
            each("", "", " nulls last"),
            each("", "", " nulls last")
        );
        (texts, true, false)
    }

    fn locked(&mut self) -> (Texts, bool, bool) {
        let filter = self.truth(&vec![("a".to_owned(), &TABLES[0])], 1);
        let wait = self.one(&["", " nowait", " skip locked", " of a"]);
        let lock = each(&format!(" for update{wait}"), &format!(" for update{wait}"), "");
        (
            texts!(
                "select a.id, a.stock from items a where {} order by a.id{}",
                filter,
                lock
            ),
            true,
            false,
        )
    }

    // Writes.

    fn insert(&mut self) -> (Texts, bool, bool) {
        let conflict = match self.below(4) {
            0 => same(""),
            1 => same(" on conflict do nothing"),
            2 => same(" on conflict (order_id, position) do nothing"),
            _ => {
                self.subqueries = false;
                let filter = self.truth(&vec![("x".to_owned(), &TABLES[1])], 1);
                self.subqueries = true;
                texts!(
                    " on conflict (order_id, position) do update set quantity = x.quantity + excluded.quantity, item_id = excluded.item_id where {}",
                    filter
                )
            }
        };
        let returning = same(self.one(&[
            "",
            " returning order_id, position, quantity, quantity > 1 as many",
            " returning *",
        ]));
        let texts = match self.below(3) {
            0 => {
                let none = Scope::new();
                let (quantity, item) = (
                    self.value(Kind::Number, &none, 1),
                    same(self.one(&["'i1'", "'i2'", "'nowhere'"])),
                );
                texts!(
                    "insert into lines as x (order_id, position, item_id, quantity) values ('o1', 1, {}, {}), ('o9', 7, 'i3', 5)",
                    item,
                    quantity
                )
            }
            1 => {
                let scope: Scope = vec![("a".to_owned(), &TABLES[0])];
                let (filter, quantity) = (self.truth(&scope, 2), self.value(Kind::Number, &scope, 1));
                texts!(
                    "insert into lines as x (order_id, position, item_id, quantity) select 'o1', a.stock, a.id, {} from items a where {}{}",
                    quantity,
                    filter,
                    same("")
                )
            }
            _ => {
                let rows = serde_json::json!([
                    {"o": "o1", "p": 1, "i": "i2", "q": 4, "w": 1.5, "b": true, "t": "2026-01-01T00:00:00.000000Z", "j": {"a": 1}},
                    {"o": "o7", "p": 2, "i": "i1", "q": 6, "b": false, "t": "2026-01-01T00:00:00Z"},
                ]);
                self.arguments.push(rows);
                let number = self.arguments.len();
                let plain = "insert into lines as x (order_id, position, item_id, quantity) select o, p, i, q from \
                     (select 'o1' as o, 1 as p, 'i2' as i, 4 as q union all select 'o7', 2, 'i1', 6) r where true";
                each(
                    &format!(
                        "insert into lines as x (order_id, position, item_id, quantity) select r.o, r.p, r.i, r.q \
                         from json_rows(${number}) as r(o text, p bigint, i text, q bigint, w double precision, b boolean, t timestamptz, j jsonb) \
                         where r.b is not null and r.t = timestamptz '2026-01-01T00:00:00Z' and coalesce(r.w, 1) > 0 and (r.j -> 'a' is null or r.b)"
                    ),
                    plain,
                    plain,
                )
            }
        };
        (texts!("{}{}{}", texts, conflict, returning), false, true)
    }

    fn update(&mut self) -> (Texts, bool, bool) {
        let table = &TABLES[self.below(2) as usize];
        let scope: Scope = vec![("x".to_owned(), table)];
        let filter = self.truth(&scope, 3);
        self.subqueries = false;
        let number = self.value(Kind::Number, &scope, 2);
        self.subqueries = true;
        let column = same(if table.name == "items" { "stock" } else { "quantity" });
        let returning = match (self.below(3), table.name) {
            (0, "items") => same(" returning id, stock, active"),
            (0, _) => same(" returning *"),
            _ => same(""),
        };
        let name = same(table.name);
        // The number may be NULL, and neither column can.
        let texts = match self.below(4) {
            0 if table.name == "items" => texts!(
                "update items as x set stock = x.stock + coalesce({}, 0) from (select l.item_id as i, max(l.quantity) as q from lines l group by l.item_id) as s where s.i = x.id and {}",
                number,
                filter
            ),
            1 => texts!(
                "with w as (select item_id from lines) update {} as x set {} = coalesce({}, 1) where {} or x.{} in (select item_id from w)",
                name,
                column,
                number,
                filter,
                same(if table.name == "items" { "id" } else { "item_id" })
            ),
            _ => texts!("update {} as x set {} = {} where {}", name, column, number, filter),
        };
        // As the author writes it: `a and b or c` without parentheres.
        let texts = match self.chance(3) && !texts[0].starts_with("with") {
            true => texts!("{} or {}", texts, self.truth(&scope, 1)),
            false => texts,
        };
        (texts!("{}{}", texts, returning), false, true)
    }

    fn delete(&mut self) -> (Texts, bool, bool) {
        let scope: Scope = vec![("x".to_owned(), &TABLES[1])];
        let filter = self.truth(&scope, 2);
        let or = self.truth(&scope, 1);
        let returning = same(self.one(&["", " returning order_id, position", " returning *"]));
        match self.chance(6) {
            true => (texts!("delete from lines as x{}", returning), false, true),
            false => (
                texts!("delete from lines as x where {} or {}{}", filter, or, returning),
                false,
                true,
            ),
        }
    }
}

/// Not every part that was made is used: numbers the arguments that are, without gaps, and passes only those.
fn numbered(mut statement: Statement) -> Statement {
    let mut used: Vec<usize> = Vec::new();
    let mut parts = statement.texts[0].split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.chars().take_while(char::is_ascii_digit).count();
        let number: usize = part[..digits].parse().expect("a number after $");
        let position = used.iter().position(|other| *other == number).unwrap_or_else(|| {
            used.push(number);
            used.len() - 1
        });
        text.push_str(&format!("${}{}", position + 1, &part[digits..]));
    }
    statement.texts[0] = text;
    statement.arguments = used
        .into_iter()
        .map(|number| statement.arguments[number - 1].clone())
        .collect();
    statement
}

/// The plain kinds of a prepared statement's columns are the border's own: one decoding for both.
pub fn kinds(columns: &[commerce_kernel::storage::sql::border::OutputColumn]) -> Vec<ColumnType> {
    columns.iter().filter_map(|column| column.kind).collect()
}
