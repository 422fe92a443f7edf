//! What must hold for any JSON, tried with thousands of bodies: nothing panics, no record is lost, and rows depend on
//! nothing but the records they come from.
//!
//! The cases are the same in every run. `GREENROOM_PROPERTY_CASES` is how many there are of each property, if it is more
//! than [`CASES`]; whole runs take one case for [`PER_RUN`] of them.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use greenroom::{
    blue::{BodyReader, BodySummary, Envelope, reader::MAX_DEPTH},
    entity::{Endpoint, Entity, Value},
    report::{DiffCounts, RunOutcome},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, RngAlgorithm, RngSeed, TestRunner},
};
use rusqlite::types::Value as Stored;
use serde_json::value::RawValue;

use crate::{
    any_body::{Element, any_body, any_bytes, any_json, body, wrapped},
    data::{Data, Row},
    outcome::{Outcome, sorted},
    support::{Ran, Rig, query},
};

/// Cases of each property, unless the environment asks for more.
const CASES: u32 = 2_000;

/// Cases of other properties for one of whole runs.
const PER_RUN: u32 = 330;

/// Where the random numbers begin.
const SEED: u64 = 2_024;

const ENVELOPES: [Envelope; 3] = [Envelope::Data, Envelope::Key, Envelope::Array];

fn cases() -> u32 {
    std::env::var("GREENROOM_PROPERTY_CASES").map_or(CASES, |cases| cases.parse().unwrap()).max(CASES)
}

/// Tries `property` with so many values, and fails with the smallest found that it does not hold for.
fn hold<S: Strategy>(cases: u32, values: &S, property: impl Fn(S::Value)) {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: cases.saturating_mul(8),
        // The quicker one; nothing here needs good random numbers.
        rng_algorithm: RngAlgorithm::XorShift,
        rng_seed: RngSeed::Fixed(SEED),
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(values, |value| {
        property(value);
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
}

/// Counts over all cases, to show that they reached what they are for.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    records: u64,
    rows: u64,
    duplicates: u64,
    quarantined: u64,
    notes: u64,
}

#[derive(Debug, Default)]
struct Tallies(RefCell<BTreeMap<Entity, Tally>>);

impl Tallies {
    fn add(&self, endpoint: Endpoint, outcome: &Outcome) {
        for entity in endpoint.entities() {
            let (kept, duplicates) = outcome.kept(*entity);
            let mut tallies = self.0.borrow_mut();
            let tally = tallies.entry(*entity).or_default();
            tally.records += outcome.records[entity];
            tally.rows += kept.len() as u64;
            tally.duplicates += duplicates;
            tally.quarantined += outcome.quarantined(*entity).count() as u64;
            tally.notes += outcome.notes(*entity).count() as u64;
        }
    }

    /// Asserts that of each entity many records became rows, and enough of them every other thing that can become of them.
    fn assert_reached(self) {
        let tallies = self.0.into_inner();
        assert_eq!(tallies.len(), Entity::ALL.len());
        for (entity, tally) in &tallies {
            let Tally { records, rows, duplicates, quarantined, .. } = *tally;
            assert_eq!(records, rows + duplicates + quarantined, "{entity}");
            let enough = rows * 4 > records && duplicates > 0 && quarantined * 20 > records;
            assert!(records > 40 && enough, "{entity}: {tally:?}");
        }
        let noted = tallies.values().filter(|tally| tally.notes > 0).count();
        assert!(noted > 5, "{tallies:?}");
    }
}

fn texts(elements: &[Element]) -> Vec<String> {
    elements.iter().map(Element::text).collect()
}

/// The elements, and within each its items, in another order, each element with the place where it was.
///
/// The items of an element that is nested too deeply stay: it is one text as a record, and its reason begins with it.
fn mix(elements: &[Element], seed: u64) -> (Vec<Element>, Vec<usize>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut mixed: Vec<_> = elements.iter().cloned().zip(0..).collect();
    random.shuffle(&mut mixed);
    for (element, _) in &mut mixed {
        let deep = may_be_deep(&element.text());
        if let (Element::Owner(_, items, _), false) = (element, deep) {
            random.shuffle(items);
        }
    }
    mixed.into_iter().unzip()
}

/// Reads a body that comes in these pieces: its elements until the end or the first thing wrong with it.
///
/// What is wrong is cut before the beginning of the body that it is told with: of that, no more can be told than was there.
fn read<'a>(
    endpoint: Endpoint,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<String>, Result<BodySummary, String>) {
    let mut reader = BodyReader::new(endpoint);
    let mut elements = Vec::new();
    let pushed =
        pieces.into_iter().try_for_each(|piece| reader.push(piece, |element| elements.push(element.to_owned())));
    assert_eq!(reader.records(), elements.len() as u64);
    let summary = pushed.and_then(|()| reader.finish());
    let summary = summary.map_err(|error| match error.found.split_once(", which begins ") {
        Some((found, _)) => found.to_owned(),
        None => error.found,
    });
    (elements, summary)
}

