//! The unit of work of one call tree: a request, an event or a job, with every plugin called on the way.
//!
//! It holds at most one connection, taken at its first statement. In [`Mode::Changing`] everything is one transaction, open
//! from the first statement to [`Work::finish`]; transactions that calls open themselves are savepoints in it. In
//! [`Mode::Staged`] there is only what calls open themselves. In [`Mode::Reading`] there is none and nothing can be changed.
//!
//! A failure dooms the innermost open transaction: PostgreSQL would refuse every further statement by itself, SQLite would
//! go on and commit half of what was meant; here both refuse.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::access::{Checked, PluginAccess};
use super::border::Prepared;
use super::connection::{PluginStatement, Rights};
use super::message;
use super::pool::{Lease, Pool, queue};
use super::statement::{KernelStatement, KernelText};
use super::transaction;
use super::{Answer, Engine, Limits, Row, Sql, SqlError, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Statements outside of any transaction; changes are refused.
    Reading,
    /// One transaction around everything.
    Changing,
    /// Transactions only where calls open them; each statement outside of one stands alone.
    Staged,
}

/// One plugin's call within the tree. Calls end in the reverse order of their beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame(u32);

/// See the module. Dropping it rolls back whatever is open.
pub struct Work {
    sql: Sql,
    store: i64,
    mode: Mode,
    /// Innermost last. In [`Mode::Changing`] the first one belongs to the tree itself.
    open: Vec<Open>,
    /// Taken when the first statement of a transaction runs, returned when the outermost one closes.
    lease: Option<Lease>,
    /// Whose rights the connection has now, where the engine knows such a thing.
    rights: Option<Rights>,
    /// The place in the line of the plugin whose statement took the connection.
    place: Option<OwnedSemaphorePermit>,
    frames: u32,
    last_transaction: u32,
    begun_at: Option<Instant>,
    waited: Duration,
}

/// One open transaction, or savepoint in one.
struct Open {
    id: u32,
    owner: Frame,
    doomed: bool,
    /// The rights when it was opened: undoing it undoes a switch within it as well.
    rights: Option<Rights>,
    /// Runs before the outermost transaction commits.
    later: Vec<KernelStatement>,
}

/// The owner of what belongs to no call.
const TREE: Frame = Frame(0);

impl Work {
    pub(super) fn new(sql: Sql, store: i64, mode: Mode) -> Self {
        let open = match mode {
            Mode::Changing => vec![Open {
                id: 0,
                owner: TREE,
                doomed: false,
                rights: None,
                later: Vec::new(),
            }],
            Mode::Reading | Mode::Staged => Vec::new(),
        };
        Self {
            sql,
            store,
            mode,
            open,
            lease: None,
            rights: None,
            place: None,
            frames: 0,
            last_transaction: 0,
            begun_at: None,
            waited: Duration::ZERO,
        }
    }

