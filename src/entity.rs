//! What is mirrored: the ten entities, the nine endpoints that feed them, and how a record becomes rows.
//!
//! Each endpoint has one module below with its serde types, the columns, indexes and relations of its entities and the
//! mapping rule of its records, so adding a field is a change in one file.

mod boards;
mod boards_portfolios;
mod boards_talents;
pub mod field;
pub mod harvest;
mod media_tags;
mod names;
mod portfolios_media;
pub mod table;
mod talents;
mod talents_measurements;
mod talents_portfolios;
mod talents_socials;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use self::{
    harvest::{Harvest, Position},
    table::{Column, ColumnType, Index, OnDuplicate, Relation, Table, Value},
};

/// Number of the mapping rules in force; raised whenever the same record would become another row.
///
/// A live version made under an older number is loaded again although its source did not change.
pub const MAPPING_VERSION: i64 = 2;

/// One of the ten mirrored tables, in the order in which they depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entity {
    /// People of the agency.
    Talents,
    /// Boards that group talents.
    Boards,
    /// Distinct tags of media.
    MediaTags,
    /// Portfolios of talents.
    TalentsPortfolios,
    /// Media placed in portfolios.
    PortfoliosMedia,
    /// Measurements of talents, at most one row each.
    TalentsMeasurements,
    /// Social accounts of talents.
    TalentsSocials,
    /// Which talents are on which board.
    BoardsTalents,
    /// Which portfolios are on which board.
    BoardsPortfolios,
    /// Which tags are on which media.
    #[serde(rename = "mediatags_junction")]
    MediaTagsJunction,
}

impl Entity {
    /// All entities, independent ones first, junctions last.
    pub const ALL: [Self; 10] = [
        Self::Talents,
        Self::Boards,
        Self::MediaTags,
        Self::TalentsPortfolios,
        Self::PortfoliosMedia,
        Self::TalentsMeasurements,
        Self::TalentsSocials,
        Self::BoardsTalents,
        Self::BoardsPortfolios,
        Self::MediaTagsJunction,
    ];

    /// The name used in tables, in `sync_metadata`, on the command line and on screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Talents => "talents",
            Self::Boards => "boards",
            Self::MediaTags => "mediatags",
            Self::TalentsPortfolios => "talentsportfolios",
            Self::PortfoliosMedia => "portfoliosmedia",
            Self::TalentsMeasurements => "talentsmeasurements",
            Self::TalentsSocials => "talentssocials",
            Self::BoardsTalents => "boardstalents",
            Self::BoardsPortfolios => "boardsportfolios",
            Self::MediaTagsJunction => "mediatags_junction",
        }
    }

    /// The endpoint whose records become this entity's rows.
    #[must_use]
    pub const fn endpoint(self) -> Endpoint {
        match self {
            Self::Talents => Endpoint::Talents,
            Self::Boards => Endpoint::Boards,
            Self::MediaTags | Self::MediaTagsJunction => Endpoint::MediaTags,
            Self::TalentsPortfolios => Endpoint::TalentsPortfolios,
            Self::PortfoliosMedia => Endpoint::PortfoliosMedia,
            Self::TalentsMeasurements => Endpoint::TalentsMeasurements,
            Self::TalentsSocials => Endpoint::TalentsSocials,
            Self::BoardsTalents => Endpoint::BoardsTalents,
            Self::BoardsPortfolios => Endpoint::BoardsPortfolios,
        }
    }

    /// Columns, indexes and relations of this entity's tables.
    #[must_use]
    pub const fn table(self) -> &'static Table {
        match self {
            Self::Talents => &talents::TABLE,
            Self::Boards => &boards::TABLE,
            Self::MediaTags => &media_tags::TAGS,
            Self::TalentsPortfolios => &talents_portfolios::TABLE,
            Self::PortfoliosMedia => &portfolios_media::TABLE,
            Self::TalentsMeasurements => &talents_measurements::TABLE,
            Self::TalentsSocials => &talents_socials::TABLE,
            Self::BoardsTalents => &boards_talents::TABLE,
            Self::BoardsPortfolios => &boards_portfolios::TABLE,
            Self::MediaTagsJunction => &media_tags::JUNCTION,
        }
    }

    /// Position in [`Entity::ALL`], for arrays with one place an entity.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A name that is neither an entity nor an endpoint.
#[derive(Debug, thiserror::Error)]
#[error("`{given}` is not {wanted}; the names are: {names}")]
pub struct UnknownName {
    given: String,
    wanted: &'static str,
    names: String,
}

fn find_name<T: Copy>(
    all: &[T],
    given: &str,
    wanted: &'static str,
    name: impl Fn(T) -> &'static str,
) -> Result<T, UnknownName> {
    all.iter().copied().find(|one| name(*one).eq_ignore_ascii_case(given)).ok_or_else(|| UnknownName {
        given: given.to_owned(),
        wanted,
        names: all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", "),
    })
}