/// Whether an element was handed out as it is in the body, or as a text where it is nested too deeply.
fn is_same(handed: &str, sent: &str) -> bool {
    handed == sent || may_be_deep(sent) && serde_json::from_str::<String>(handed).is_ok_and(|text| text == sent)
}

/// Whether there are brackets enough in an element for more levels than are staged.
fn may_be_deep(element: &str) -> bool {
    element.matches(['[', '{']).count() > MAX_DEPTH
}

/// The elements of the list in `bytes` as `serde_json` finds them, if it is one of the envelopes.
fn list_in(endpoint: Endpoint, bytes: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let list: Vec<Box<RawValue>> = if text.trim_start().starts_with('{') {
        let mut lists: BTreeMap<String, _> = serde_json::from_str(text).ok()?;
        let (key, list) = lists.pop_first()?;
        (lists.is_empty() && (key == "data" || key == endpoint.key())).then_some(list)?
    } else {
        serde_json::from_str(text).ok()?
    };
    Some(list.iter().map(|element| element.get().to_owned()).collect())
}

#[test]
fn any_value_at_any_endpoint_is_a_row_or_in_quarantine() {
    let values = (select(&Endpoint::ALL[..]), prop_oneof![8 => any_json(), 1 => any::<String>()]);
    let opened = Cell::new(0);
    hold(cases(), &values, |(endpoint, value)| {
        let outcome = Outcome::of(endpoint, &[&value], false);
        outcome.check(endpoint, &[&value]);
        let mut reasons = endpoint.entities().iter().flat_map(|entity| outcome.quarantined(*entity));
        opened.set(opened.get() + u32::from(reasons.any(|record| !record.reason.contains("expected an object"))));
    });
    assert!(opened.get() * 10 > cases(), "of {} values the fields were read", opened.get());
}

#[test]
fn each_record_of_a_body_is_a_row_or_in_quarantine() {
    let tallies = Tallies::default();
    hold(cases(), &any_body(4), |(endpoint, elements)| {
        for element in &elements {
            let text = [element.text()];
            let outcome = Outcome::of(endpoint, &text, false);
            for entity in endpoint.entities() {
                let records = outcome.records[entity];
                let rejected = outcome.quarantined(*entity).any(|record| record.position.item.is_none());
                match element {
                    Element::Owner(_, items, _) if !rejected => assert_eq!(records, items.len() as u64, "{entity}"),
                    Element::Owner(..) => assert_eq!(records, 1, "{entity}"),
                    Element::Whole(_) if matches!(entity, Entity::Talents | Entity::Boards) => assert_eq!(records, 1),
                    Element::Whole(_) if *entity == Entity::TalentsMeasurements => assert!(records <= 1),
                    Element::Whole(_) => {}
                }
            }
        }
        let all = texts(&elements);
        let outcome = Outcome::of(endpoint, &all, false);
        outcome.check(endpoint, &all);
        tallies.add(endpoint, &outcome);
    });
    tallies.assert_reached();
}

#[test]
fn equal_bodies_become_equal_rows_in_any_envelope() {
    let tallies = Tallies::default();
    hold(cases(), &any_body(4), |(endpoint, elements)| {
        let all = texts(&elements);
        let outcomes = ENVELOPES.map(|envelope| {
            let body = wrapped(endpoint, envelope, &all);
            let (found, summary) = read(endpoint, [body.as_bytes()]);
            assert_eq!(summary.unwrap().envelope, envelope);
            assert!(found.len() == all.len() && found.iter().zip(&all).all(|(one, other)| is_same(one, other)));
            Outcome::of(endpoint, &found, envelope == Envelope::Key)
        });
        assert_eq!(outcomes[0], outcomes[1]);
        assert_eq!(outcomes[0], outcomes[2]);
        tallies.add(endpoint, &outcomes[0]);
    });
    tallies.assert_reached();
}

