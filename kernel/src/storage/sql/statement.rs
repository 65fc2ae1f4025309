//! Statements of the kernel itself: their texts, translated once, and lists of them that settle a transaction.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use super::postgres::Kind;
use super::{SqlError, Value, translate};

/// SQLite takes 32,766 parameters, PostgreSQL 65,535; a statement much longer than this is no faster.
const MAX_PARAMETERS: usize = 900;

/// Units of work differ in how many events and jobs they have; when more than these were met, all are forgotten.
const MAX_JOINED: usize = 500;

/// One statement of a transaction: `insert into kernel.outbox …`, with its arguments.
#[derive(Clone, Debug)]
pub struct KernelStatement {
    text: &'static str,
    rows: Vec<Vec<Value<'static>>>,
    expected: Option<u64>,
}

impl KernelStatement {
    pub fn new(text: &'static str, args: impl Into<Vec<Value<'static>>>) -> Self {
        Self {
            text,
            rows: vec![args.into()],
            expected: None,
        }
    }

    /// The text has one `values (…)` tuple, written for the first row; it is repeated for each, and every placeholder of
    /// the text is in it.
    pub fn rows(text: &'static str, rows: Vec<Vec<Value<'static>>>) -> Self {
        Self {
            text,
            rows,
            expected: None,
        }
    }

    /// Another number of affected rows fails the whole transaction with [`SqlError::Conflict`].
    pub fn expecting(mut self, affected: u64) -> Self {
        self.expected = Some(affected);
        self
    }

    pub(super) fn check(&self, affected: u64) -> Result<(), SqlError> {
        match self.expected {
            Some(expected) if expected != affected => Err(SqlError::Conflict),
            _ => Ok(()),
        }
    }

    /// The texts to run with their arguments: one, or a few where there are very many rows.
    pub(super) fn batches(&self, texts: &Texts) -> Result<Vec<Batch>, SqlError> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let rows_at_once = (MAX_PARAMETERS / columns.max(1)).max(1);
        self.rows
            .chunks(rows_at_once)
            .map(|rows| {
                Ok((
                    texts.get(self.text, rows.len(), columns)?,
                    rows.iter().flatten().cloned().collect(),
                ))
            })
            .collect()
    }
}

/// Several changes as one text, and the arguments of all: on PostgreSQL each statement is a round trip, during which
/// what the transaction has locked stays locked. None where they have to run one by one.
pub(super) fn joined(statements: &[KernelStatement], texts: &Texts) -> Result<Option<Batch>, SqlError> {
    let arguments = || statements.iter().flat_map(|statement| statement.rows.iter().flatten());
    if statements.len() < 2 || arguments().count() > MAX_PARAMETERS {
        return Ok(None);
    }
    Ok(texts
        .joined(statements)?
        .map(|text| (text, arguments().cloned().collect())))
}

/// One text with the arguments of as many rows as it takes.
type Batch = (Arc<KernelText>, Vec<Value<'static>>);

/// A text as both engines run it.
pub(super) struct KernelText {
    pub postgres: Arc<str>,
    pub sqlite: Arc<str>,
    /// The types PostgreSQL infers for the parameters: asked for once per process.
    pub parameters: OnceLock<Box<[Kind]>>,
}

/// Every kernel text that has run.
#[derive(Default)]
pub(super) struct Texts {
    single: RwLock<HashMap<Key, Arc<KernelText>>>,
    /// None for those that can't be joined.
    joined: RwLock<HashMap<Vec<Key>, Option<Arc<KernelText>>>>,
}

/// A text by its address and length, which works because they are `'static`, and for how many rows it is.
type Key = (usize, usize, usize);

fn key(text: &'static str, rows: usize) -> Key {
    (text.as_ptr() as usize, text.len(), rows)
}

impl Texts {
    pub(super) fn single(&self, text: &'static str) -> Result<Arc<KernelText>, SqlError> {
        self.get(text, 1, 0)
    }

    fn get(&self, text: &'static str, rows: usize, columns: usize) -> Result<Arc<KernelText>, SqlError> {
        let key = key(text, rows);
        if let Some(known) = self.single.read().get(&key) {
            return Ok(Arc::clone(known));
        }
        let postgres: Arc<str> = match rows {
            1 => text.into(),
            _ => translate::repeat_values(text, rows, columns)
                .ok_or_else(|| {
                    tracing::error!(text, "a kernel statement for several rows has no values tuple");
                    SqlError::Failed
                })?
                .into(),
        };
        let sqlite = translate::statement(&postgres).into();
        let made = Arc::new(KernelText {
            postgres,
            sqlite,
            parameters: OnceLock::new(),
        });
        self.single.write().insert(key, Arc::clone(&made));
        Ok(made)
    }

    fn joined(&self, statements: &[KernelStatement]) -> Result<Option<Arc<KernelText>>, SqlError> {
        let keys: Vec<_> = statements
            .iter()
            .map(|statement| key(statement.text, statement.rows.len()))
            .collect();
        if let Some(known) = self.joined.read().get(&keys) {
            return Ok(known.clone());
        }
        let mut parts = Vec::with_capacity(statements.len());
        for statement in statements {
            let columns = statement.rows.first().map_or(0, Vec::len);
            let text = self.get(statement.text, statement.rows.len(), columns)?;
            parts.push((text, statement.rows.len() * columns));
        }
        let joined = translate::join(parts.iter().map(|(text, arguments)| (&*text.postgres, *arguments)));
        let made = joined.map(|postgres| {
            Arc::new(KernelText {
                postgres: postgres.into(),
                // There a statement is no round trip, and a change no part of another statement.
                sqlite: "".into(),
                parameters: OnceLock::new(),
            })
        });
        let mut known = self.joined.write();
        if known.len() >= MAX_JOINED {
            known.clear();
        }
        known.insert(keys, made.clone());
        Ok(made)
    }
}
