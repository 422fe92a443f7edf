//! Looking at the rows of a version, a page at a time.

use rusqlite::{Connection, params};
use tokio_util::sync::CancellationToken;

use super::{
    database::Database,
    diff::{self, Page},
    error::{Doing, GreenError},
    schema::{self, version_table},
    sql::quoted,
    status,
};
use crate::{
    entity::Entity,
    report::{RowsReport, Version},
};

/// Which version of an entity is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// What visitors see.
    #[default]
    Live,
    /// What a rollback would bring back.
    Backup,
}

/// Which rows are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsQuery {
    /// Of this entity.
    pub entity: Entity,
    /// Of this version.
    pub side: Side,
    /// Only rows that hold this text in any column, whatever the case of ASCII letters; with `column:` before it, in that one.
    pub filter: Option<String>,
    /// Which of them.
    pub page: Page,
}

/// The columns to look into, and the text to look for there.
fn searched<'a>(filter: &'a str, columns: &'a [String]) -> (&'a [String], &'a str) {
    let named = filter.split_once(':').and_then(|(name, wanted)| {
        let place = columns.iter().position(|column| column.eq_ignore_ascii_case(name.trim()))?;
        Some((&columns[place..=place], wanted.trim_start()))
    });
    named.unwrap_or((columns, filter))
}

/// `wanted` as a pattern of LIKE, with `\` before what would mean something else there.
fn pattern(wanted: &str) -> String {
    let mut pattern = String::from("%");
    for character in wanted.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern + "%"
}

fn column_names(connection: &Connection, table: &str) -> Result<Vec<String>, GreenError> {
    let doing = "reading the columns of a table";
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)").doing(doing)?;
    let names = statement.query_map([table], |row| row.get(0)).doing(doing)?;
    names.collect::<rusqlite::Result<_>>().doing(doing)
}

fn read(
    connection: &Connection,
    query: &RowsQuery,
    version: Version,
    table: &str,
    order: &str,
) -> Result<RowsReport, GreenError> {
    let doing = "reading rows";
    let columns = column_names(connection, table)?;
    let from = quoted(table);
    let (condition, wanted) = match query.filter.as_deref().filter(|filter| !filter.is_empty()) {
        None => ("?1 IS NULL".to_owned(), None),
        Some(filter) => {
            let (columns, wanted) = searched(filter, &columns);
            let each = columns.iter().map(|column| format!("{} LIKE ?1 ESCAPE '\\'", quoted(column)));
            (each.collect::<Vec<_>>().join(" OR "), Some(pattern(wanted)))
        }
    };
    let total = match wanted {
        None => schema::count(connection, table)?,
        Some(_) => connection
            .query_row(&format!("SELECT count(*) FROM {from} WHERE {condition}"), [&wanted], |row| row.get(0))
            .doing(doing)?,
    };
    let sql = format!("SELECT * FROM {from} WHERE {condition} {order} LIMIT ?2 OFFSET ?3");
    let mut statement = connection.prepare(&sql).doing(doing)?;
    let rows = statement
        .query_map(params![wanted, query.page.limit, query.page.offset], |row| {
            (0..columns.len()).map(|place| Ok(diff::json(row.get_ref(place)?))).collect()
        })
        .doing(doing)?;
    let rows = rows.collect::<rusqlite::Result<_>>().doing(doing)?;
    let (entity, live, offset) = (query.entity, query.side == Side::Live, query.page.offset);
    Ok(RowsReport { entity, version, live, columns, total, offset, rows })
}

impl Database {
    /// The rows that `query` asks for, in the order of the source. At a million rows a filter takes a second or two, and the
    /// last page some ten milliseconds. `stop` ends it early.
    ///
    /// # Errors
    /// [`GreenError::NothingToRollBack`] when there is no backup to look at, when the database cannot be read, or
    /// [`GreenError::Stopped`].
    pub fn rows(&self, query: &RowsQuery, stop: &CancellationToken) -> Result<RowsReport, GreenError> {
        let mut connection = self.stoppable_reader(stop)?;
        let transaction = connection.transaction().doing("reading rows")?;
        let entity = query.entity;
        let (active, backup) = status::metadata(&transaction, entity)?.unwrap_or_default();
        let (version, table) = match query.side {
            // Visitors see what the view reads, whatever else is written down.
            Side::Live => match schema::viewed_version(&transaction, entity)? {
                Some(viewed) => (viewed.min(active), version_table(entity, viewed)),
                None => return read(&transaction, query, 0, &schema::view(entity), ""),
            },
            Side::Backup if backup == 0 => {
                return Err(GreenError::NothingToRollBack { why: format!("{entity} has no backup") });
            }
            Side::Backup => (backup, version_table(entity, backup)),
        };
        read(&transaction, query, version, &table, "ORDER BY rowid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_may_name_its_column() {
        let columns = ["id".to_owned(), "firstName".to_owned()];
        assert_eq!(searched("ana", &columns), (&columns[..], "ana"));
        assert_eq!(searched("firstname: ana", &columns), (&columns[1..2], "ana"));
        assert_eq!(searched("https://x", &columns), (&columns[..], "https://x"), "no such column");
        assert_eq!(pattern(r"50%_\"), r"%50\%\_\\%");
    }
}