#[test]
fn the_order_of_records_does_not_change_what_becomes_of_them() {
    let tallies = Tallies::default();
    hold(cases(), &(any_body(4), any::<u64>()), |((endpoint, elements), seed)| {
        let (mixed, origins) = mix(&elements, seed);
        let outcome = Outcome::of(endpoint, &texts(&elements), false);
        let other = Outcome::of(endpoint, &texts(&mixed), false);
        for entity in endpoint.entities() {
            // Before the load there are no duplicates yet, so nothing may differ, whatever keys they have.
            assert_eq!(sorted(outcome.rows(*entity)), sorted(other.rows(*entity)), "{entity}");
        }
        assert_eq!(outcome.dirt(|record| record), other.dirt(|record| origins[record]));
        tallies.add(endpoint, &outcome);
    });
    tallies.assert_reached();
}

#[test]
fn a_body_reads_the_same_in_any_pieces() {
    let (whole, broken) = (Cell::new(0), Cell::new(0));
    let values = (any_bytes(), vec(any::<Index>(), 0..6));
    hold(cases(), &values, |((endpoint, bytes), cuts)| {
        let read_whole = read(endpoint, [bytes.as_slice()]);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]);
        assert_eq!(read(endpoint, pieces), read_whole);
        assert_eq!(read(endpoint, bytes.chunks(1)), read_whole);
        let (elements, summary) = read_whole;
        let expected = list_in(endpoint, &bytes);
        assert_eq!(summary.is_ok(), expected.is_some(), "{summary:?}");
        let count = if let (Ok(summary), Some(expected)) = (summary, expected) {
            assert_eq!((summary.bytes, summary.records), (bytes.len() as u64, expected.len() as u64));
            assert_eq!(elements.len(), expected.len());
            assert!(elements.iter().zip(&expected).all(|(one, other)| is_same(one, other)), "{elements:?}");
            &whole
        } else {
            &broken
        };
        count.set(count.get() + 1);
    });
    let (whole, broken) = (whole.get(), broken.get());
    assert!(whole.min(broken) * 5 > whole + broken, "{whole} bodies were whole, {broken} were not");
}

/// The rows of a view as SQLite has them.
fn view(rig: &Rig, entity: Entity) -> Vec<Row> {
    query(&rig.reader(), &format!("SELECT * FROM {entity}_current"))
}

fn stored(rows: Vec<Vec<Value>>) -> Vec<Row> {
    let stored = |value| match value {
        Value::Null => Stored::Null,
        Value::Integer(number) => Stored::Integer(number),
        Value::Real(number) => Stored::Real(number),
        Value::Text(text) => Stored::Text(text),
    };
    rows.into_iter().map(|row| row.into_iter().map(stored).collect()).collect()
}

/// Sends all these bodies, has them loaded, and asserts that what the run tells of them and what SQLite holds is what the
/// mapping says.
async fn load(rig: &Rig, envelope: Envelope, bodies: &[Vec<Element>]) -> (Ran, Vec<Outcome>) {
    let mut outcomes = Vec::new();
    for (endpoint, elements) in Endpoint::ALL.into_iter().zip(bodies) {
        let body = wrapped(endpoint, envelope, &texts(elements));
        let (staged, _) = read(endpoint, [body.as_bytes()]);
        outcomes.push(Outcome::of(endpoint, &staged, false));
        rig.blue.send_body(endpoint, body);
    }
    let ran = rig.sync_with(true).await;
    assert_eq!(ran.outcome(), RunOutcome::Published, "{:?}", ran.report.run.error);
    let told = rig.operations.run(ran.report.run.id).await.unwrap().quarantine;
    for entity in Entity::ALL {
        let (step, outcome) = (ran.step(entity), &outcomes[entity.endpoint().index()]);
        let (kept, duplicates) = outcome.kept(entity);
        let live = rig.number(&format!("SELECT count(*) FROM {entity}_current"));
        assert_eq!(step.rows, u64::try_from(live).unwrap(), "{entity}");
        assert_eq!(step.records, step.rows + step.duplicates + step.quarantined, "{entity}");
        assert_eq!((step.records, step.duplicates), (outcome.records[&entity], duplicates), "{entity}");
        assert_eq!(view(rig, entity), stored(kept), "{entity}");
        let (notes, records): (Vec<_>, Vec<_>) =
            told.iter().filter(|one| one.entity == entity).partition(|one| one.column.is_some());
        let records = records.into_iter().map(|one| (one.position, &one.reason, &one.record));
        let expected = outcome.quarantined(entity).map(|one| (one.position, &one.reason, &one.record));
        assert_eq!(sorted(records), sorted(expected), "{entity}");
        assert_eq!((step.quarantined, step.notes), (outcome.quarantined(entity).count() as u64, notes.len() as u64));
        assert_eq!(notes.len(), outcome.notes(entity).count(), "{entity}");
    }
    (ran, outcomes)
}