    pub fn store(&self) -> i64 {
        self.store
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether what is done now can still be rolled back. In [`Mode::Changing`] always, also before the first statement.
    pub fn in_transaction(&self) -> bool {
        !self.open.is_empty()
    }

    /// Time spent in line for a connection: not the call's own.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// A call begins.
    pub fn enter(&mut self) -> Frame {
        self.frames += 1;
        Frame(self.frames)
    }

    /// The call ended. Transactions that it left open are rolled back, and that is an error.
    pub async fn leave(&mut self, frame: Frame) -> Result<(), SqlError> {
        let mut left_open = false;
        while let Some(innermost) = self.open.last().filter(|open| open.owner.0 >= frame.0) {
            let (owner, id) = (innermost.owner, innermost.id);
            left_open = true;
            self.close_by_rollback(owner, id).await?;
        }
        self.frames = self.frames.min(frame.0.saturating_sub(1));
        if left_open { Err(SqlError::LeftOpen) } else { Ok(()) }
    }

    /// Opens a transaction, nested where one is open, and answers its name. Its connection is one of the plugin's share.
    pub async fn begin(&mut self, frame: Frame, access: &PluginAccess) -> Result<u32, SqlError> {
        if self.mode == Mode::Reading {
            return Err(SqlError::Refused("a reading call cannot open a transaction".into()));
        }
        if frame.0 != self.frames {
            return Err(SqlError::NotOwner);
        }
        self.refuse_doomed()?;
        let id = self.last_transaction + 1;
        if self.open.is_empty() {
            self.connect(Some(access)).await?;
        } else {
            self.connect(Some(access)).await.inspect_err(|_| self.doom())?;
            self.control(format!("savepoint s{id}"))
                .await
                .inspect_err(|_| self.doom())?;
        }
        self.last_transaction = id;
        self.open.push(Open {
            id,
            owner: frame,
            doomed: false,
            rights: self.rights,
            later: Vec::new(),
        });
        Ok(id)
    }

    pub async fn commit(&mut self, frame: Frame, transaction: u32) -> Result<(), SqlError> {
        self.owned(frame, transaction)?;
        self.refuse_doomed()?;
        if self.open.len() > 1 {
            self.control(format!("release savepoint s{transaction}"))
                .await
                .inspect_err(|_| self.doom())?;
            if let Some(closed) = self.open.pop()
                && let Some(parent) = self.open.last_mut()
            {
                parent.later.extend(closed.later);
            }
            return Ok(());
        }
        let later = self.open.pop().map(|open| open.later).unwrap_or_default();
        self.commit_outermost(later).await
    }

    pub async fn rollback(&mut self, frame: Frame, transaction: u32) -> Result<(), SqlError> {
        self.owned(frame, transaction)?;
        self.close_by_rollback(frame, transaction).await
    }

    /// A joined call failed: the innermost open transaction accepts nothing but its rollback.
    pub fn doom(&mut self) {
        if let Some(innermost) = self.open.last_mut() {
            innermost.doomed = true;
        }
    }

    /// Runs a plugin's statement in the innermost open transaction, whoever opened it.
    pub async fn statement(
        &mut self,
        access: &PluginAccess,
        prepared: &Prepared,
        args: &[u8],
        limits: Limits,
    ) -> Result<Answer, SqlError> {
        self.refuse_doomed()?;
        let outcome = self.run_statement(access, prepared, args, limits).await;
        self.settle_failure(outcome).await
    }

    async fn run_statement(
        &mut self,
        access: &PluginAccess,
        prepared: &Prepared,
        args: &[u8],
        limits: Limits,
    ) -> Result<Answer, SqlError> {
        if prepared.writes && self.mode == Mode::Reading {
            return Err(SqlError::Refused("a reading call cannot change anything".into()));
        }
        let arguments = message::arguments(args, prepared.arguments)?;
        let checked = self.sql.check(access, prepared).await?;
        if self.open.is_empty() {
            return self.run_alone(access, prepared, &checked, &arguments, limits).await;
        }
        let before = self.waited;
        self.connect(Some(access)).await?;
        self.assume(Rights::Plugins).await?;
        let limits = self.within_age(limits.later_by(self.waited - before))?;
        let store = self.store;
        let Some(lease) = &mut self.lease else {
            return Err(SqlError::Doomed);
        };
        let statement = PluginStatement {
            plugin: access.plugin(),
            prepared,
            checked: &checked,
            arguments,
            store,
            limits,
        };
        lease.run(async |connection| connection.plugin(statement).await).await
    }

    /// A statement outside of any transaction: a connection for just as long as it runs.
    async fn run_alone(
        &mut self,
        access: &PluginAccess,
        prepared: &Prepared,
        checked: &Checked,
        arguments: &[Value<'_>],
        limits: Limits,
    ) -> Result<Answer, SqlError> {
        let (share, pool) = if prepared.writes {
            (access.writers(), self.sql.plugin_writes())
        } else {
            (access.connections(), self.sql.plugin_reads())
        };
        let (pool, longest) = (Arc::clone(pool), self.sql.config().queue_wait());
        let before = self.waited;
        let _place = self.turn(queue(share, longest)).await?;
        let mut lease = self.turn(pool.acquire()).await?;
        let limits = self.sql.capped(limits.later_by(self.waited - before));
        let store = self.store;
        let statement = || PluginStatement {
            plugin: access.plugin(),
            prepared,
            checked,
            arguments: arguments.to_vec(),
            store,
            limits,
        };
        let first = lease.run(async |connection| connection.plugin(statement()).await).await;
        match first {
            Err(SqlError::Unavailable { .. }) if lease.is_lost() && !prepared.writes => {
                drop(lease);
                let mut fresh = pool.acquire_new().await?;
                fresh.run(async |connection| connection.plugin(statement()).await).await
            }
            Err(SqlError::Unavailable { .. }) if lease.is_lost() => Err(SqlError::Uncertain),
            other => other,
        }
    }

    /// A kernel SELECT, or a statement with RETURNING where something may be changed.
    pub async fn kernel_fetch_all(&mut self, text: &'static str, args: &[Value<'_>]) -> Result<Vec<Row>, SqlError> {
        if self.open.is_empty() {
            return match self.mode {
                Mode::Reading => self.sql.kernel().fetch_all(text, args).await,
                Mode::Staged | Mode::Changing => self.sql.kernel().write(text, args).await,
            };
        }
        Ok(self.kernel_statement(text, args).await?.0)
    }

    pub async fn kernel_execute(&mut self, text: &'static str, args: &[Value<'_>]) -> Result<u64, SqlError> {
        if self.mode == Mode::Reading {
            return Err(SqlError::Refused("a reading call cannot change anything".into()));
        }
        if self.open.is_empty() {
            return self.sql.kernel().execute(text, args).await;
        }
        Ok(self.kernel_statement(text, args).await?.1)
    }

