//! What is told of adopting a database, of giving it back, and of the application's own migrations.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FindingKind, Operator, PublicationId, Version};
use crate::entity::Entity;

/// Something that was found in a database that is to be adopted, and what is done about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdoptionFinding {
    /// Whether it is put right, left, or in the way.
    pub kind: FindingKind,
    /// The entity that it concerns, if it is a single one.
    pub entity: Option<Entity>,
    /// The table, view or index.
    pub subject: String,
    /// What was found, as a sentence without its end.
    pub found: String,
    /// What is done about it, or why it is left, or what to do, as a sentence without its end.
    pub done: String,
}

/// One entity as it is adopted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdoptedEntity {
    /// The entity.
    pub entity: Entity,
    /// The version that visitors see; 0 while they see none.
    pub active_version: Version,
    /// The version to which a rollback would go; 0 when there is none.
    pub backup_version: Version,
    /// Rows that visitors see.
    pub active_rows: u64,
    /// Rows of the backup.
    pub backup_rows: u64,
    /// When the active version was published, as far as that is known.
    pub published_at: Option<Timestamp>,
}

/// The answer of `adopt`, and what it would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdoptionReport {
    /// Whether it was only asked what would be done.
    pub dry_run: bool,
    /// Since when the database is adopted, when it was so already: nothing is done then.
    pub adopted_at: Option<Timestamp>,
    /// The journal mode that it was in; it is in WAL mode from the adoption on.
    pub journal_mode: String,
    /// What was found, obstacles first.
    pub findings: Vec<AdoptionFinding>,
    /// The ten entities.
    pub entities: Vec<AdoptedEntity>,
    /// Bodies that were there and are listed by `history` from now on.
    pub snapshots: u64,
    /// The publication that stands for what was live; a rollback takes that back.
    pub publication: Option<PublicationId>,
}

impl AdoptionReport {
    /// The findings of one kind.
    pub fn of(&self, kind: FindingKind) -> impl Iterator<Item = &AdoptionFinding> {
        self.findings.iter().filter(move |finding| finding.kind == kind)
    }

    /// Whether something is in the way.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.of(FindingKind::Obstacle).next().is_some()
    }
}

/// The answer of `release-database`, and what it would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseReport {
    /// Whether it was only asked what would be done.
    pub dry_run: bool,
    /// Since when the database was adopted.
    pub adopted_at: Timestamp,
    /// Runs whose journal goes.
    pub runs: u64,
    /// Publications whose record goes, and with it the way back by `rollback`.
    pub publications: u64,
    /// Records in quarantine that go.
    pub quarantined: u64,
    /// The hold in force that goes.
    pub hold: Option<String>,
    /// Bodies that stay, one row each.
    pub snapshots: u64,
    /// Bodies that were kept in several rows and become one.
    pub joined: u64,
    /// Bodies beyond the kept ones, which go.
    pub old_snapshots: u64,
    /// Indexes that get back the names which the application's migrations know.
    pub indexes: u64,
    /// The ten entities as they are left: views, metadata and tables stay.
    pub entities: Vec<AdoptedEntity>,
    /// The journal mode that the database is left in, or would be if nobody else has it open.
    pub journal_mode: String,
    /// What could not be left as it was found.
    pub notes: Vec<String>,
}

/// A migration of the application that goes on, or that was begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppMigrationReport {
    /// The command.
    pub command: String,
    /// Who.
    pub operator: Operator,
    /// Since when.
    pub since: Timestamp,
}

/// The answer of `migrate-app`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppMigrationEnd {
    /// The command.
    pub command: String,
    /// Its exit status; `None` when it was never begun.
    pub exit_status: Option<u8>,
    /// When the tables stood in the place of the views.
    pub opened_at: Timestamp,
    /// When the views were back.
    pub closed_at: Timestamp,
    /// Rows that the tables held.
    pub rows: u64,
    /// What the migration left that greenroom had to deal with.
    pub notes: Vec<String>,
}

/// The answer of `migrate-app --prisma`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppScriptsReport {
    /// Whether all of it was taken back.
    pub dry_run: bool,
    /// Names of the migrations that were applied, in their order.
    pub applied: Vec<String>,
    /// How many had been applied before.
    pub already: u64,
    /// What they left that greenroom had to deal with.
    pub notes: Vec<String>,
}
