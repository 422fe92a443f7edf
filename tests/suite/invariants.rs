//! What must hold after anything, whenever no run goes on.

use std::collections::BTreeSet;

use rusqlite::{Connection, types::Value};

use crate::{
    contract::{CONTRACTS, ColumnFact, Contract},
    support::query,
};

/// Checks everything.
pub(crate) fn check(connection: &Connection) {
    check_but_for(connection, &[]);
}

/// Checks everything, where something went wrong with some runs after their publish, such as that their process died: those
/// have an error or are not told to the end.
pub(crate) fn check_but_for(connection: &Connection, died: &[i64]) {
    assert_eq!(query(connection, "PRAGMA integrity_check"), [[Value::Text("ok".to_owned())]]);
    assert!(query(connection, "PRAGMA foreign_key_check").is_empty());
    let leftovers = "SELECT name FROM sqlite_schema WHERE name LIKE '%\\_shadow\\_%' ESCAPE '\\' \
                     OR name LIKE '%\\_trash\\_%' ESCAPE '\\'";
    assert_eq!(strings(connection, leftovers), Vec::<String>::new());
    metadata_has_five_columns(connection);
    versions_are_as_agreed(connection, "sync_metadata");
    snapshots_are_whole(connection);
    runs_are_told_to_the_end(connection, died);
    the_way_back_is_kept(connection);
    let unbalanced = "SELECT run_id || ' ' || entity FROM sync_steps \
                      WHERE records <> rows + duplicates + quarantined";
    assert_eq!(strings(connection, unbalanced), Vec::<String>::new(), "records balance in every run");
}

/// Checks tables, indexes and views of all entities, and that they are as the table `metadata` says.
pub(crate) fn versions_are_as_agreed(connection: &Connection, metadata: &str) {
    for contract in &CONTRACTS {
        for version in [1, 2] {
            version_is_as_agreed(connection, contract, version);
        }
        view_reads_what_metadata_says(connection, contract, metadata);
    }
}

fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn strings(connection: &Connection, sql: &str) -> Vec<String> {
    let rows = query(connection, sql).into_iter().flatten();
    rows.map(|value| match value {
        Value::Text(text) => text,
        other => panic!("{sql}: {other:?}"),
    })
    .collect()
}

fn metadata_has_five_columns(connection: &Connection) {
    let columns = strings(connection, "SELECT name FROM pragma_table_info('sync_metadata')");
    assert_eq!(columns, ["id", "entityName", "activeVersion", "backupVersion", "updatedAt"]);
    let twice = "SELECT entityName FROM sync_metadata GROUP BY entityName HAVING count(*) > 1";
    assert_eq!(strings(connection, twice), Vec::<String>::new());
    assert_eq!(number(connection, "SELECT count(*) FROM sync_metadata WHERE typeof(updatedAt) <> 'integer'"), 0);
}

fn columns_of(connection: &Connection, table: &str) -> Vec<ColumnFact> {
    let mut statement =
        connection.prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_info(?1) ORDER BY cid").unwrap();
    let facts = statement.query_map([table], |row| {
        Ok(ColumnFact { name: row.get(0)?, declared: row.get(1)?, not_null: row.get(2)?, key: row.get(3)? })
    });
    facts.unwrap().map(Result::unwrap).collect()
}

fn version_is_as_agreed(connection: &Connection, contract: &Contract, version: i64) {
    let table = format!("{}_v{version}", contract.entity);
    assert_eq!(columns_of(connection, &table), contract.columns(), "{table}");
    let indexes = format!("SELECT name FROM pragma_index_list('{table}') WHERE origin = 'c'");
    let mut found: Vec<(bool, Vec<String>)> = Vec::new();
    for name in strings(connection, &indexes) {
        let unique =
            number(connection, &format!("SELECT \"unique\" FROM pragma_index_list('{table}') WHERE name = '{name}'"));
        let partial =
            number(connection, &format!("SELECT partial FROM pragma_index_list('{table}') WHERE name = '{name}'"));
        assert_eq!(partial, 0, "{name}");
        let columns = strings(connection, &format!("SELECT name FROM pragma_index_info('{name}') ORDER BY seqno"));
        found.push((unique == 1, columns));
    }
    found.sort();
    assert_eq!(found, contract.indexes(), "indexes of {table}");
}