    async fn kernel_statement(&mut self, text: &'static str, args: &[Value<'_>]) -> Result<(Vec<Row>, u64), SqlError> {
        self.refuse_doomed()?;
        let text = self.sql.texts().single(text)?;
        let outcome = self.run_kernel_statement(&text, args).await;
        self.settle_failure(outcome).await
    }

    async fn run_kernel_statement(
        &mut self,
        text: &KernelText,
        args: &[Value<'_>],
    ) -> Result<(Vec<Row>, u64), SqlError> {
        self.connect(None).await?;
        self.assume(Rights::Kernel).await?;
        let Some(lease) = &mut self.lease else {
            return Err(SqlError::Doomed);
        };
        lease.run(async |connection| connection.kernel(text, args).await).await
    }

    /// Has a kernel statement run just before the commit that makes everything so far real, and never if that is rolled
    /// back. With no transaction open it runs at once.
    pub async fn later(&mut self, statement: KernelStatement) -> Result<(), SqlError> {
        match self.open.last_mut() {
            Some(innermost) => {
                innermost.later.push(statement);
                Ok(())
            }
            None if self.mode == Mode::Reading => {
                Err(SqlError::Refused("a reading call cannot change anything".into()))
            }
            None => self.sql.kernel().transaction(vec![statement]).await.map(drop),
        }
    }

    /// Runs what was put off, then the settlement, and commits. A doomed unit is rolled back instead.
    pub async fn finish(mut self, settlement: Vec<KernelStatement>) -> Result<(), SqlError> {
        if self.open.len() > usize::from(self.mode == Mode::Changing) {
            return Err(SqlError::LeftOpen);
        }
        self.refuse_doomed()?;
        let mut statements = self.open.pop().map(|open| open.later).unwrap_or_default();
        statements.extend(settlement);
        if self.lease.is_none() {
            return self.sql.kernel().transaction(statements).await.map(drop);
        }
        self.commit_outermost(statements).await
    }

    /// Rolls back and gives the connection back before it answers.
    pub async fn abandon(mut self) {
        if let Some(mut lease) = self.lease.take() {
            let ended = transaction::uncancelled(async move {
                transaction::rollback(&mut lease).await;
                Ok(())
            });
            // What could not be rolled back was closed; `uncancelled` has logged anything worse.
            let _ended = ended.await;
        }
    }

    // --- the connection -------------------------------------------------------------------------------------------

    /// Makes sure that the outermost transaction has really begun.
    async fn connect(&mut self, access: Option<&PluginAccess>) -> Result<(), SqlError> {
        if let Some(lease) = &self.lease {
            return if lease.is_lost() { Err(SqlError::Doomed) } else { Ok(()) };
        }
        if let Some(access) = access
            && self.place.is_none()
        {
            let longest = self.sql.config().queue_wait();
            self.place = Some(self.turn(queue(access.writers(), longest)).await?);
        }
        let pool = Arc::clone(self.sql.plugin_writes());
        let lease = self.turn(transaction::begin(&pool)).await?;
        self.rights = lease.usual_rights();
        if let Some(outermost) = self.open.first_mut() {
            outermost.rights = self.rights;
        }
        self.lease = Some(lease);
        self.begun_at = Some(Instant::now());
        Ok(())
    }

    /// Waits in a queue. The time counts as waited also where the turn never comes: the call must live to be told.
    async fn turn<T>(&mut self, turn: impl Future<Output = Result<(T, Duration), SqlError>>) -> Result<T, SqlError> {
        let asked_at = Instant::now();
        match turn.await {
            Ok((turn, waited)) => {
                self.waited += waited;
                Ok(turn)
            }
            Err(error) => {
                self.waited += asked_at.elapsed();
                Err(error)
            }
        }
    }

    async fn control(&mut self, commands: String) -> Result<(), SqlError> {
        let Some(lease) = &mut self.lease else {
            return Err(SqlError::Doomed);
        };
        lease.run(async |connection| connection.control(&commands).await).await
    }

    async fn assume(&mut self, rights: Rights) -> Result<(), SqlError> {
        if self.rights.is_none_or(|now| now == rights) {
            return Ok(());
        }
        if let Some(command) = self.lease.as_ref().and_then(|lease| lease.switch(rights)) {
            self.control(command).await?;
            self.rights = Some(rights);
        }
        Ok(())
    }

    async fn commit_outermost(&mut self, statements: Vec<KernelStatement>) -> Result<(), SqlError> {
        let switch_needed = !statements.is_empty() && self.rights == Some(Rights::Plugins);
        let Some(mut lease) = self.lease.take() else {
            return Err(SqlError::Doomed);
        };
        self.place = None;
        self.begun_at = None;
        self.rights = None;
        let texts = self.sql.texts_shared();
        transaction::uncancelled(async move {
            let prepared = async {
                if switch_needed && let Some(command) = lease.switch(Rights::Kernel) {
                    lease.run(async |connection| connection.control(&command).await).await?;
                }
                transaction::run_all(&mut lease, &texts, &statements, &mut Vec::new()).await
            };
            match prepared.await {
                Ok(()) => transaction::commit(&mut lease).await,
                Err(error) => {
                    transaction::rollback(&mut lease).await;
                    Err(error)
                }
            }
        })
        .await
    }

    async fn close_by_rollback(&mut self, _owner: Frame, transaction: u32) -> Result<(), SqlError> {
        let Some(closed) = self.open.pop() else {
            return Ok(());
        };
        if self.open.is_empty() {
            if let Some(mut lease) = self.lease.take() {
                transaction::rollback(&mut lease).await;
            }
            (self.place, self.begun_at, self.rights) = (None, None, None);
            return Ok(());
        }
        if self.lease.as_ref().is_some_and(Lease::is_lost) {
            self.doom();
            return Ok(());
        }
        let commands = format!("rollback to savepoint s{transaction}; release savepoint s{transaction}");
        self.rights = closed.rights;
        // A savepoint that can't be undone takes everything around it along.
        if self.control(commands).await.is_err() {
            self.doom();
        }
        Ok(())
    }

    // --- rules ----------------------------------------------------------------------------------------------------

    fn refuse_doomed(&self) -> Result<(), SqlError> {
        if self.open.last().is_some_and(|innermost| innermost.doomed) {
            Err(SqlError::Doomed)
        } else {
            Ok(())
        }
    }

    fn owned(&self, frame: Frame, transaction: u32) -> Result<(), SqlError> {
        match self.open.last() {
            Some(innermost) if innermost.owner == frame && innermost.id == transaction && frame != TREE => Ok(()),
            _ => Err(SqlError::NotOwner),
        }
    }

    /// After a failure: dooms the innermost transaction, or all of them where the engine has ended the outermost one.
    async fn settle_failure<T>(&mut self, outcome: Result<T, SqlError>) -> Result<T, SqlError> {
        if outcome.is_ok() || self.open.is_empty() {
            return outcome;
        }
        self.doom();
        if let Some(lease) = &mut self.lease {
            let survives = lease
                .run(async |connection| Ok(connection.transaction_survives().await))
                .await;
            if survives != Ok(true) {
                self.open.iter_mut().for_each(|open| open.doomed = true);
            }
        }
        outcome
    }

    /// A statement ends when its transaction is too old, at the latest.
    fn within_age(&self, limits: Limits) -> Result<Limits, SqlError> {
        let limits = self.sql.capped(limits);
        let Some(begun_at) = self.begun_at else {
            return Ok(limits);
        };
        let oldest = begun_at + self.sql.config().transaction_max_age();
        if Instant::now() >= oldest {
            return Err(SqlError::Timeout);
        }
        Ok(Limits {
            deadline: limits.deadline.min(oldest),
            ..limits
        })
    }
}

