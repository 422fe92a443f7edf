//! Guards: what prepared rows are checked for before they are published, with limits that can be set for each entity.

use std::{fmt, str::FromStr};

use crate::{
    entity::{Entity, Relation},
    report::{Guard, GuardReport, StepReport},
    text,
};

/// Limits of one entity.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Limits {
    /// Whether it may become empty.
    empty: bool,
    /// The largest share of its rows that it may lose; `None` for any.
    shrink: Option<f64>,
    /// The largest share of its records that may be quarantined; `None` for any.
    quarantine: Option<f64>,
    /// How many more of its references may lead nowhere than do now; `None` for any number.
    dangling: Option<u64>,
}

impl Limits {
    const DEFAULT: Self = Self { empty: false, shrink: Some(0.5), quarantine: Some(0.05), dangling: Some(0) };
}

/// The limits of all entities.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardLimits([Limits; Entity::ALL.len()]);

impl Default for GuardLimits {
    /// Nothing becomes empty, at most half of the rows go, at most 5 % of the records are quarantined, no reference dangles
    /// that does not now.
    fn default() -> Self {
        Self([Limits::DEFAULT; Entity::ALL.len()])
    }
}

impl GuardLimits {
    /// The defaults, changed by `settings` in their order, those of single entities last.
    #[must_use]
    pub fn with(settings: &[GuardSetting]) -> Self {
        let mut all = Self::default();
        let (general, special): (Vec<&GuardSetting>, Vec<_>) =
            settings.iter().partition(|setting| setting.entity.is_none());
        for setting in general.into_iter().chain(special) {
            for entity in Entity::ALL {
                if setting.entity.is_none_or(|only| only == entity) {
                    setting.limit.apply(&mut all.0[entity.index()]);
                }
            }
        }
        all
    }

    /// Checks the prepared rows of one entity against its live ones, of which there must have been a publish.
    #[must_use]
    pub fn check_rows(&self, step: &StepReport) -> Vec<GuardReport> {
        let limits = &self.0[step.entity.index()];
        let (before, rows) = (step.rows_before, step.rows);
        let mut tripped = Vec::new();
        let mut trip = |guard, limit, value, message| {
            tripped.push(GuardReport {
                guard,
                entity: step.entity,
                column: None,
                limit,
                value,
                message,
                accepted: false,
            });
        };
        if rows == 0 && before > 0 && !limits.empty {
            // How large a share is lost needs no second finding.
            let rows = text::count(before, "row", "rows");
            trip(Guard::Empty, 0.0, count(before), format!("had {rows} and would have none"));
        } else if let Some(limit) = limits.shrink
            && rows < before
        {
            let lost = share(before - rows, before);
            if lost > limit {
                let (now, then) = (text::thousands(rows), text::count(before, "row", "rows"));
                let message =
                    format!("{now} of {then} would be left, {} fewer (limit {})", percent(lost), percent(limit));
                trip(Guard::Shrink, limit, lost, message);
            }
        }
        if let Some(limit) = limits.quarantine
            && step.quarantined > 0
        {
            let bad = share(step.quarantined, step.records);
            if bad > limit {
                let (bad_count, records) =
                    (text::thousands(step.quarantined), text::count(step.records, "record", "records"));
                let message =
                    format!("{bad_count} of {records} quarantined, {} (limit {})", percent(bad), percent(limit));
                trip(Guard::Quarantine, limit, bad, message);
            }
        }
        tripped
    }

    /// Whether `entity` may become empty without anybody's word.
    #[must_use]
    pub fn may_become_empty(&self, entity: Entity) -> bool {
        self.0[entity.index()].empty
    }

    /// How many references of `entity` may lead nowhere when `before` do now; `None` for any number.
    #[must_use]
    pub fn dangling_limit(&self, entity: Entity, before: u64) -> Option<u64> {
        self.0[entity.index()].dangling.map(|more| before.saturating_add(more))
    }

