//! What goes wrong at the named points without the process dying of it: the program has to end by itself, and to tell.

use std::{collections::BTreeMap, time::Instant};

use greenroom::failpoint::Failpoint;
use serde_json::Value as Json;

use super::{
    kinds::Kind,
    place::Ended,
    points::{Case, Side, cases, happen, share},
    state::{Look, reader},
};
use crate::support::query;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// The database file cannot grow any more.
    Full,
    /// Nothing can be written any more.
    ReadOnly,
    /// The thread panics.
    Panic,
}

impl Fault {
    const ALL: [Self; 3] = [Self::Full, Self::ReadOnly, Self::Panic];

    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "readonly",
            Self::Panic => "panic",
        }
    }

    /// What is live in the end. Where all is written, a commit needs no more room and asks for no permission.
    fn side(self, case: Case) -> Side {
        match (self, case.point, case.time) {
            (Self::Full | Self::ReadOnly, Failpoint::PublishWritten | Failpoint::RollbackWritten, _)
            | (Self::Full, Failpoint::PublishSwitched, 10) => Side::After,
            // It goes through at the second try, with the space that is set aside for it.
            (Self::Full, ..) if case.kind == Kind::Rollback => Side::After,
            _ => case.side,
        }
    }

    /// Whether nothing is left to be done that it could keep from being done. Once a run has published, what it clears away
    /// makes the room for the record of its end.
    fn spares(self, case: Case) -> bool {
        match self {
            Self::Full => self.side(case) == Side::After,
            Self::ReadOnly => matches!(
                case.point,
                Failpoint::EndWritten
                    | Failpoint::EndCommitted
                    | Failpoint::EndCheckpointed
                    | Failpoint::RollbackWritten
                    | Failpoint::RollbackCommitted
            ),
            Self::Panic => false,
        }
    }

    /// What the operator reads: what happened, and what to do.
    fn words(self, point: Failpoint) -> [String; 2] {
        match self {
            Self::Full => ["the disk is full while ".to_owned(), "Free some space".to_owned()],
            Self::ReadOnly => ["the database is read-only while ".to_owned(), "check the permissions".to_owned()],
            Self::Panic => [format!("failpoint {point}"), "`greenroom status` shows what is live".to_owned()],
        }
    }
}

/// Checks what was told and recorded.
fn judge(case: Case, fault: Fault, ended: &Ended, after: &Look, recorded: &[Option<String>; 2]) {
    let Case { point, kind, .. } = case;
    let what = format!("{point}@{}={} of {kind}: {recorded:?}, {ended:?}", case.time, fault.name());
    let told = format!("{}\n{}", ended.stdout.join("\n"), ended.stderr);
    let report = ended.json();
    if fault.spares(case) {
        assert_eq!(ended.status.code(), Some(0), "{what}");
        assert!(report["run"]["error"].is_null() && report["error"].is_null(), "{what}");
        return;
    }
    assert_eq!(ended.status.code(), Some(1), "{what}");
    for words in fault.words(point) {
        assert!(ended.stderr.contains(&words), "no `{words}` in {what}");
    }
    let [outcome, error] = recorded;
    if fault.side(case) == Side::After {
        assert!(!told.contains("nothing was switched"), "not true: {what}");
        if kind == Kind::Sync {
            assert_eq!(report["run"]["outcome"], "published", "{what}");
            assert_eq!(outcome.as_deref(), Some("published"), "{what}");
        }
        return;
    }
    if kind != Kind::Sync {
        return;
    }
    let has_begun = !matches!(report["run"]["id"], Json::Null);
    assert!(!has_begun || report["run"]["outcome"] == "failed", "{what}");
    // A database that cannot be written at all takes no record either; the next run makes up for it.
    let is_recorded = has_begun && !after.unfinished.contains(&after.run);
    if is_recorded {
        assert_eq!(outcome.as_deref(), Some("failed"), "{what}");
        assert!(error.as_ref().is_some_and(|error| error.contains(&fault.words(point)[0])), "{what}");
    } else if has_begun {
        assert!(fault != Fault::Panic, "not recorded: {what}");
        assert!(ended.stderr.contains("the end of the run could not be recorded"), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_at_any_named_point_is_told_and_leaves_what_was_or_what_was_to_be() {
    let begun = Instant::now();
    let mut faulty = Vec::new();
    for case in cases().into_iter().filter(|case| matches!(case.kind, Kind::Sync | Kind::Rollback)) {
        let is_last_switch = case.time == 10 && case.point == Failpoint::PublishSwitched;
        // One time each; at the last switch a full disk is another matter.
        if case.is_midway {
            faulty.extend(Fault::ALL.map(|fault| (case, fault)));
        } else if is_last_switch {
            faulty.push((case, Fault::Full));
        }
    }
    let outcomes = share(&faulty, |site, (case, fault)| {
        let (case, fault) = (*case, *fault);
        let (path, _, ended, outcome) = happen(site, case, fault.name());
        let recorded = format!("SELECT outcome, error FROM sync_runs WHERE id = {}", outcome.after.run);
        let recorded = query(&reader(&path), &recorded).swap_remove(0).into_iter().map(|value| match value {
            rusqlite::types::Value::Text(text) => Some(text),
            _ => None,
        });
        let recorded: [Option<String>; 2] = recorded.collect::<Vec<_>>().try_into().unwrap();
        judge(case, fault, &ended, &outcome.after, &recorded);
        assert_eq!(outcome.is_done, fault.side(case) == Side::After, "{case:?} {fault:?}: {ended:?}");
        site.loosen();
        site.recover(&path, std::slice::from_ref(&outcome.after));
        (fault, fault.spares(case), outcome.after.unfinished.is_empty())
    });
    let mut counts: BTreeMap<Fault, [usize; 3]> = BTreeMap::new();
    for (fault, is_spared, is_recorded) in outcomes {
        let count = counts.entry(fault).or_default();
        count[0] += 1;
        count[1] += usize::from(is_spared);
        count[2] += usize::from(!is_recorded);
    }
    for (fault, [all, spared, unrecorded]) in &counts {
        println!("{:10} {all:3}, {spared} did no harm, {unrecorded} without a record", fault.name());
        assert!(all - spared >= 20, "{fault:?} did no harm");
    }
    println!("{} faults, {:.1?}", faulty.len(), begun.elapsed());
}