/// Loads bodies as they are, once more, in another envelope, and in another order.
///
/// Of records with one key the first stays, so another order may change the rows where there are duplicates, though never
/// their ids, unless the table has more than one key. Counts the entities compared without and with duplicates.
async fn whole_runs(bodies: &[Vec<Element>], seed: u64, tallies: &Tallies, compared: &[Cell<u32>; 2]) {
    let rig = Rig::new(&Data::small(1)).await;
    let (first, outcomes) = load(&rig, Envelope::Data, bodies).await;
    let views = rig.picture().views;
    for envelope in [Envelope::Data, if seed.is_multiple_of(2) { Envelope::Key } else { Envelope::Array }] {
        let (again, same) = load(&rig, envelope, bodies).await;
        assert_eq!(rig.picture().views, views, "{envelope:?}");
        assert_eq!(same, outcomes);
        assert!(again.report.entities.iter().all(|step| step.diff == Some(DiffCounts::default())));
    }
    let (mixed, origins): (Vec<_>, Vec<_>) = bodies.iter().map(|elements| mix(elements, seed)).unzip();
    let (last, others) = load(&rig, Envelope::Data, &mixed).await;
    for ((outcome, other), origins) in outcomes.iter().zip(&others).zip(origins) {
        assert_eq!(outcome.dirt(|record| record), other.dirt(|record| origins[record]));
    }
    let mixed_views = rig.picture().views;
    for entity in Entity::ALL {
        let (before, after) = (first.step(entity), last.step(entity));
        let (rows, mixed) = (&views[&entity].1, &mixed_views[&entity].1);
        let ids = |rows: &[Row]| sorted(rows.iter().map(|row| row[0].clone()));
        let table = entity.table();
        if before.duplicates == 0 {
            assert_eq!(after.duplicates, 0, "{entity}");
            assert_eq!(sorted(mixed), sorted(rows), "{entity}");
            assert_eq!(after.diff, Some(DiffCounts::default()), "{entity}");
        } else if !table.indexes.iter().any(|index| table.can_collide(index)) {
            assert_eq!(after.duplicates, before.duplicates, "{entity}");
            assert_eq!(ids(mixed), ids(rows), "{entity}");
        }
        let count = &compared[usize::from(before.duplicates > 0)];
        count.set(count.get() + u32::from(!rows.is_empty()));
    }
    for (endpoint, outcome) in Endpoint::ALL.into_iter().zip(&outcomes) {
        tallies.add(endpoint, outcome);
    }
}

#[test]
fn whole_runs_balance_and_repeat() {
    let tallies = Tallies::default();
    let compared = [Cell::new(0), Cell::new(0)];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let bodies: Vec<_> = Endpoint::ALL.into_iter().map(|endpoint| body(endpoint, 28)).collect();
    hold((cases() / PER_RUN).max(1), &(bodies, any::<u64>()), |(bodies, seed)| {
        runtime.block_on(whole_runs(&bodies, seed, &tallies, &compared));
    });
    tallies.assert_reached();
    let [without, with] = compared.map(Cell::into_inner);
    assert!(without > 10 && with > 10, "{without} entities without duplicates were mixed, {with} with some");
}
