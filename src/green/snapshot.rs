//! Staged bodies: immutable, in `{entity}_json` as JSON arrays of about 1 MB, described in `sync_snapshots`.

use std::io;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use serde_json::value::RawValue;

use super::{
    database::Database,
    error::{Doing, GreenError},
    fail,
    schema::json_table,
    sql::{Millis, quoted, time, word},
};
use crate::{
    blue::{BodySummary, Envelope, Validators},
    entity::Endpoint,
    failpoint::Failpoint,
    report::{RunId, SnapshotId, SnapshotReport},
};

/// A body on its way into the database. Nothing of it counts as a snapshot until it is finished.
#[derive(Clone, Copy, Debug)]
pub struct Staging {
    /// Where it comes from.
    pub endpoint: Endpoint,
    /// The run that fetches it.
    pub run: RunId,
    /// Its number, once the first part was written.
    snapshot: Option<SnapshotId>,
}

impl Staging {
    /// A body of which nothing was written yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, run: RunId) -> Self {
        Self { endpoint, run, snapshot: None }
    }
}

/// A body that was staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staged {
    /// The snapshot that holds it.
    pub snapshot: SnapshotId,
    /// Whether it was there already: the source sent the same bytes as the last time.
    pub known: bool,
}

/// What the server said of a body, to ask later whether it is still the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validated {
    /// Address of the source, without which the rest means nothing.
    pub source: String,
    /// The server's own words.
    pub validators: Validators,
}

/// The newest snapshot of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownBody {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Its hash.
    pub hash: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// Elements of its list.
    pub elements: u64,
    /// What the server said of it.
    pub validators: Validators,
}

/// The newest snapshot of `endpoint`, with its validators if it came from `source`.
pub(super) fn newest(
    connection: &Connection,
    endpoint: Endpoint,
    source: &str,
) -> Result<Option<KnownBody>, GreenError> {
    let sql = "SELECT * FROM sync_snapshots WHERE endpoint = ?1 AND complete ORDER BY id DESC LIMIT 1";
    let known = connection.query_row(sql, [endpoint.key()], |row| {
        let from: Option<String> = row.get("source")?;
        let mut body = known(row)?;
        if from.as_deref() != Some(source) {
            body.validators = Validators::default();
        }
        Ok(body)
    });
    known.optional().doing("reading the snapshots")
}

/// A snapshot, as far as it needs to be known before it is read; `None` when it is not kept.
pub(super) fn find(connection: &Connection, snapshot: SnapshotId) -> Result<Option<KnownBody>, GreenError> {
    let sql = "SELECT * FROM sync_snapshots WHERE id = ?1 AND complete";
    connection.query_row(sql, [snapshot], known).optional().doing("reading the snapshots")
}

/// As [`find`], for a snapshot that must be there.
pub(super) fn body(connection: &Connection, snapshot: SnapshotId) -> Result<KnownBody, GreenError> {
    find(connection, snapshot)?.ok_or(GreenError::NotFound { what: "snapshot", id: snapshot, command: "history" })
}

fn known(row: &Row<'_>) -> rusqlite::Result<KnownBody> {
    Ok(KnownBody {
        snapshot: row.get("id")?,
        hash: row.get("hash")?,
        bytes: row.get("bytes")?,
        elements: row.get("records")?,
        validators: Validators { etag: row.get("etag")?, last_modified: row.get("last_modified")? },
    })
}

/// Writes down that the source still has the body of `snapshot`.
pub(super) fn seen(connection: &Connection, snapshot: SnapshotId, at: Timestamp) -> Result<(), GreenError> {
    connection
        .execute("UPDATE sync_snapshots SET seen_at = ?2 WHERE id = ?1", params![snapshot, Millis(at)])
        .doing("recording that a body is unchanged")?;
    Ok(())
}

/// Writes one part, a JSON array of whole elements.
pub(super) fn append(
    connection: &mut Connection,
    staging: Staging,
    part: &str,
    at: Timestamp,
) -> Result<Staging, GreenError> {
    let doing = "staging a body";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    let staging = write_part(&transaction, staging, part, at)?;
    fail::reach(&transaction, Failpoint::StagePart)?;
    transaction.commit().doing(doing)?;
    fail::reach(connection, Failpoint::StagePartCommitted)?;
    Ok(staging)
}

fn write_part(connection: &Connection, mut staging: Staging, part: &str, at: Timestamp) -> Result<Staging, GreenError> {
    let doing = "staging a body";
    let table = quoted(&json_table(connection, staging.endpoint)?);
    connection
        .prepare_cached(&format!("INSERT INTO {table} (data, createdAt, updatedAt) VALUES (?1, ?2, ?2)"))
        .and_then(|mut statement| statement.execute(params![part, Millis(at)]))
        .doing(doing)?;
    let row = connection.last_insert_rowid();
    if let Some(snapshot) = staging.snapshot {
        let sql = "UPDATE sync_snapshots SET last_row = ?2 WHERE id = ?1";
        connection.execute(sql, params![snapshot, row]).doing(doing)?;
    } else {
        let sql =
            "INSERT INTO sync_snapshots (endpoint, run_id, complete, first_row, last_row) VALUES (?1, ?2, 0, ?3, ?3)";
        connection.execute(sql, params![staging.endpoint.key(), staging.run, row]).doing(doing)?;
        staging.snapshot = Some(connection.last_insert_rowid());
    }
    Ok(staging)
}

