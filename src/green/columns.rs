//! Columns that tables have, ours and those that the application added.

use rusqlite::Connection;

use super::{
    error::{Doing, GreenError},
    schema::{self, version_table},
    sql::quoted,
    status,
};
use crate::{entity::Entity, report::Version};

/// A column as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExtraColumn {
    /// Its name, as it is spelled.
    pub(super) name: String,
    /// Its declared type; may be empty.
    pub(super) declared: String,
    /// Whether NULL is refused.
    pub(super) is_required: bool,
    /// The text of its default.
    pub(super) default: Option<String>,
    /// Whether it is, or is part of, the primary key.
    pub(super) is_key: bool,
}

impl ExtraColumn {
    /// As it stands in `CREATE TABLE` and `ALTER TABLE ... ADD COLUMN`.
    pub(super) fn definition(&self) -> String {
        let required = if self.is_required { " NOT NULL" } else { "" };
        let default = self.default.as_ref().map(|text| format!(" DEFAULT {}", default(text))).unwrap_or_default();
        format!("{} {}{required}{default}", quoted(&self.name), self.declared)
    }

    /// The same without its default, where a row need not have one: `ADD COLUMN` takes only defaults that are constant.
    pub(super) fn without_default(&self) -> Option<Self> {
        (!self.is_required && self.default.is_some()).then(|| Self { default: None, ..self.clone() })
    }

    /// Whether a row can be without a value of it.
    pub(super) fn can_be_left_out(&self) -> bool {
        !self.is_required || self.default.is_some()
    }
}

/// A default as it has to be written: all but a literal needs parentheses, and a literal must have none in `ALTER TABLE`.
fn default(text: &str) -> String {
    let is_quoted = ['\'', '"'].iter().any(|quote| text.starts_with(*quote) && text.ends_with(*quote));
    let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte));
    if is_quoted || is_word { text.to_owned() } else { format!("({text})") }
}

/// The columns of a table or view that hold values of their own, in their order; none when there is no such table.
pub(super) fn of(connection: &Connection, table: &str) -> Result<Vec<ExtraColumn>, GreenError> {
    let doing = "reading the columns of a table";
    let sql = "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?1) ORDER BY cid";
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    let found = statement
        .query_map([table], |row| {
            Ok(ExtraColumn {
                name: row.get(0)?,
                declared: row.get(1)?,
                is_required: row.get(2)?,
                default: row.get(3)?,
                is_key: row.get::<_, i64>(4)? > 0,
            })
        })
        .doing(doing)?;
    found.collect::<rusqlite::Result<_>>().doing(doing)
}

/// Whether `columns` have one of this name.
pub(super) fn has(columns: &[ExtraColumn], name: &str) -> bool {
    columns.iter().any(|column| column.name.eq_ignore_ascii_case(name))
}

/// The columns of `table` that greenroom knows nothing of.
pub(super) fn unknown(connection: &Connection, entity: Entity, table: &str) -> Result<Vec<ExtraColumn>, GreenError> {
    let is_ours = |name: &str| entity.table().columns.iter().any(|ours| ours.name.eq_ignore_ascii_case(name));
    let mut found = of(connection, table)?;
    found.retain(|column| !is_ours(&column.name));
    Ok(found)
}

/// What the application has added to the tables of `entity`, by the version that visitors see.
///
/// # Errors
/// [`GreenError::NeedsValue`] when a row of ours could not be written for it.
pub(super) fn extra(connection: &Connection, entity: Entity) -> Result<Vec<ExtraColumn>, GreenError> {
    let viewed = schema::viewed_version(connection, entity)?;
    let active = match viewed {
        Some(version) => version,
        None => status::metadata(connection, entity)?.map_or(1, |(active, _)| active.max(1)),
    };
    let other: Version = 3 - active.min(2);
    // Before a version is there, its sibling tells.
    let known = if schema::table_exists(connection, &version_table(entity, active))? { active } else { other };
    let table = version_table(entity, known);
    let found = unknown(connection, entity, &table)?;
    match found.iter().find(|column| !column.can_be_left_out()) {
        Some(column) => Err(GreenError::NeedsValue { table, column: column.name.clone() }),
        None => Ok(found),
    }
}