impl Sql {
    /// The second wall's verdict on a text, from memory after the first time.
    async fn check(&self, access: &PluginAccess, prepared: &Prepared) -> Result<Arc<Checked>, SqlError> {
        match self.engine() {
            Engine::Sqlite => match access.known(&prepared.sqlite) {
                Some(checked) => Ok(checked),
                None => Ok(access.remember(&prepared.sqlite, access.check_sqlite(prepared))),
            },
            Engine::Postgres => match access.known(&prepared.postgres) {
                Some(checked) => Ok(checked),
                None => {
                    let checked = self.check_on_side(access, prepared).await?;
                    Ok(access.remember(&prepared.postgres, checked))
                }
            },
        }
    }

    async fn check_on_side(&self, access: &PluginAccess, prepared: &Prepared) -> Result<Checked, SqlError> {
        let pool: &Arc<Pool> = self.kernel_writes();
        let (mut lease, _) = pool.acquire().await?;
        lease.in_transaction = true;
        let checked = lease
            .run(async |connection| connection.check(access, prepared).await)
            .await;
        lease.in_transaction = false;
        checked
    }
}

/// Calls run in tasks of their own: everything a unit of work does must be able to move between threads.
#[cfg(test)]
fn _every_step_can_move_between_threads(mut work: Work, access: &PluginAccess, prepared: &Prepared, limits: Limits) {
    fn sendable<T: Send>(_: T) {}
    sendable(work.statement(access, prepared, &[], limits));
    sendable(work.kernel_execute("", &[]));
    sendable(work.begin(TREE, access));
    sendable(work.commit(TREE, 0));
    sendable(work.rollback(TREE, 0));
    sendable(work.leave(TREE));
    sendable(work.finish(Vec::new()));
}