    /// Checks one relation of `entity`, of whose references `before` lead nowhere now and `after` would.
    #[must_use]
    pub fn check_relation(&self, entity: Entity, relation: &Relation, before: u64, after: u64) -> Option<GuardReport> {
        let limit = self.dangling_limit(entity, before)?;
        (after > limit).then(|| GuardReport {
            guard: Guard::Dangling,
            entity,
            column: Some(relation.column.to_owned()),
            limit: count(limit),
            value: count(after),
            message: format!(
                "{} by {} would lead to no row of {} (now {}, limit {})",
                text::count(after, "reference", "references"),
                relation.column,
                relation.target,
                text::thousands(before),
                text::thousands(limit)
            ),
            accepted: false,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people; exact up to 2^53")]
fn count(number: u64) -> f64 {
    number as f64
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { count(part) / count(whole) }
}

/// A share as a percentage with at most one decimal place.
fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).round() / 10.0;
    format!("{tenths} %")
}

/// One setting of a limit: `GUARD=LIMIT` for all entities, `ENTITY.GUARD=LIMIT` for one.
///
/// LIMIT is `off`, or for `shrink` and `quarantine` a share (`0.8` or `80%`), for `dangling` a number of references, for
/// `empty` also `on`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuardSetting {
    entity: Option<Entity>,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    Empty(bool),
    Shrink(Option<f64>),
    Quarantine(Option<f64>),
    Dangling(Option<u64>),
}

impl Limit {
    fn apply(self, limits: &mut Limits) {
        match self {
            Self::Empty(allowed) => limits.empty = allowed,
            Self::Shrink(limit) => limits.shrink = limit,
            Self::Quarantine(limit) => limits.quarantine = limit,
            Self::Dangling(limit) => limits.dangling = limit,
        }
    }
}

/// A guard's setting or acceptance that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadGuard(String);

const NAMES: &str = "the guards are: empty, shrink, quarantine, dangling";

fn named(given: &str) -> Result<(Option<Entity>, Guard), BadGuard> {
    let (entity, guard) = match given.split_once('.') {
        Some((entity, guard)) => (Some(entity.parse().map_err(|error| BadGuard(format!("{error}")))?), guard),
        None => (None, given),
    };
    let guard = Guard::from_word(guard).ok_or_else(|| BadGuard(format!("`{guard}` is not a guard; {NAMES}")))?;
    Ok((entity, guard))
}

fn share_of(given: &str) -> Option<f64> {
    let number = match given.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().ok()? / 100.0,
        None => given.parse().ok()?,
    };
    (0.0..=1.0).contains(&number).then_some(number)
}

impl FromStr for GuardSetting {
    type Err = BadGuard;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let (name, value) = given
            .split_once('=')
            .ok_or_else(|| BadGuard(format!("`{given}` sets no limit; write it as shrink=0.8")))?;
        let (entity, guard) = named(name.trim())?;
        let value = value.trim();
        let off = value == "off";
        let wanted = |what: &str| BadGuard(format!("`{value}` is not {what}"));
        let a_share = || wanted("a share from 0 to 1, a percentage or `off`");
        let limit = match guard {
            Guard::Empty if off || value == "on" => Limit::Empty(off),
            Guard::Empty => return Err(wanted("`on` or `off`")),
            Guard::Shrink | Guard::Quarantine if !off && share_of(value).is_none() => return Err(a_share()),
            Guard::Shrink => Limit::Shrink(share_of(value)),
            Guard::Quarantine => Limit::Quarantine(share_of(value)),
            Guard::Dangling if off => Limit::Dangling(None),
            Guard::Dangling => {
                Limit::Dangling(Some(value.parse().map_err(|_| wanted("a number of references or `off`"))?))
            }
        };
        Ok(Self { entity, limit })
    }
}

/// What an operator accepts in advance or in answer: `all`, `GUARD` for all entities, or `ENTITY.GUARD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// Whatever trips.
    All,
    /// One guard, of one entity or of all.
    Guard(Option<Entity>, Guard),
}

impl Acceptance {
    /// Whether it is about this finding.
    #[must_use]
    pub fn covers(self, finding: &GuardReport) -> bool {
        match self {
            Self::All => true,
            Self::Guard(entity, guard) => guard == finding.guard && entity.is_none_or(|only| only == finding.entity),
        }
    }

    /// Exactly what is needed for `finding`.
    #[must_use]
    pub fn of(finding: &GuardReport) -> Self {
        Self::Guard(Some(finding.entity), finding.guard)
    }
}

impl FromStr for Acceptance {
    type Err = BadGuard;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        if given == "all" {
            return Ok(Self::All);
        }
        let (entity, guard) = named(given).map_err(|BadGuard(error)| BadGuard(format!("{error}; or say `all`")))?;
        Ok(Self::Guard(entity, guard))
    }
}

impl fmt::Display for Acceptance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str("all"),
            Self::Guard(None, guard) => write!(formatter, "{guard}"),
            Self::Guard(Some(entity), guard) => write!(formatter, "{entity}.{guard}"),
        }
    }
}

