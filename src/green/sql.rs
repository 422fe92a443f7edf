//! Values and rows between Rust and SQLite.

use jiff::Timestamp;
use rusqlite::{
    Row, ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};

use crate::{
    entity::Value,
    report::{DiffCounts, Operator},
};

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Borrowed(ValueRef::Real(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// A time stored as integer milliseconds.
pub(super) struct Millis(pub(super) Timestamp);

impl ToSql for Millis {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.as_millisecond()))
    }
}

impl FromSql for Millis {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let millis = value.as_i64()?;
        Timestamp::from_millisecond(millis).map(Self).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// A word of one of the report's enums, or a name, that must be known.
pub(super) fn word<T>(row: &Row<'_>, column: &str, read: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    read(&text).ok_or_else(|| {
        let index = row.as_ref().column_index(column).unwrap_or_default();
        let problem = format!("unknown word `{text}` in column {column}");
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, problem.into())
    })
}

/// Like [`word`], for a column that may be NULL.
pub(super) fn optional_word<T>(
    row: &Row<'_>,
    column: &str,
    read: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => word(row, column, read).map(Some),
    }
}

/// A time that may be NULL.
pub(super) fn optional_time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<Millis>>(column)?.map(|millis| millis.0))
}

/// A time.
pub(super) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    Ok(row.get::<_, Millis>(column)?.0)
}

/// The three columns of an operator.
pub(super) fn operator(row: &Row<'_>) -> rusqlite::Result<Operator> {
    Ok(Operator { user: row.get("operator_user")?, host: row.get("operator_host")?, pid: row.get("operator_pid")? })
}

/// The three columns of an operator whose names begin with `prefix`; `None` when they are NULL.
pub(super) fn prefixed_operator(row: &Row<'_>, prefix: &str) -> rusqlite::Result<Option<Operator>> {
    let column = |part: &str| format!("{prefix}_{part}");
    let Some(user) = row.get(column("user").as_str())? else { return Ok(None) };
    Ok(Some(Operator { user, host: row.get(column("host").as_str())?, pid: row.get(column("pid").as_str())? }))
}

/// An identifier in double quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A list of identifiers in double quotes.
pub(super) fn quoted_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// The three counts of a difference, when all were recorded.
pub(super) fn diff_counts(row: &Row<'_>) -> rusqlite::Result<Option<DiffCounts>> {
    let added: Option<u64> = row.get("added")?;
    let removed: Option<u64> = row.get("removed")?;
    let changed: Option<u64> = row.get("changed")?;
    Ok(added.zip(removed).zip(changed).map(|((added, removed), changed)| DiffCounts { added, removed, changed }))
}
