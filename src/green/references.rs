//! References that lead nowhere.

use rusqlite::Connection;

use super::{
    error::{Doing, GreenError},
    sql::quoted,
};
use crate::entity::Relation;

/// Counts the rows of table `from` whose `relation` leads to no row of table `to`. About a second at a million rows.
pub(super) fn dangling(connection: &Connection, from: &str, relation: &Relation, to: &str) -> Result<u64, GreenError> {
    let (column, target) = (quoted(relation.column), quoted(relation.target_column));
    let sql = format!(
        "SELECT count(*) FROM {} AS f WHERE f.{column} IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE t.{target} = f.{column})",
        quoted(from),
        quoted(to)
    );
    connection.query_row(&sql, [], |row| row.get(0)).doing("checking references")
}
