//! Bodies of the source that the old system kept: they become snapshots where they stand.

use std::io::Read;

use jiff::Timestamp;
use rusqlite::{Connection, MAIN_DB, params, types::ValueRef};

use super::{
    super::{
        error::{Doing, GreenError},
        schema,
        sql::{Millis, quoted},
    },
    plan::Plan,
};
use crate::{
    blue::{BodyReader, BodySummary},
    entity::{Endpoint, field},
    report::Layout,
};

/// Bytes of a body that are read at once.
const PIECE: usize = 64 * 1024;

/// A body that is kept in one row.
#[derive(Debug)]
pub(super) struct Body {
    endpoint: Endpoint,
    row: i64,
    /// When it was fetched, as far as that is known.
    fetched_at: Option<Timestamp>,
    summary: BodySummary,
}

/// Looks at all bodies.
pub(super) fn plan(connection: &Connection, plan: &mut Plan) -> Result<(), GreenError> {
    let doing = "reading the bodies that are there";
    for endpoint in Endpoint::ALL {
        let table = Layout::Prisma.json_table(endpoint);
        if !schema::table_exists(connection, &table)? {
            continue;
        }
        let sql = format!("SELECT id, typeof(data), createdAt FROM {} ORDER BY id", quoted(&table));
        let mut statement = connection.prepare(&sql).doing(doing)?;
        let mut rows = statement.query([]).doing(doing)?;
        while let Some(row) = rows.next().doing(doing)? {
            let (id, kind): (i64, String) = (row.get(0).doing(doing)?, row.get(1).doing(doing)?);
            let found =
                if kind == "text" { read(connection, endpoint, &table, id)? } else { Err(format!("{kind}, no text")) };
            match found {
                Ok(summary) => {
                    let fetched_at = time(row.get_ref(2).doing(doing)?);
                    plan.bodies.push(Body { endpoint, row: id, fetched_at, summary });
                }
                Err(what) => {
                    let found = format!("row {id} of {table} is {what}");
                    plan.note(None, &table, found, "it stays, and `history` does not list it");
                }
            }
        }
    }
    Ok(())
}

/// Reads one body in pieces, as it would be read from the source.
fn read(
    connection: &Connection,
    endpoint: Endpoint,
    table: &str,
    row: i64,
) -> Result<Result<BodySummary, String>, GreenError> {
    let doing = "reading the bodies that are there";
    let mut blob = connection.blob_open(MAIN_DB, table, "data", row, true).doing(doing)?;
    let (mut reader, mut piece) = (BodyReader::new(endpoint), vec![0; PIECE]);
    loop {
        let length = blob.read(&mut piece).map_err(|_| GreenError::Corrupt { doing })?;
        if length == 0 {
            return Ok(reader.finish().map_err(|unreadable| unreadable.to_string()));
        }
        if let Err(unreadable) = reader.push(&piece[..length], |_| {}) {
            return Ok(Err(unreadable.to_string()));
        }
    }
}

/// Integer milliseconds, or text in one of the forms in which dates are written.
pub(super) fn time(value: ValueRef<'_>) -> Option<Timestamp> {
    let millis = match value {
        ValueRef::Integer(millis) => Some(millis),
        ValueRef::Text(text) => {
            field::milliseconds(&serde_json::Value::from(String::from_utf8_lossy(text)).to_string())
        }
        _ => None,
    };
    Timestamp::from_millisecond(millis?).ok()
}

/// Makes the bodies snapshots, in a transaction of the caller's.
pub(super) fn register(connection: &Connection, bodies: &[Body], at: Timestamp) -> Result<(), GreenError> {
    for body in bodies {
        let BodySummary { envelope, bytes, records, hash } = &body.summary;
        // Run 0: before greenroom.
        connection
            .execute(
                "INSERT INTO sync_snapshots (endpoint, run_id, complete, first_row, last_row, fetched_at, seen_at, bytes, \
                 records, hash, envelope) VALUES (?1, 0, 1, ?2, ?2, ?3, ?3, ?4, ?5, ?6, ?7)",
                params![
                    body.endpoint.key(),
                    body.row,
                    Millis(body.fetched_at.unwrap_or(at)),
                    bytes,
                    records,
                    hash,
                    envelope.name()
                ],
            )
            .doing("listing the bodies that are there")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_all_forms_that_were_written() {
        let expected = Timestamp::from_second(1_704_448_800).ok();
        assert_eq!(time(ValueRef::Integer(1_704_448_800_000)), expected);
        for text in ["2024-01-05 10:00:00", "2024-01-05T10:00:00.000Z", "2024-01-05T10:00:00+00:00"] {
            assert_eq!(time(ValueRef::Text(text.as_bytes())), expected, "{text}");
        }
        for unknown in [ValueRef::Null, ValueRef::Text(b"soon"), ValueRef::Integer(i64::MAX)] {
            assert_eq!(time(unknown), None);
        }
    }
}
