//! A run's hold on the database: staging, loading, publishing and the journal, all through one writing thread.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::{
    cleanup::{self, Retention},
    database::{Database, durable, without_foreign_keys},
    diff::{self, Comparison},
    error::{Doing, GreenError},
    fail, hold,
    journal::{self, JournalEntry, RunEnd, RunStart},
    load,
    lock::RunLock,
    publish::{self, HoldRule, Publication, PublishOrder},
    quarantine, recovery, references, reserve,
    schema::{self, Place},
    snapshot::{self, KnownBody, Staged, Staging, Validated},
    status::{self, LiveVersion},
    writer::Writer,
};
use crate::{
    blue::BodySummary,
    entity::{
        Endpoint, Entity, Relation,
        harvest::{Batch, NotedValue, Quarantined},
    },
    failpoint::Failpoint,
    report::{HoldReport, Operator, PublicationId, RunId, SnapshotId, Version, Work},
};

/// Rows, quarantined records and notes of one endpoint on their way into the database.
#[derive(Debug)]
pub struct LoadedRows {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The snapshot that they were made from.
    pub snapshot: SnapshotId,
    /// Rows.
    pub batches: Vec<Batch>,
    /// Records that could not become rows.
    pub quarantined: Vec<Quarantined>,
    /// Values that were left out of rows.
    pub notes: Vec<NotedValue>,
}

/// What a run finds when it begins.
#[derive(Debug)]
pub struct Begun {
    /// The live version of each entity, in the order of [`Entity::ALL`], with the rows that visitors see.
    pub live: Vec<(LiveVersion, u64)>,
    /// Runs whose process had died.
    pub dead: Vec<RunId>,
}

/// What a run does to the database. Holds the run lock until it is dropped.
#[derive(Debug)]
pub struct Session {
    database: Database,
    writer: Writer,
    run: RunId,
    base: Option<PublicationId>,
    hold_at_begin: Option<HoldReport>,
    lock: Arc<RunLock>,
}

impl Session {
    /// Takes the run lock, clears away what dead runs left and writes down that a run begins.
    ///
    /// Also answers what was found then.
    ///
    /// # Errors
    /// [`GreenError::Locked`] with the owner when another run goes on.
    pub async fn begin(database: &Database, start: RunStart) -> Result<(Self, Begun), GreenError> {
        let (opened, operator) = (database.clone(), start.operator.clone());
        let blocking = tokio::task::spawn_blocking(move || {
            let lock = Arc::new(RunLock::acquire(&opened, Work::Run, &operator, start.at)?);
            Ok((lock, Writer::start(opened.run_writer()?)?))
        });
        let (lock, writer) = blocking.await.unwrap_or(Err(GreenError::WriterGone))?;
        let (owner, opened) = (lock.clone(), database.clone());
        let begun = writer.call(move |connection| {
            let dead = recovery::recover(&opened, connection, start.at)?;
            fail::reach(connection, Failpoint::BeginCleared)?;
            match reserve::make(&opened) {
                Err(error) if error.is_lack_of_space() => {
                    // What the log takes is given back by writing it back.
                    cleanup::checkpoint(connection)?;
                    reserve::make(&opened)?;
                }
                made => made?,
            }
            let doing = "recording the start of a run";
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
            status::mend(&transaction, start.at)?;
            let live = status::live_with_rows(&transaction)?;
            let hold = hold::in_force(&transaction)?;
            let (run, base) = journal::begin(&transaction, &start)?;
            fail::reach(&transaction, Failpoint::BeginRecorded)?;
            transaction.commit().doing(doing)?;
            owner.name_run(run);
            fail::reach(connection, Failpoint::BeginCommitted)?;
            Ok((run, base, hold, Begun { live, dead }))
        });
        let (run, base, hold_at_begin, begun) = lock.beating_while(begun).await?;
        Ok((Self { database: database.clone(), writer, run, base, hold_at_begin, lock }, begun))
    }

    /// The run's number.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The publication that the run is based on.
    #[must_use]
    pub fn base(&self) -> Option<PublicationId> {
        self.base
    }

    /// The right to run, for who shows that the run still answers. Kept no longer than the session lasts.
    #[must_use]
    pub fn lock(&self) -> Weak<RunLock> {
        Arc::downgrade(&self.lock)
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Writes down an event, without waiting. An entry that cannot be written is logged; the disk that refused it will
    /// also refuse the publish.
    pub fn record(&self, entry: JournalEntry) {
        let run = self.run;
        drop(self.writer.submit(move |connection| {
            journal::record(connection, run, &entry).inspect_err(|error| tracing::warn!("journal: {error}"))
        }));
    }

    /// Writes one part of a body, a JSON array of whole elements.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn stage_part(&self, staging: Staging, part: String, at: Timestamp) -> Result<Staging, GreenError> {
        self.writer.call(move |connection| snapshot::append(connection, staging, &part, at)).await
    }