fn view_reads_what_metadata_says(connection: &Connection, contract: &Contract, metadata: &str) {
    let entity = contract.entity;
    let versions = format!("SELECT activeVersion, backupVersion FROM {metadata} WHERE entityName = '{entity}'");
    let versions = query(connection, &versions);
    let view = format!("{entity}_current");
    assert_eq!(
        strings(connection, &format!("SELECT type FROM sqlite_schema WHERE name = '{view}' COLLATE NOCASE")),
        ["view"]
    );
    let facts: Vec<_> = columns_of(connection, &view).into_iter().map(|fact| (fact.name, fact.declared)).collect();
    let agreed: Vec<_> = contract.columns().into_iter().map(|fact| (fact.name, fact.declared)).collect();
    assert_eq!(facts, agreed, "{view}");
    let (active, backup) = match versions.first().map(Vec::as_slice) {
        None => {
            assert_eq!(number(connection, &format!("SELECT count(*) FROM {view}")), 0, "{view} before a publish");
            return;
        }
        Some([Value::Integer(active), Value::Integer(backup)]) => (*active, *backup),
        Some(other) => panic!("{entity}: {other:?}"),
    };
    assert!([1, 2].contains(&active), "{entity}: active version {active}");
    assert!([0, 3 - active].contains(&backup), "{entity}: active version {active}, backup {backup}");
    // What the view reads is told by its text and, should that deceive, by its rows.
    let sql =
        strings(connection, &format!("SELECT lower(sql) FROM sqlite_schema WHERE name = '{view}' COLLATE NOCASE"))
            .concat();
    assert!(sql.contains(&format!("{entity}_v{active}\"")), "{sql}, but version {active} is active");
    assert!(!sql.contains(&format!("{entity}_v{}\"", 3 - active)), "{sql}");
    let live = query(connection, &format!("SELECT * FROM {view}"));
    assert_eq!(live, query(connection, &format!("SELECT * FROM {entity}_v{active} ORDER BY rowid")), "{view}");
    let newest = format!(
        "SELECT to_version, from_version, to_rows FROM sync_publication_entities WHERE entity = '{entity}' \
         ORDER BY publication_id DESC LIMIT 1"
    );
    let rows = i64::try_from(live.len()).unwrap();
    assert_eq!(query(connection, &newest), [[active, backup, rows].map(Value::Integer)], "newest switch of {entity}");
}

