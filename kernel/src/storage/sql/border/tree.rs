//! The statement as the border understands it: a closed language, much smaller than SQL.
//!
//! Checking turns the parser's tree into this one, and printing turns this one into each engine's text. What has no node
//! here cannot be printed, whatever the parser accepted. A base table stands here only as [`Source::Slice`], which prints
//! as the slice of one store, or as the target of a write, which prints its store predicate around the plugin's own.

use super::ColumnType;

/// The number behind a kernel-given name: `t7` for a table, `w7` for a common table expression.
pub(super) type Id = u32;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Statement {
    Query(Query),
    Insert { with: With, insert: Insert },
    Update { with: With, update: Update },
    Delete { with: With, delete: Delete },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct With {
    pub recursive: bool,
    pub tables: Vec<CommonTable>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct CommonTable {
    pub id: Id,
    pub query: Query,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    pub with: With,
    pub body: Body,
    pub order: Vec<Order>,
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
    pub locks: Vec<Lock>,
    pub columns: Vec<Output>,
}

/// A column of a query's answer. It prints as `c1`, `c2`, …: the plugin's own name stays outside.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output {
    pub name: String,
    pub kind: ColumnType,
    pub nullable: bool,
    pub weight: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Select(Box<Select>),
    Set {
        operator: SetOperator,
        all: bool,
        left: Box<Body>,
        right: Box<Body>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetOperator {
    Union,
    Except,
    Intersect,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Select {
    pub distinct: bool,
    pub items: Vec<Expr>,
    pub from: Vec<From>,
    pub filter: Option<Expr>,
    pub group: Vec<Expr>,
    pub having: Option<Expr>,
}

/// One table of a FROM list, joined to all before it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct From {
    pub id: Id,
    pub source: Source,
    pub join: Join,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Join {
    Cross,
    Inner(Expr),
    Left(Expr),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    Slice {
        plugin: String,
        table: String,
        columns: Vec<String>,
    },
    Query(Box<Query>),
    CommonTable(Id),
    JsonRows {
        rows: Expr,
        columns: Vec<(String, ColumnType)>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lock {
    pub id: Id,
    pub wait: Wait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Block,
    Fail,
    Skip,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Order {
    pub by: OrderBy,
    pub descending: bool,
    /// Absent where the value cannot be NULL, so that an index of either engine serves the order.
    pub nulls_first: Option<bool>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum OrderBy {
    /// One-based.
    Output(usize),
    Expr(Expr),
}

/// The base table that a statement changes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub id: Id,
    pub plugin: String,
    pub table: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Insert {
    pub target: Target,
    pub columns: Vec<String>,
    pub rows: Rows,
    pub conflict: Option<Conflict>,
    pub returning: Vec<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rows {
    Values(Vec<Vec<Expr>>),
    Query(Box<Query>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conflict {
    /// Empty: any unique key.
    pub columns: Vec<String>,
    pub update: Option<ConflictUpdate>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ConflictUpdate {
    pub set: Vec<(String, Expr)>,
    pub filter: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Update {
    pub target: Target,
    pub set: Vec<(String, Expr)>,
    pub from: Vec<From>,
    pub filter: Option<Expr>,
    pub returning: Vec<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Delete {
    pub target: Target,
    pub filter: Option<Expr>,
    pub returning: Vec<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expr {
    pub node: Node,
    pub kind: ColumnType,
    pub nullable: bool,
    /// How many stored or passed texts this value may be the sum of; bounded, so that text cannot be doubled into
    /// something that fills the database's memory.
    pub weight: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Column {
        id: Id,
        name: String,
    },
    /// A column of the row that an upsert could not insert.
    Excluded(String),
    /// One-based.
    Argument(usize),
    Null,
    Text(String),
    Integer(i64),
    Double(String),
    Boolean(bool),
    /// Already in the fixed-width form.
    Timestamp(String),
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Compare {
        operator: Comparison,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    CompareRows {
        operator: Comparison,
        left: Vec<Expr>,
        right: Vec<Expr>,
    },
    Distinct {
        negated: bool,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    IsNull {
        negated: bool,
        value: Box<Expr>,
    },
    IsBoolean {
        negated: bool,
        truth: bool,
        value: Box<Expr>,
    },
    Between {
        negated: bool,
        value: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
    },
    Like {
        negated: bool,
        value: Box<Expr>,
        pattern: Box<Expr>,
        escape: char,
    },
    InList {
        negated: bool,
        value: Box<Expr>,
        list: Vec<Expr>,
    },
    InQuery {
        negated: bool,
        values: Vec<Expr>,
        query: Box<Query>,
    },
    /// `= any($1)` and `<> all($1)`, where the argument is a JSON array.
    InArray {
        negated: bool,
        value: Box<Expr>,
        array: Box<Expr>,
    },
    Exists {
        negated: bool,
        query: Box<Query>,
    },
    Scalar(Box<Query>),
    Arithmetic {
        operator: Arithmetic,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Negative(Box<Expr>),
    Concat(Vec<Expr>),
    Case {
        operand: Option<Box<Expr>>,
        arms: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    /// From the value's kind to the expression's.
    Convert(Box<Expr>),
    JsonPath {
        base: Box<Expr>,
        path: Vec<JsonStep>,
        as_text: bool,
    },
    Call {
        function: Function,
        arguments: Vec<Expr>,
    },
    Aggregate(Box<Aggregate>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub fn symbol(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }

    pub fn orders(self) -> bool {
        !matches!(self, Comparison::Equal | Comparison::NotEqual)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum JsonStep {
    Key(String),
    Index(u32),
}

/// The scalar functions. Each has one meaning and one spelling per engine, in [`super::dialect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Coalesce,
    Greatest,
    JsonArray,
    JsonObject,
    JsonRemove,
    JsonSet,
    Least,
    Length,
    Lower,
    LeftTrim,
    Now,
    Nullif,
    Replace,
    RightTrim,
    Round,
    Strpos,
    Substr,
    Trim,
    Upper,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Aggregate {
    pub function: AggregateFunction,
    /// Empty for `count(*)`, `row_number()`, `rank()` and `dense_rank()`.
    pub arguments: Vec<Expr>,
    pub distinct: bool,
    pub order: Vec<Order>,
    pub filter: Option<Expr>,
    pub over: Option<Window>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    pub partition: Vec<Expr>,
    pub order: Vec<Order>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AggregateFunction {
    Average,
    BoolAnd,
    BoolOr,
    Count,
    DenseRank,
    JsonAgg,
    Lag,
    Lead,
    Max,
    Min,
    Rank,
    RowNumber,
    StringAgg,
    Sum,
}

impl AggregateFunction {
    /// Whether it exists only with an OVER clause.
    pub fn needs_window(self) -> bool {
        matches!(
            self,
            AggregateFunction::RowNumber
                | AggregateFunction::Rank
                | AggregateFunction::DenseRank
                | AggregateFunction::Lag
                | AggregateFunction::Lead
        )
    }
}