/// One line for logs and lists.
impl fmt::Display for GuardReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = if self.accepted { " (accepted)" } else { "" };
        write!(formatter, "{} guard, {}: {}{accepted}", self.guard, self.entity, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rows_before: u64, records: u64, quarantined: u64) -> StepReport {
        let mut step = StepReport::new(Entity::Boards);
        (step.rows_before, step.records, step.quarantined) = (rows_before, records, quarantined);
        step.rows = records - quarantined;
        step
    }

    fn tripped(limits: &GuardLimits, step: &StepReport) -> Vec<Guard> {
        limits.check_rows(step).iter().map(|finding| finding.guard).collect()
    }

    fn limits(settings: &[&str]) -> GuardLimits {
        let settings: Vec<_> = settings.iter().map(|setting| setting.parse().unwrap()).collect();
        GuardLimits::with(&settings)
    }

    #[test]
    fn the_defaults_trip_beyond_their_limits_only() {
        let defaults = GuardLimits::default();
        for (rows_before, records, quarantined, expected) in [
            (100, 50, 0, &[][..]),
            (100, 49, 0, &[Guard::Shrink]),
            (100, 0, 0, &[Guard::Empty]),
            (0, 0, 0, &[]),
            (1, 0, 0, &[Guard::Empty]),
            (100, 100, 5, &[]),
            (100, 100, 6, &[Guard::Quarantine]),
            (100, 100, 100, &[Guard::Empty, Guard::Quarantine]),
            (0, 10, 10, &[Guard::Quarantine]),
            (100, 50, 10, &[Guard::Shrink, Guard::Quarantine]),
        ] {
            assert_eq!(
                tripped(&defaults, &step(rows_before, records, quarantined)),
                expected,
                "{rows_before} {records}"
            );
        }
    }

    #[test]
    fn findings_carry_their_figures() {
        let found = GuardLimits::default().check_rows(&step(1240, 100, 0));
        let finding = &found[0];
        assert!((finding.limit - 0.5).abs() < 1e-9 && (finding.value - 1140.0 / 1240.0).abs() < 1e-9);
        assert_eq!(
            finding.to_string(),
            "shrink guard, boards: 100 of 1,240 rows would be left, 91.9 % fewer (limit 50 %)"
        );
        let relation = &Entity::BoardsTalents.table().relations[0];
        let finding = GuardLimits::default().check_relation(Entity::BoardsTalents, relation, 2, 5).unwrap();
        assert_eq!(finding.message, "5 references by boardId would lead to no row of boards (now 2, limit 2)");
        assert!(GuardLimits::default().check_relation(Entity::BoardsTalents, relation, 2, 2).is_none());
    }

    #[test]
    fn limits_are_set_for_one_or_all() {
        let one = limits(&["boards.shrink=0.95", "boards.empty=off"]);
        assert!(tripped(&one, &step(100, 6, 0)).is_empty());
        assert_eq!(tripped(&one, &step(100, 0, 0)), [Guard::Shrink], "all of it is a share, too");
        assert!(tripped(&limits(&["empty=off", "shrink=off"]), &step(100, 0, 0)).is_empty());
        let other = StepReport { entity: Entity::Talents, ..step(100, 6, 0) };
        assert_eq!(tripped(&one, &other), [Guard::Shrink]);
        let all = limits(&["shrink=off", "quarantine=80%", "dangling=3", "boards.dangling=off"]);
        assert!(tripped(&all, &step(1000, 100, 79)).is_empty());
        assert_eq!(all.dangling_limit(Entity::Talents, 2), Some(5));
        assert_eq!(all.dangling_limit(Entity::Boards, 2), None);
        assert_eq!(limits(&["empty=off", "empty=on"]), GuardLimits::default(), "the last one counts");
        let special_first = limits(&["boards.shrink=0.95", "shrink=0.1"]);
        assert!(tripped(&special_first, &step(100, 6, 0)).is_empty(), "what is said of one entity stays");
    }

    #[test]
    fn bad_settings_say_what_is_wrong() {
        for (bad, why) in [
            ("shrink", "sets no limit"),
            ("shrunk=1", "`shrunk` is not a guard; the guards are: empty, shrink"),
            ("people.shrink=1", "`people` is not an entity"),
            ("shrink=2", "`2` is not a share"),
            ("shrink=NaN", "`NaN` is not a share"),
            ("quarantine=-5%", "`-5%` is not a share"),
            ("empty=0", "`0` is not `on` or `off`"),
            ("dangling=0.5", "`0.5` is not a number of references"),
        ] {
            let error = bad.parse::<GuardSetting>().unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
        assert!("everything".parse::<Acceptance>().unwrap_err().to_string().contains("or say `all`"));
    }

    #[test]
    fn acceptances_cover_what_they_name() {
        let finding = &GuardLimits::default().check_rows(&step(100, 0, 0))[0];
        for (given, covers) in
            [("all", true), ("empty", true), ("boards.empty", true), ("talents.empty", false), ("shrink", false)]
        {
            let acceptance: Acceptance = given.parse().unwrap();
            assert_eq!(acceptance.covers(finding), covers, "{given}");
            assert_eq!(acceptance.to_string(), given);
        }
        assert_eq!(Acceptance::of(finding).to_string(), "boards.empty");
    }
}
