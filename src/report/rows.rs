//! Rows of one version of an entity.

use serde::{Deserialize, Serialize};

use super::Version;
use crate::entity::Entity;

/// The answer of `rows`: some rows in the order in which readers without an order see them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RowsReport {
    /// The entity.
    pub entity: Entity,
    /// The version that they are of; 0 while nothing was published.
    pub version: Version,
    /// Whether it is the live one.
    pub live: bool,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows that match, the listed ones included.
    pub total: u64,
    /// Rows that match and come before the first listed one.
    pub offset: u64,
    /// A value for each column.
    pub rows: Vec<Vec<serde_json::Value>>,
}
