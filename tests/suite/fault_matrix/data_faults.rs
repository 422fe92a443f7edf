//! The run of a data fault at its three places; see [`super`].

use greenroom::{
    entity::{Endpoint, Entity},
    ops::SyncOptions,
    report::{Guard, RunOutcome, StepOutcome, Trigger},
};

use super::{Live, PLACES, Place, Tally, all, crowd::Crowd};
use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::{Ran, Rig},
};

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All is live but what is in quarantine.
    Published,
    /// Exactly the findings of the row hold it back.
    Held,
}

/// A guard that trips: which one, at which entity, and by which of its columns.
pub(super) type Finding = (Guard, Entity, Option<&'static str>);

/// A fault of data, how the run ends in which it is the first time, in the middle and always, and what holds it back.
pub(super) struct Row {
    pub(super) name: String,
    /// Faults that it has in one body or several.
    pub(super) faults: u32,
    /// Good records of each endpoint.
    pub(super) count: usize,
    /// Puts the fault into good data, and says what must become of it.
    pub(super) spoil: Box<dyn Fn(&mut Crowd) + Send + Sync>,
    pub(super) ends: [End; 3],
    pub(super) findings: Vec<Finding>,
}

/// A row without findings, whatever the place.
pub(super) fn harmless(name: &str, faults: u32, spoil: impl Fn(&mut Crowd) + Send + Sync + 'static) -> Row {
    let ends = [End::Published, End::Published, End::Published];
    Row { name: name.to_owned(), faults, count: 40, spoil: Box::new(spoil), ends, findings: Vec::new() }
}

/// A row that is held back whenever there is something to compare with.
pub(super) fn held(
    name: &str,
    faults: u32,
    spoil: impl Fn(&mut Crowd) + Send + Sync + 'static,
    findings: Vec<Finding>,
) -> Row {
    Row { ends: [End::Published, End::Held, End::Held], findings, ..harmless(name, faults, spoil) }
}

/// All cases of all rows.
pub(super) async fn try_all(rows: Vec<Row>) -> Tally {
    all(rows.into_iter().map(try_row)).await
}

async fn try_row(row: Row) -> Tally {
    let clean = Crowd::new(row.count, |_| 1);
    let mut spoiled = clean.clone();
    (row.spoil)(&mut spoiled);
    let is_spoiled = |endpoint: &Endpoint| spoiled.list(*endpoint) != clean.list(*endpoint);
    let endpoints: Vec<Endpoint> = Endpoint::ALL.into_iter().filter(is_spoiled).collect();
    assert!(!endpoints.is_empty(), "{}: a fault that is none", row.name);
    let rig = Rig::new(&Data::small(1)).await;
    let mut tally = Tally { faults: row.faults, ..Tally::default() };
    for (seed, (place, end)) in (1..).zip(PLACES.into_iter().zip(row.ends)) {
        let clean = Crowd::new(row.count, |one| if endpoints.contains(&one) { seed } else { 1 });
        let mut spoiled = clean.clone();
        (row.spoil)(&mut spoiled);
        let case = format!("{} {place:?}", row.name);
        send(&rig, &clean);
        for endpoint in &endpoints {
            rig.blue.fault(*endpoint, When::Always, Fault::body(spoiled.body(*endpoint)));
        }
        let times = if place == Place::Always { 3 } else { 1 };
        for time in 0..times {
            let (live, injected) = (Live::of(&rig), endpoints.iter().map(|one| rig.blue.injected(*one)));
            let injected: Vec<u32> = injected.collect();
            let ran = rig.sync().await;
            for (endpoint, before) in endpoints.iter().zip(injected) {
                assert_eq!(
                    rig.blue.injected(*endpoint),
                    before + 1,
                    "{case}: a body that can be read is asked for once"
                );
            }
            let case = format!("{case}, run {time}");
            match end {
                End::Published if time == 0 => published(&rig, &ran, &spoiled, &case),
                End::Published => {
                    assert_eq!((ran.outcome(), &ran.report.run.error), (RunOutcome::Unchanged, &None), "{case}");
                    assert_eq!(Live::of(&rig), live, "{case}");
                }
                End::Held => {
                    is_held(&rig, &ran, &row, &case).await;
                    assert_eq!(Live::of(&rig), live, "{case}: nothing that visitors see was touched");
                }
            }
            records_balance(&rig, &ran, &spoiled, &case, time > 0 && end == End::Published).await;
            tally.injected += row.faults;
        }
        tally.cases += row.faults;
        rig.blue.behave();
        heal(&rig, &clean, &case).await;
    }
    tally
}

fn send(rig: &Rig, crowd: &Crowd) {
    for endpoint in Endpoint::ALL {
        rig.blue.send_body(endpoint, crowd.body(endpoint));
    }
}

/// A healthy source does well again.
async fn heal(rig: &Rig, clean: &Crowd, case: &str) {
    send(rig, clean);
    let ran = rig.sync_as(SyncOptions::full(Trigger::Cli)).await;
    assert!(ran.outcome().is_success(), "{case}, healed: {:?}", ran.report.run.error);
    rig.assert_rows(|entity| clean.rows(entity));
}

fn published(rig: &Rig, ran: &Ran, spoiled: &Crowd, case: &str) {
    assert_eq!((ran.outcome(), &ran.report.run.error), (RunOutcome::Published, &None), "{case}");
    assert!(ran.report.guards.is_empty(), "{case}: {:?}", ran.report.guards);
    rig.assert_rows(|entity| spoiled.rows(entity));
}

async fn is_held(rig: &Rig, ran: &Ran, row: &Row, case: &str) {
    assert_eq!(ran.outcome(), RunOutcome::Held, "{case}");
    let guards = ran.report.guards.iter();
    let mut found: Vec<_> = guards.map(|one| (one.entity, one.guard.to_string(), one.column.as_deref())).collect();
    let mut expected: Vec<_> =
        row.findings.iter().map(|(guard, entity, column)| (*entity, guard.to_string(), *column)).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{case}: what holds it back");
    for finding in &ran.report.guards {
        let sentence = format!("{} guard, {}: {}", finding.guard, finding.entity, finding.message);
        assert!(!finding.accepted && ran.error().contains(&sentence), "{case}: no {sentence:?} in {:?}", ran.error());
    }
    let waiting = rig.operations.status().await.unwrap().held_run.map(|run| run.id);
    assert_eq!(waiting, Some(ran.report.run.id), "{case}: it waits for an operator");
}

/// Asserts that each record of the bodies is a row, a duplicate, or in quarantine with its reason.
async fn records_balance(rig: &Rig, ran: &Ran, spoiled: &Crowd, case: &str, is_told_before: bool) {
    let kept = rig.operations.run(ran.report.run.id).await.unwrap().quarantine;
    for step in &ran.report.entities {
        let entity = step.entity;
        let (rows, duplicates) = (spoiled.rows(entity).len() as u64, spoiled.duplicates(entity));
        let (records, notes) = (spoiled.dirt(entity, false), spoiled.dirt(entity, true));
        let quarantined = records.len() as u64;
        assert_eq!((step.rows, step.duplicates), (rows, duplicates), "{case}: rows and duplicates of {entity}");
        assert_eq!((step.quarantined, step.notes), (quarantined, notes.len() as u64), "{case}: dirt of {entity}");
        assert_eq!(step.records, rows + duplicates + quarantined, "{case}: records of {entity}");
        assert_eq!((step.attempts, &step.error), (1, &None), "{case}: {entity}");
        assert_ne!(step.outcome, Some(StepOutcome::Failed), "{case}: {entity}");
        // What came of a body that was loaded before is told of the run that loaded it.
        if is_told_before || step.outcome == Some(StepOutcome::Unchanged) {
            continue;
        }
        for (expected, is_note) in [(records, false), (notes, true)] {
            let found = kept.iter().filter(|one| one.entity == entity && one.column.is_some() == is_note);
            let mut found: Vec<_> = found.map(|one| (one.position, one.column.as_deref(), &one.reason)).collect();
            found.sort();
            assert_eq!(found.len(), expected.len(), "{case}: {entity}");
            for ((position, column, reason), dirt) in found.into_iter().zip(&expected) {
                assert_eq!((position, column), (dirt.position, dirt.column), "{case}: {entity}");
                assert!(reason.contains(&dirt.says), "{case}: {entity} {position}: no {:?} in {reason:?}", dirt.says);
            }
        }
    }
}
