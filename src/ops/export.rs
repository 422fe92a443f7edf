//! Quarantined records, listed and as JSON lines.

use std::io;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{OperationError, Operations};
use crate::{
    entity::{Endpoint, Entity, Position},
    green::QuarantineQuery,
    report::{QuarantineList, QuarantineRecord, RunId},
    text,
};

impl Operations {
    /// Quarantined records and notes with the runs that met them first and last.
    ///
    /// # Errors
    /// When the database cannot be read or there is no such run.
    pub async fn quarantine(&self, query: QuarantineQuery) -> Result<QuarantineList, OperationError> {
        self.blocking(move |database| database.quarantine(&query)).await
    }

    /// Writes what [`Operations::quarantine`] lists to `output`, one JSON object a line, with the record as it came.
    ///
    /// # Returns
    /// How many were written.
    ///
    /// # Errors
    /// When the database cannot be read, there is no such run, or `output` fails.
    pub fn export_quarantine(
        &self,
        query: &QuarantineQuery,
        output: &mut impl io::Write,
    ) -> Result<u64, OperationError> {
        let (mut written, mut failure) = (0, None);
        self.database.each_quarantined(query, |record| {
            failure = write(&record, output).err();
            written += u64::from(failure.is_none());
            failure.is_none()
        })?;
        match failure.map_or_else(|| output.flush(), Err) {
            Ok(()) => Ok(written),
            Err(error) => Err(OperationError::Output(error)),
        }
    }
}

/// A record as it came: JSON where it is JSON, else a text.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    endpoint: Endpoint,
    entity: Entity,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<&'a str>,
    reason: &'a str,
    /// Where it stood in the body, for the records of one run.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    first_run: RunId,
    first_seen_at: Timestamp,
    last_run: RunId,
    last_seen_at: Timestamp,
    gone_since_run: Option<RunId>,
    record: Body<'a>,
}

/// Writes `one` as a JSON object on a line of its own.
fn write(one: &QuarantineRecord, output: &mut impl io::Write) -> io::Result<()> {
    // Line ends stand between the tokens of valid JSON only, never inside a text.
    let is_json = serde_json::from_str::<&RawValue>(&one.record).is_ok();
    let flat = one.record.replace(['\n', '\r'], " ");
    let json: Option<&RawValue> = serde_json::from_str(&flat).ok().filter(|_| is_json);
    let line = Line {
        endpoint: one.endpoint,
        entity: one.entity,
        column: one.column.as_deref(),
        reason: &one.reason,
        position: one.position,
        first_run: one.first_run,
        first_seen_at: one.first_seen_at,
        last_run: one.last_run,
        last_seen_at: one.last_seen_at,
        gone_since_run: one.gone_since_run,
        record: json.map_or(Body::Text(&one.record), Body::Json),
    };
    let line = serde_json::to_string(&line)?;
    writeln!(output, "{}", text::clean_json(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_is_one_line_that_means_the_same() {
        let at = Timestamp::UNIX_EPOCH;
        let record = |record: &str| QuarantineRecord {
            endpoint: Endpoint::Boards,
            entity: Entity::Boards,
            column: None,
            reason: "title: missing".to_owned(),
            first_run: 3,
            first_seen_at: at,
            last_run: 7,
            last_seen_at: at,
            gone_since_run: Some(8),
            position: None,
            record: record.to_owned(),
        };
        let records = [
            record("{\n \"id\": \"a\u{202e}b\u{9b}\",\r\n \"size\": 12345678901234567890123}"),
            record("{\"id\": broken\n"),
            record("\"no\nJSON\""),
        ];
        let mut output = Vec::new();
        for one in &records {
            write(one, &mut output).unwrap();
        }
        let output = String::from_utf8(output).unwrap();
        assert_eq!(output.lines().count(), 3);
        assert!(output.contains("12345678901234567890123"), "as it came: {output}");
        assert!(!output.chars().any(|character| character != '\n' && text::is_harmful(character)), "{output:?}");
        let lines: Vec<serde_json::Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["record"]["id"], "a\u{202e}b\u{9b}");
        assert_eq!((&lines[0]["firstRun"], &lines[0]["goneSinceRun"]), (&3.into(), &8.into()));
        assert_eq!(lines[1]["record"], "{\"id\": broken\n");
        assert_eq!(lines[2]["record"], "\"no\nJSON\"");
    }
}
