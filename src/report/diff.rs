//! Differences between two states of an entity.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{RowChange, SnapshotId, Version};
use crate::entity::Entity;

/// Rows that differ between two versions of an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffCounts {
    /// Rows only in the newer one.
    pub added: u64,
    /// Rows only in the older one.
    pub removed: u64,
    /// Rows in both with another value in some column.
    pub changed: u64,
}

impl DiffCounts {
    /// The same difference seen from the other side.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { added: self.removed, removed: self.added, changed: self.changed }
    }

    /// Rows that differ in any way.
    #[must_use]
    pub const fn all(self) -> u64 {
        self.added + self.removed + self.changed
    }

    /// Whether nothing differs.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.all() == 0
    }
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DiffSide {
    /// A version of the entity; 0 when there is none.
    Version(Version),
    /// The rows that a snapshot of the endpoint makes.
    Snapshot(SnapshotId),
}

impl fmt::Display for DiffSide {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(0) => formatter.write_str("-"),
            Self::Version(version) => write!(formatter, "v{version}"),
            Self::Snapshot(snapshot) => write!(formatter, "snapshot {snapshot}"),
        }
    }
}

/// The difference between two states of one entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntityDiff {
    /// The entity.
    pub entity: Entity,
    /// Its live version; 0 before the first publish.
    pub active_version: Version,
    /// Its backup; 0 when there is none.
    pub backup_version: Version,
    /// The older side.
    pub from: DiffSide,
    /// The newer side.
    pub to: DiffSide,
    /// From the one to the other; `None` when one of them is not there.
    #[serde(flatten)]
    pub counts: Option<DiffCounts>,
    /// The rows, when they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<RowDiff>>,
}

/// One row that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDiff {
    /// The row's id.
    pub id: String,
    /// How it differs.
    pub change: RowChange,
    /// The columns that differ; for an added or removed row all that are not NULL.
    pub columns: Vec<ColumnDiff>,
}

/// One value that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDiff {
    /// The column.
    pub column: String,
    /// The value on the older side.
    pub before: serde_json::Value,
    /// The value on the newer side.
    pub after: serde_json::Value,
}

/// The answer of `diff`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffReport {
    /// One difference an entity.
    pub entities: Vec<EntityDiff>,
}