/// Writes the last part and makes the body a snapshot, unless the endpoint's newest snapshot has the same hash.
pub(super) fn finish(
    connection: &mut Connection,
    staging: Staging,
    last_part: &str,
    summary: &BodySummary,
    validated: &Validated,
    at: Timestamp,
) -> Result<Staged, GreenError> {
    let doing = "staging a body";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    let newest: Option<(SnapshotId, String)> = transaction
        .query_row(
            "SELECT id, hash FROM sync_snapshots WHERE endpoint = ?1 AND complete ORDER BY id DESC LIMIT 1",
            [staging.endpoint.key()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .doing(doing)?;
    let staged = match newest {
        Some((snapshot, hash)) if hash == summary.hash => {
            if let Some(unfinished) = staging.snapshot {
                delete(&transaction, staging.endpoint, unfinished)?;
            }
            Staged { snapshot, known: true }
        }
        _ => {
            let staging = write_part(&transaction, staging, last_part, at)?;
            let snapshot = staging.snapshot.unwrap_or_default();
            transaction
                .execute(
                    "UPDATE sync_snapshots SET complete = 1, fetched_at = ?2, bytes = ?3, records = ?4, hash = ?5, \
                     envelope = ?6 WHERE id = ?1",
                    params![
                        snapshot,
                        Millis(at),
                        summary.bytes,
                        summary.records,
                        summary.hash,
                        summary.envelope.name()
                    ],
                )
                .doing(doing)?;
            Staged { snapshot, known: false }
        }
    };
    transaction
        .execute(
            "UPDATE sync_snapshots SET source = ?2, etag = ?3, last_modified = ?4 WHERE id = ?1",
            params![staged.snapshot, validated.source, validated.validators.etag, validated.validators.last_modified],
        )
        .doing(doing)?;
    seen(&transaction, staged.snapshot, at)?;
    fail::reach(&transaction, Failpoint::StageBody)?;
    transaction.commit().doing(doing)?;
    fail::reach(connection, Failpoint::StageCommitted)?;
    Ok(staged)
}

/// Removes what was written of a body that did not become a snapshot.
pub(super) fn abandon(connection: &mut Connection, staging: Staging) -> Result<(), GreenError> {
    let Some(snapshot) = staging.snapshot else { return Ok(()) };
    remove(connection, staging.endpoint, snapshot)
}

/// Removes one snapshot and its parts.
pub(super) fn remove(connection: &mut Connection, endpoint: Endpoint, snapshot: SnapshotId) -> Result<(), GreenError> {
    let doing = "removing a snapshot";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    delete(&transaction, endpoint, snapshot)?;
    transaction.commit().doing(doing)
}

fn delete(connection: &Connection, endpoint: Endpoint, snapshot: SnapshotId) -> Result<(), GreenError> {
    let doing = "removing a snapshot";
    let sql = format!(
        "DELETE FROM {} WHERE id BETWEEN (SELECT first_row FROM sync_snapshots WHERE id = ?1) \
         AND (SELECT last_row FROM sync_snapshots WHERE id = ?1)",
        quoted(&json_table(connection, endpoint)?)
    );
    connection.execute(&sql, [snapshot]).doing(doing)?;
    connection.execute("DELETE FROM sync_snapshots WHERE id = ?1", [snapshot]).doing(doing)?;
    Ok(())
}

/// Bodies that were never finished, left by a run that died.
pub(super) fn unfinished(connection: &Connection) -> Result<Vec<(Endpoint, SnapshotId)>, GreenError> {
    let doing = "reading the snapshots";
    let mut statement =
        connection.prepare("SELECT id, endpoint FROM sync_snapshots WHERE NOT complete ORDER BY id").doing(doing)?;
    let rows = statement
        .query_map([], |row| Ok((word(row, "endpoint", |key| key.parse().ok())?, row.get("id")?)))
        .doing(doing)?;
    rows.collect::<rusqlite::Result<_>>().doing(doing)
}

const COLUMNS: &str =
    "id, endpoint, run_id, fetched_at, bytes, records, hash, envelope, last_row - first_row + 1 AS parts";

fn report(row: &Row<'_>, in_use: &[SnapshotId]) -> rusqlite::Result<SnapshotReport> {
    let id = row.get("id")?;
    Ok(SnapshotReport {
        id,
        endpoint: word(row, "endpoint", |key| key.parse().ok())?,
        run: row.get("run_id")?,
        fetched_at: time(row, "fetched_at")?,
        bytes: row.get("bytes")?,
        records: row.get("records")?,
        hash: row.get("hash")?,
        envelope: row.get("envelope")?,
        parts: row.get("parts")?,
        in_use: in_use.contains(&id),
    })
}

/// The kept snapshots, of one endpoint or of all, newest first within each. `in_use` marks those behind a version.
pub(super) fn list(
    connection: &Connection,
    endpoint: Option<Endpoint>,
    in_use: &[SnapshotId],
) -> Result<Vec<SnapshotReport>, GreenError> {
    let doing = "reading the snapshots";
    let sql = format!("SELECT {COLUMNS} FROM sync_snapshots WHERE complete AND endpoint = ?1 ORDER BY id DESC");
    let mut statement = connection.prepare(&sql).doing(doing)?;
    let mut snapshots = Vec::new();
    for wanted in Endpoint::ALL.into_iter().filter(|one| endpoint.is_none_or(|only| only == *one)) {
        let rows = statement.query_map([wanted.key()], |row| report(row, in_use)).doing(doing)?;
        for row in rows {
            snapshots.push(row.doing(doing)?);
        }
    }
    Ok(snapshots)
}

/// The list in a part. What was there before greenroom may stand in its envelope, or with blanks around it.
fn list_of(part: String) -> String {
    if part.starts_with('[') && part.ends_with(']') {
        return part;
    }
    match (part.find('['), part.rfind(']')) {
        // No envelope has a bracket before or after its list.
        (Some(first), Some(last)) if first < last => part[first..=last].to_owned(),
        _ => part,
    }
}

/// Reads the parts of a snapshot one after the other, without holding a transaction open in between.
#[derive(Debug)]
pub struct SnapshotParts {
    connection: Connection,
    select: String,
    snapshot: SnapshotId,
    next_row: i64,
    last_row: i64,
    endpoint: Endpoint,
    envelope: Envelope,
}

impl SnapshotParts {
    /// The parts of `snapshot`.
    ///
    /// # Errors
    /// When there is no such snapshot.
    pub fn open(database: &Database, snapshot: SnapshotId) -> Result<Self, GreenError> {
        let connection = database.reader()?;
        let found: Option<(i64, i64, Endpoint, String)> = connection
            .query_row(
                "SELECT first_row, last_row, endpoint, envelope FROM sync_snapshots WHERE id = ?1 AND complete",
                [snapshot],
                |row| Ok((row.get(0)?, row.get(1)?, word(row, "endpoint", |key| key.parse().ok())?, row.get(3)?)),
            )
            .optional()
            .doing("reading a snapshot")?;
        let Some((next_row, last_row, endpoint, envelope)) = found else {
            return Err(GreenError::NotFound { what: "snapshot", id: snapshot, command: "history" });
        };
        let table = quoted(&json_table(&connection, endpoint)?);
        let select = format!("SELECT id, data FROM {table} WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1");
        let envelope = Envelope::from_name(&envelope);
        Ok(Self { connection, select, snapshot, next_row, last_row, endpoint, envelope })
    }

    /// Where the body came from.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// The next part, a JSON array of whole elements; `None` after the last.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn next_part(&mut self) -> Result<Option<String>, GreenError> {
        let found: Option<(i64, String)> = self
            .connection
            .prepare_cached(&self.select)
            .and_then(|mut statement| {
                statement
                    .query_row(params![self.next_row, self.last_row], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()
            })
            .doing("reading a snapshot")?;
        match found {
            Some((row, part)) => {
                self.next_row = row + 1;
                Ok(Some(list_of(part)))
            }
            None if self.next_row > self.last_row => Ok(None),
            // A cleanup was faster; half a body must not pass for a whole one.
            None => {
                Err(GreenError::NotFound { what: "snapshot any more, part of", id: self.snapshot, command: "history" })
            }
        }
    }

    /// Hands each element of the body to `take` with its place in the list, until that says no.
    ///
    /// # Returns
    /// Whether all were taken.
    ///
    /// # Errors
    /// When a part cannot be read, or what `take` fails with.
    pub fn each_element(
        &mut self,
        mut take: impl FnMut(&str, u64) -> Result<bool, GreenError>,
    ) -> Result<bool, GreenError> {
        let mut place = 0;
        while let Some(part) = self.next_part()? {
            // What was staged was valid, so an error here means that the database was changed by others.
            let elements: Vec<&RawValue> =
                serde_json::from_str(&part).map_err(|_| GreenError::Corrupt { doing: "reading a snapshot" })?;
            for element in elements {
                if !take(element.get(), place)? {
                    return Ok(false);
                }
                place += 1;
            }
        }
        Ok(true)
    }

    /// Writes the body in its envelope, element texts as received.
    ///
    /// # Errors
    /// When a part cannot be read; the inner result is the output's own.
    pub fn write_to(&mut self, output: &mut impl io::Write) -> Result<io::Result<()>, GreenError> {
        let (before, after) = self.envelope.around(self.endpoint);
        let mut separator = "[";
        let mut result = output.write_all(before.as_bytes());
        while let (true, Some(part)) = (result.is_ok(), self.next_part()?) {
            // The brackets of each part give way to the ones of the whole list.
            let inner = part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&part);
            if !inner.is_empty() {
                result = result.and_then(|()| write!(output, "{separator}{inner}"));
                separator = ",";
            }
        }
        if separator == "[" {
            result = result.and_then(|()| output.write_all(b"["));
        }
        Ok(result.and_then(|()| write!(output, "]{after}")))
    }
}
