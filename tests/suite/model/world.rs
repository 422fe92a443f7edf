//! What the source may send, and the rows that come of it.

use std::{collections::BTreeSet, sync::LazyLock};

use greenroom::{
    blue::Envelope,
    entity::{Endpoint, Entity},
};
use rusqlite::types::Value;

use crate::{
    contract::CONTRACTS,
    data::{Data, Row},
};

/// One of the bodies that an endpoint may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Body {
    /// Which data.
    pub(super) seed: u64,
    /// So many elements only; none in all for endpoints whose elements are lists.
    pub(super) only: Option<usize>,
    /// Told in other bytes.
    pub(super) revision: u64,
}

/// The data of a generation, made once.
fn whole(seed: u64) -> &'static Data {
    static GENERATIONS: LazyLock<Vec<Data>> = LazyLock::new(|| (0..3).map(Data::small).collect());
    &GENERATIONS[usize::try_from(seed).unwrap()]
}

impl Body {
    /// The bytes that `endpoint` sends.
    pub(super) fn bytes(self, endpoint: Endpoint) -> Vec<u8> {
        self.data(endpoint).body(endpoint, Envelope::Data)
    }

    /// Everything, in one of three generations.
    pub(super) const fn whole(seed: u64) -> Self {
        Self { seed, only: None, revision: 0 }
    }

    /// A random body of `endpoint`: mostly whole, now and then cut short or empty.
    pub(super) fn random(random: &mut fastrand::Rng, endpoint: Endpoint) -> Self {
        let cut = match random.u8(..20) {
            0 => Some(0),
            1 | 2 if matches!(endpoint, Endpoint::Talents | Endpoint::Boards) => Some(random.usize(1..3)),
            _ => None,
        };
        if cut == Some(0) {
            // There is one empty list only.
            return Self { seed: 0, only: cut, revision: 0 };
        }
        Self { seed: random.u64(0..3), only: cut, revision: random.u64(0..2) }
    }

    fn data(self, endpoint: Endpoint) -> Data {
        let data = whole(self.seed).clone();
        let data = if self.revision == 0 { data } else { data.revised(endpoint, self.revision) };
        match self.only {
            Some(count) => data.only(endpoint, count),
            None => data,
        }
    }

    /// The rows that it makes of `entity`.
    pub(super) fn rows(self, entity: Entity) -> Vec<Row> {
        let mut rows = whole(self.seed).rows(entity).to_vec();
        rows.truncate(self.only.unwrap_or(usize::MAX));
        rows
    }
}

/// The relations of the contract with the reading application: who refers by which column to which column of whom.
const RELATIONS: [(&str, &str, &str, &str); 11] = [
    ("boardstalents", "boardId", "boards", "id"),
    ("boardstalents", "talentId", "talents", "id"),
    ("boardsportfolios", "boardId", "boards", "id"),
    ("boardsportfolios", "portfolioId", "talentsportfolios", "id"),
    ("boardsportfolios", "talentId", "talents", "id"),
    ("talentsportfolios", "talentId", "talents", "id"),
    ("portfoliosmedia", "portfolioId", "talentsportfolios", "id"),
    ("mediatags_junction", "tagId", "mediatags", "id"),
    ("mediatags_junction", "mediaId", "portfoliosmedia", "mediaId"),
    ("talentsmeasurements", "talentId", "talents", "id"),
    ("talentssocials", "talentId", "talents", "id"),
];

fn place(entity: Entity, column: &str) -> usize {
    let contract = CONTRACTS.iter().find(|contract| contract.entity == entity.name()).unwrap();
    contract.columns().iter().position(|fact| fact.name == column).unwrap()
}

/// References that lead nowhere, counted for each relation, when `rows` tells the rows of each entity.
pub(super) fn dangling(rows: impl Fn(Entity) -> Vec<Row>) -> Vec<usize> {
    let count = |(from, column, to, target): (&str, &str, &str, &str)| {
        let (from, to): (Entity, Entity) = (from.parse().unwrap(), to.parse().unwrap());
        let (column, target) = (place(from, column), place(to, target));
        let text = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            other => panic!("{other:?} refers"),
        };
        let there: BTreeSet<String> = rows(to).iter().map(|row| text(&row[target])).collect();
        rows(from).iter().filter(|row| !there.contains(&text(&row[column]))).count()
    };
    RELATIONS.into_iter().map(count).collect()
}