/// Every row of the staging tables belongs to exactly one snapshot, and SQLite's JSON functions read all of them.
fn snapshots_are_whole(connection: &Connection) {
    assert_eq!(number(connection, "SELECT count(*) FROM sync_snapshots WHERE NOT complete"), 0);
    let tables =
        strings(connection, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%\\_json' ESCAPE '\\'");
    assert_eq!(tables.len(), 9, "{tables:?}");
    for table in &tables {
        let entity = table.strip_suffix("_json").unwrap();
        let endpoint = format!(
            "SELECT s.* FROM sync_snapshots AS s WHERE lower(endpoint) = '{entity}' AND j.id BETWEEN s.first_row AND s.last_row"
        );
        let strays = format!("SELECT count(*) FROM {table} AS j WHERE (SELECT count(*) FROM ({endpoint})) <> 1");
        assert_eq!(number(connection, &strays), 0, "rows of {table} that are not of one snapshot");
        let odd = format!(
            "SELECT count(*) FROM {table} WHERE typeof(data) <> 'text' OR NOT json_valid(data) \
             OR json_type(data) <> 'array' OR typeof(createdAt) <> 'integer' OR typeof(updatedAt) <> 'integer'"
        );
        assert_eq!(number(connection, &odd), 0, "{table}");
        let elements = format!("SELECT count(*) FROM {table} AS j, json_each(j.data)");
        let told = format!("SELECT coalesce(sum(records), 0) FROM sync_snapshots WHERE lower(endpoint) = '{entity}'");
        assert_eq!(number(connection, &elements), number(connection, &told), "elements of {table}");
    }
}

/// What a live or a backup version was made from is still there, and at most one hold is in force.
fn the_way_back_is_kept(connection: &Connection) {
    let newest = "SELECT e.* FROM sync_publication_entities AS e WHERE publication_id = (SELECT max(publication_id) \
                  FROM sync_publication_entities AS o WHERE o.entity = e.entity)";
    for (version, snapshot) in [("to_version", "to_snapshot"), ("from_version", "from_snapshot")] {
        let lost = format!(
            "SELECT entity || ' {version}' FROM ({newest}) WHERE {version} <> 0 \
             AND {snapshot} NOT IN (SELECT id FROM sync_snapshots WHERE complete)"
        );
        assert_eq!(strings(connection, &lost), Vec::<String>::new(), "versions whose snapshot is gone");
    }
    assert!(number(connection, "SELECT count(*) FROM sync_holds WHERE released_at IS NULL") <= 1);
}

fn runs_are_told_to_the_end(connection: &Connection, died: &[i64]) {
    let none =
        |what: &str, sql: &str| assert_eq!(number(connection, &format!("SELECT count(*) FROM {sql}")), 0, "{what}");
    none("runs without an end", "sync_runs WHERE outcome IS NULL OR finished_at IS NULL OR finished_at < started_at");
    none(
        "runs with a publication that did not publish, or without one that did",
        "sync_runs WHERE (outcome = 'published') <> (publication IS NOT NULL)",
    );
    none(
        "runs that did what was asked for and have an error though nothing stayed behind, or others without a word",
        &format!(
            "sync_runs AS r WHERE (outcome IN ('published', 'unchanged', 'prepared') AND NOT EXISTS \
             (SELECT 1 FROM sync_steps AS s WHERE s.run_id = r.id AND s.outcome = 'failed')) <> (error IS NULL) \
             AND id NOT IN ({})",
            died.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
        ),
    );
    none(
        "publications that are of another run",
        "sync_runs AS r JOIN sync_publications AS p ON p.id = r.publication WHERE p.run_id <> r.id \
         OR p.replay_of IS NOT r.replay_of OR (p.kind <> 'sync' AND p.replay_of IS NULL)",
    );
    none("dry runs that published", "sync_runs WHERE dry_run AND publication IS NOT NULL");
    none("replays of nothing", "sync_runs WHERE (trigger_kind = 'replay') <> (replay_of IS NOT NULL)");
    none(
        "runs without a step for each entity that they are about",
        "sync_runs AS r WHERE outcome <> 'interrupted' AND (SELECT count(*) FROM sync_steps WHERE run_id = r.id) <> \
         CASE WHEN scope IS NULL THEN 10 ELSE length(scope) - length(replace(scope, ',', '')) + 1 END",
    );
    none(
        "published runs with a guard that nobody accepted, or whose publication does not know what was",
        "sync_guards AS g JOIN sync_runs AS r ON r.id = g.run_id WHERE r.outcome = 'published' AND (NOT g.accepted OR \
         NOT EXISTS (SELECT 1 FROM sync_publication_guards AS p WHERE p.publication_id = r.publication \
          AND (p.guard, p.entity, p.message, p.accepted) = (g.guard, g.entity, g.message, 1)))",
    );
    none("steps without an outcome", "sync_steps WHERE outcome IS NULL");
    none(
        "steps that do not balance",
        "sync_steps WHERE outcome IN ('ready', 'published') AND records <> rows + duplicates + quarantined",
    );
    none(
        "failed steps without a word, or others with one",
        "sync_steps WHERE (outcome = 'failed') AND (error IS NULL)",
    );
    none(
        "steps that were published and are in no publication, or the other way round",
        "sync_steps AS s JOIN sync_runs AS r ON r.id = s.run_id WHERE (s.outcome = 'published') <> EXISTS \
         (SELECT 1 FROM sync_publication_entities AS e WHERE e.publication_id = r.publication AND e.entity = s.entity \
          AND e.to_version = s.active_version AND e.from_version = s.backup_version AND e.to_rows = s.rows)",
    );
    none(
        "steps whose quarantine is not kept",
        "sync_steps AS s WHERE outcome IN ('ready', 'published') AND (quarantined, notes) <> \
         (SELECT count(*) FILTER (WHERE column_name IS NULL), count(column_name) FROM sync_quarantine AS q \
          WHERE q.run_id = s.run_id AND q.entity = s.entity)",
    );
    none("passing events", "sync_events WHERE passing");
    none(
        "events, attempts or quarantine of runs that are gone",
        "(SELECT run_id FROM sync_events UNION SELECT run_id FROM sync_attempts UNION SELECT run_id FROM sync_steps \
          UNION SELECT run_id FROM sync_quarantine) WHERE run_id NOT IN (SELECT id FROM sync_runs)",
    );
    let untold: BTreeSet<_> = query(
        connection,
        "SELECT r.id, r.outcome, (SELECT json_extract(event, '$.outcome') FROM sync_events AS e WHERE e.run_id = r.id \
         ORDER BY seq DESC LIMIT 1) AS told FROM sync_runs AS r WHERE outcome <> 'interrupted' AND outcome IS NOT told",
    )
    .iter()
    .filter(|row| !died.iter().any(|run| row[0] == Value::Integer(*run)))
    .map(|row| format!("{row:?}"))
    .collect();
    assert!(untold.is_empty(), "runs whose last event does not tell how they ended: {untold:?}");
}