    /// Writes the last part and makes the body a snapshot.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn stage_end(
        &self,
        staging: Staging,
        last_part: String,
        summary: BodySummary,
        validated: Validated,
        at: Timestamp,
    ) -> Result<Staged, GreenError> {
        let work =
            move |connection: &mut _| snapshot::finish(connection, staging, &last_part, &summary, &validated, at);
        self.writer.call(work).await
    }

    /// The newest snapshot of `endpoint`, to ask `source` whether it still has that body.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn newest_body(&self, endpoint: Endpoint, source: String) -> Result<Option<KnownBody>, GreenError> {
        self.writer.call(move |connection| snapshot::newest(connection, endpoint, &source)).await
    }

    /// Writes down that the source still has the body of `snapshot`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn still_the_same(&self, snapshot: SnapshotId, at: Timestamp) -> Result<(), GreenError> {
        self.writer.call(move |connection| snapshot::seen(connection, snapshot, at)).await
    }

    /// Writes down what of the quarantine of `entity` the source sent this time: the records that the load of the run
    /// `loaded` met, which is this run or the earlier one whose body came again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn observe_quarantine(&self, entity: Entity, loaded: RunId, at: Timestamp) -> Result<(), GreenError> {
        let (run, doing) = (self.run, "keeping account of the quarantine");
        let work = move |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
            quarantine::observe(&transaction, run, entity, loaded, at)?;
            transaction.commit().doing(doing)
        };
        self.writer.call(work).await
    }

    /// Remembers that the body with this hash makes the rows of `entity` that are live.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn remember_same_rows(&self, entity: Entity, hash: String) -> Result<(), GreenError> {
        let (run, base) = (self.run, self.base);
        self.writer.call(move |connection| status::remember_same_rows(connection, run, base, entity, &hash)).await
    }

    /// A snapshot, as far as it needs to be known before it is read.
    ///
    /// # Errors
    /// When there is no such snapshot.
    pub async fn body(&self, snapshot: SnapshotId) -> Result<KnownBody, GreenError> {
        self.read(move |connection| snapshot::body(connection, snapshot)).await
    }

    /// Does with the hold what a publish by this rule would do.
    ///
    /// # Errors
    /// As [`Session::publish`].
    pub async fn settle_hold(&self, rule: HoldRule, operator: Operator, at: Timestamp) -> Result<(), GreenError> {
        let (run, before) = (self.run, self.hold_at_begin.clone());
        let settle = move |connection: &mut Connection| {
            durable(connection, |connection| {
                publish::settle_hold(connection, run, &rule, before.as_ref(), &operator, at)
            })
        };
        self.writer.call(settle).await
    }

    /// Removes what was written of a body that did not arrive whole.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn stage_abandon(&self, staging: Staging) -> Result<(), GreenError> {
        self.writer.call(move |connection| snapshot::abandon(connection, staging)).await
    }

    /// Makes room for the rows of `entities`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn open_load(&self, entities: Vec<Entity>) -> Result<(), GreenError> {
        let run = self.run;
        let open = move |connection: &mut Connection| {
            entities.into_iter().try_for_each(|entity| {
                let name = schema::shadow_table(entity, run);
                load::open(connection, Place::Main, &name, entity, &run.to_string())?;
                fail::reach(connection, Failpoint::LoadOpened)
            })
        };
        self.writer.call(open).await
    }

    /// Queues rows for loading and returns a receiver for the number of duplicates of each entity.
    #[must_use]
    pub fn load(&self, rows: LoadedRows) -> oneshot::Receiver<Result<BTreeMap<Entity, u64>, GreenError>> {
        let run = self.run;
        self.writer.submit(move |connection| {
            if !rows.quarantined.is_empty() || !rows.notes.is_empty() {
                let doing = "keeping quarantined records";
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
                let LoadedRows { endpoint, snapshot, quarantined, notes, .. } = &rows;
                quarantine::keep(&transaction, run, *snapshot, *endpoint, quarantined, notes)?;
                transaction.commit().doing(doing)?;
            }
            load::insert(connection, run, &rows.batches)
        })
    }

    /// Ends the load of `entity` and counts its rows.
    ///
    /// # Errors
    /// When its indexes cannot be built.
    pub async fn seal_load(&self, entity: Entity) -> Result<u64, GreenError> {
        let run = self.run;
        self.writer.call_interruptible(move |connection| load::seal(connection, entity, run)).await
    }

    /// Compares the loaded rows of `entity` with `active`, the live version. May take seconds at a million rows.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn compare(&self, entity: Entity, active: Version) -> Result<Comparison, GreenError> {
        let run = self.run;
        self.read(move |connection| {
            let before = schema::version_table(entity, active);
            diff::compare(connection, entity, &before, &schema::shadow_table(entity, run))
        })
        .await
    }

    /// Counts the references of `entity` by `relation` that lead nowhere: after a publish of `prepared`, or now when that is
    /// empty. May take seconds at a million rows.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn dangling(
        &self,
        entity: Entity,
        relation: &'static Relation,
        prepared: Vec<Entity>,
    ) -> Result<u64, GreenError> {
        let run = self.run;
        self.read(move |connection| {
            let table = |entity: Entity| {
                if prepared.contains(&entity) { schema::shadow_table(entity, run) } else { schema::view(entity) }
            };
            references::dangling(connection, &table(entity), relation, &table(relation.target))
        })
        .await
    }

    /// Does `work` on a connection of its own, beside the writing thread.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, GreenError> + Send + 'static,
    ) -> Result<T, GreenError> {
        let database = self.database.clone();
        let reading = tokio::task::spawn_blocking(move || work(&database.reader()?));
        reading.await.unwrap_or(Err(GreenError::WriterGone))
    }

    /// The hold in force when the run began.
    #[must_use]
    pub fn hold_at_begin(&self) -> Option<&HoldReport> {
        self.hold_at_begin.as_ref()
    }

    /// The hold in force.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn hold(&self) -> Result<Option<HoldReport>, GreenError> {
        self.read(hold::in_force).await
    }

    /// Makes all that is prepared live in one durable transaction, in which the run and its steps are recorded, too.
    ///
    /// # Errors
    /// When the hold is set, something else was published meanwhile, the run was ended by someone else or is `cancelled`,
    /// which is asked once the write lock is held, or the database cannot be written.
    /// Nothing was switched then.
    pub async fn publish(
        &self,
        order: PublishOrder,
        cancelled: impl Fn() -> bool + Send + 'static,
    ) -> Result<Publication, GreenError> {
        let (run, before) = (self.run, self.hold_at_begin.clone());
        self.writer
            .call(move |connection| {
                // With them, renaming a version away would bend foreign keys of the application's tables along with it.
                without_foreign_keys(connection, |connection| {
                    durable(connection, |connection| {
                        publish::publish(connection, run, &order, before.as_ref(), &cancelled)
                    })
                })
            })
            .await
    }

    /// Breaks off the building of indexes, should that be at work.
    pub fn interrupt(&self) {
        self.writer.interrupt();
    }

    /// What the publish of this run recorded, should it have gone through in spite of what was heard of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn published(&self) -> Result<Option<Publication>, GreenError> {
        let run = self.run;
        self.read(move |connection| publish::recorded(connection, run)).await
    }

    /// Writes down that the operator's line dropped.
    pub fn operator_gone(&self, at: Timestamp) {
        let run = self.run;
        drop(self.writer.submit(move |connection| {
            let written = journal::operator_gone(connection, run, at);
            written.inspect_err(|error| tracing::warn!("journal: {error}"))
        }));
    }

    /// Writes down how the run ended, drops what it loaded and did not publish or replaced, and removes snapshots and
    /// runs beyond the kept ones. Also answers whether the write-ahead log could be truncated.
    ///
    /// # Errors
    /// When the end cannot be written; what could not be dropped is logged and left to the next run.
    pub async fn end(&self, end: RunEnd, retention: Retention) -> Result<bool, GreenError> {
        let (run, database) = (self.run, self.database.clone());
        self.writer
            .call(move |connection| {
                // Who took the run over has cleared away what it left and may have tables of its own by now.
                let is_ours = !journal::is_taken_over(connection, run)?;
                let mut cleared = if is_ours { cleanup::clear_away_and_prune(connection, retention) } else { Ok(()) };
                if cleared.as_ref().is_err_and(GreenError::is_lack_of_space) {
                    cleanup::leave_log_alone(connection)?;
                }
                reserve::with_room(&database, || journal::end(connection, run, &end))?;
                if is_ours && cleared.as_ref().is_err_and(GreenError::is_lack_of_space) {
                    cleared = cleanup::clear_away_when_full(&database, connection);
                }
                if let Err(error) = cleared {
                    tracing::warn!("clearing away after run {run}: {error}");
                }
                let truncated = reserve::with_room(&database, || cleanup::checkpoint(connection));
                let truncated = truncated.unwrap_or_else(|error| {
                    tracing::warn!("after run {run}: {error}");
                    false
                });
                // What was used of it is needed again.
                let _ = reserve::make(&database).inspect_err(|error| tracing::warn!("after run {run}: {error}"));
                fail::reach(connection, Failpoint::EndCheckpointed)?;
                Ok(truncated)
            })
            .await
    }
}