impl FromStr for Entity {
    type Err = UnknownName;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        find_name(&Self::ALL, given, "an entity", Self::name)
    }
}

/// One of Blue's nine addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Endpoint {
    /// `/api/v1/public/talents`
    Talents,
    /// `/api/v1/public/boards`
    Boards,
    /// `/api/v1/public/portfolios/media/tags`, which feeds two entities.
    MediaTags,
    /// `/api/v1/public/talents/portfolios`
    TalentsPortfolios,
    /// `/api/v1/public/portfolios/media`
    PortfoliosMedia,
    /// `/api/v1/public/talents/measurements`
    TalentsMeasurements,
    /// `/api/v1/public/talents/socials`
    TalentsSocials,
    /// `/api/v1/public/boards/talents`
    BoardsTalents,
    /// `/api/v1/public/boards/portfolios`
    BoardsPortfolios,
}

impl Endpoint {
    /// All endpoints, in the order of the entities that they feed.
    pub const ALL: [Self; 9] = [
        Self::Talents,
        Self::Boards,
        Self::MediaTags,
        Self::TalentsPortfolios,
        Self::PortfoliosMedia,
        Self::TalentsMeasurements,
        Self::TalentsSocials,
        Self::BoardsTalents,
        Self::BoardsPortfolios,
    ];

    /// Blue's key of the endpoint, also the key of its third envelope form.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Talents => "talents",
            Self::Boards => "boards",
            Self::MediaTags => "mediaTags",
            Self::TalentsPortfolios => "talentsPortfolios",
            Self::PortfoliosMedia => "portfoliosMedia",
            Self::TalentsMeasurements => "talentsMeasurements",
            Self::TalentsSocials => "talentsSocials",
            Self::BoardsTalents => "boardsTalents",
            Self::BoardsPortfolios => "boardsPortfolios",
        }
    }

    /// Path below the source's base address.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Talents => "/api/v1/public/talents",
            Self::Boards => "/api/v1/public/boards",
            Self::MediaTags => "/api/v1/public/portfolios/media/tags",
            Self::TalentsPortfolios => "/api/v1/public/talents/portfolios",
            Self::PortfoliosMedia => "/api/v1/public/portfolios/media",
            Self::TalentsMeasurements => "/api/v1/public/talents/measurements",
            Self::TalentsSocials => "/api/v1/public/talents/socials",
            Self::BoardsTalents => "/api/v1/public/boards/talents",
            Self::BoardsPortfolios => "/api/v1/public/boards/portfolios",
        }
    }

    /// The entities that this endpoint feeds, the first of which names its `{entity}_json` table.
    #[must_use]
    pub const fn entities(self) -> &'static [Entity] {
        match self {
            Self::Talents => &[Entity::Talents],
            Self::Boards => &[Entity::Boards],
            Self::MediaTags => &[Entity::MediaTags, Entity::MediaTagsJunction],
            Self::TalentsPortfolios => &[Entity::TalentsPortfolios],
            Self::PortfoliosMedia => &[Entity::PortfoliosMedia],
            Self::TalentsMeasurements => &[Entity::TalentsMeasurements],
            Self::TalentsSocials => &[Entity::TalentsSocials],
            Self::BoardsTalents => &[Entity::BoardsTalents],
            Self::BoardsPortfolios => &[Entity::BoardsPortfolios],
        }
    }

    /// Position in [`Endpoint::ALL`], for arrays with one place an endpoint.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Turns one element of this endpoint's list into rows, quarantined records and notes.
    ///
    /// `element` is one JSON value as received; `record` is its 0-based place in the list. Never fails and never panics:
    /// whatever the element holds, each record in it ends as a row or in quarantine.
    pub fn transform(self, element: &str, record: u64, harvest: &mut Harvest) {
        match self {
            Self::Talents => talents::transform(element, record, harvest),
            Self::Boards => boards::transform(element, record, harvest),
            Self::MediaTags => media_tags::transform(element, record, harvest),
            Self::TalentsPortfolios => talents_portfolios::transform(element, record, harvest),
            Self::PortfoliosMedia => portfolios_media::transform(element, record, harvest),
            Self::TalentsMeasurements => talents_measurements::transform(element, record, harvest),
            Self::TalentsSocials => talents_socials::transform(element, record, harvest),
            Self::BoardsTalents => boards_talents::transform(element, record, harvest),
            Self::BoardsPortfolios => boards_portfolios::transform(element, record, harvest),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.key())
    }
}

impl FromStr for Endpoint {
    type Err = UnknownName;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        find_name(&Self::ALL, given, "an endpoint", Self::key)
    }
}
