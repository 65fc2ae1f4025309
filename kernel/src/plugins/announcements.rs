//! What a call tree announces to others, kept until it is certain: events, jobs and cache tags.

use super::registry::Installed;
use crate::storage::sql::{Frame, KernelStatement};

/// What one tree may announce. A plugin that has more to say works through jobs.
const MAX_ANNOUNCEMENTS: usize = 1_000;
const MAX_ANNOUNCED_BYTES: usize = 4 << 20;

/// An event that a plugin published within a unit of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// `evt_…`
    pub id: String,
    pub publisher: String,
    pub name: String,
    pub key: String,
    /// JSON.
    pub payload: String,
    /// Microseconds since 1970 UTC.
    pub occurred_at: i64,
}

/// A job that a plugin scheduled or cancelled within a unit of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobChange {
    Schedule {
        /// `job_…`
        id: String,
        plugin: String,
        name: String,
        key: String,
        /// Microseconds since 1970 UTC.
        due_at: i64,
        /// JSON.
        payload: String,
    },
    Cancel {
        plugin: String,
        name: String,
        key: String,
    },
}

/// Where announcements become rows. Implemented by `events`.
pub trait Outbox: Send + Sync {
    /// The statements for what a unit of work announced; asked for right before its commit.
    fn rows(
        &self,
        installed: &Installed,
        store: i64,
        published: &[Published],
        jobs: &[JobChange],
    ) -> Vec<KernelStatement>;

    /// A SELECT that answers one row if a job waits; its arguments are store, plugin, name and key.
    fn waiting_job(&self) -> &'static str;

    /// Called after the commit of statements that [`rows`](Self::rows) gave.
    fn committed(&self);
}

/// Where kept answers are dropped. Implemented by the response cache; called after the commit, before the answer leaves.
pub trait TagInvalidation: Send + Sync {
    fn invalidate(&self, store: i64, plugin: &str, tags: &[String]);
}

/// A unit of work announced more than one may.
#[derive(Debug, thiserror::Error)]
#[error("one unit of work may announce at most {MAX_ANNOUNCEMENTS} events and jobs, and {MAX_ANNOUNCED_BYTES} bytes")]
pub struct TooMany;

/// In step with the transactions: what was announced inside one that is rolled back is taken back with it.
#[derive(Default)]
pub(super) struct Pending {
    events: Vec<Published>,
    jobs: Vec<JobChange>,
    /// Plugin and tag. Not taken back by a rollback: forgetting a kept answer too often does no harm.
    tags: Vec<(String, String)>,
    bytes: usize,
    /// One for each open transaction, the outermost first.
    marks: Vec<Mark>,
}

/// How much had been announced when a transaction began.
struct Mark {
    frame: Frame,
    events: usize,
    jobs: usize,
}

impl Pending {
    pub fn publish(&mut self, event: Published) -> Result<(), TooMany> {
        self.make_room(event.payload.len())?;
        self.events.push(event);
        Ok(())
    }

    pub fn change_job(&mut self, change: JobChange) -> Result<(), TooMany> {
        self.make_room(match &change {
            JobChange::Schedule { payload, .. } => payload.len(),
            JobChange::Cancel { .. } => 0,
        })?;
        self.jobs.push(change);
        Ok(())
    }

    pub fn invalidate(&mut self, plugin: &str, tags: Vec<String>) -> Result<(), TooMany> {
        if self.tags.len() + tags.len() > MAX_ANNOUNCEMENTS {
            return Err(TooMany);
        }
        self.tags.extend(tags.into_iter().map(|tag| (plugin.to_owned(), tag)));
        Ok(())
    }

    fn make_room(&mut self, bytes: usize) -> Result<(), TooMany> {
        if self.events.len() + self.jobs.len() >= MAX_ANNOUNCEMENTS || self.bytes + bytes > MAX_ANNOUNCED_BYTES {
            return Err(TooMany);
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Whether a job waits as far as this unit of work has decided it: the last change counts.
    pub fn job_waits(&self, wanted: (&str, &str, &str)) -> Option<bool> {
        self.jobs.iter().rev().find_map(|change| match change {
            JobChange::Schedule { plugin, name, key, .. } => {
                (wanted == (plugin.as_str(), name.as_str(), key.as_str())).then_some(true)
            }
            JobChange::Cancel { plugin, name, key } => {
                (wanted == (plugin.as_str(), name.as_str(), key.as_str())).then_some(false)
            }
        })
    }

    pub fn open_transactions(&self) -> usize {
        self.marks.len()
    }

    pub fn transaction_began(&mut self, frame: Frame) {
        self.marks.push(Mark {
            frame,
            events: self.events.len(),
            jobs: self.jobs.len(),
        });
    }

    pub fn transaction_committed(&mut self) {
        self.marks.pop();
    }

    pub fn transaction_rolled_back(&mut self) {
        if let Some(mark) = self.marks.pop() {
            self.events.truncate(mark.events);
            self.jobs.truncate(mark.jobs);
        }
    }

    /// The call that opened these transactions is over, so they have been rolled back.
    pub fn frame_left(&mut self, frame: Frame) {
        while self.marks.last().is_some_and(|mark| mark.frame == frame) {
            self.transaction_rolled_back();
        }
    }

    pub fn take(&mut self) -> (Vec<Published>, Vec<JobChange>) {
        (std::mem::take(&mut self.events), std::mem::take(&mut self.jobs))
    }

    /// The tags by plugin, each once.
    pub fn take_tags(&mut self) -> Vec<(String, Vec<String>)> {
        let mut tags = std::mem::take(&mut self.tags);
        tags.sort();
        tags.dedup();
        let of_one = |tags: &[(String, String)]| (tags[0].0.clone(), tags.iter().map(|(_, tag)| tag.clone()).collect());
        tags.chunk_by(|one, next| one.0 == next.0).map(of_one).collect()
    }
}
