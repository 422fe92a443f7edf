//! The names of tables, in a database that greenroom made and in one that the application's own migrations made.
//!
//! `SQLite` takes upper and lower case for the same. What is created gets the spelling of its layout, what is only read or
//! dropped goes by the lower-case names of `schema`.

use rusqlite::{Connection, OptionalExtension};

use super::{
    error::{Doing, GreenError},
    schema,
};
use crate::{
    entity::{Endpoint, Entity},
    report::{Layout, Version},
};

/// The spelling of an entity in the application's models.
const fn model(entity: Entity) -> &'static str {
    match entity {
        Entity::Talents => "Talents",
        Entity::Boards => "Boards",
        Entity::MediaTags => "MediaTags",
        Entity::TalentsPortfolios => "TalentsPortfolios",
        Entity::PortfoliosMedia => "PortfoliosMedia",
        Entity::TalentsMeasurements => "TalentsMeasurements",
        Entity::TalentsSocials => "TalentsSocials",
        Entity::BoardsTalents => "BoardsTalents",
        Entity::BoardsPortfolios => "BoardsPortfolios",
        Entity::MediaTagsJunction => "MediaTags_Junction",
    }
}

impl Layout {
    /// The layout of the database: an adopted one goes by the application's names.
    pub(super) fn of(connection: &Connection) -> Result<Self, GreenError> {
        let adopted = connection
            .prepare_cached("SELECT 1 FROM sync_adoption")
            .and_then(|mut statement| statement.query_row([], |_| Ok(())).optional())
            .doing("reading whether the database is adopted")?;
        Ok(if adopted.is_some() { Self::Prisma } else { Self::Standard })
    }

    /// The spelling of an entity.
    pub(super) const fn entity(self, entity: Entity) -> &'static str {
        match self {
            Self::Standard => entity.name(),
            Self::Prisma => model(entity),
        }
    }

    /// `boards_v1` or `Boards_v1`.
    pub(super) fn version_table(self, entity: Entity, version: Version) -> String {
        format!("{}_v{version}", self.entity(entity))
    }

    /// `boards_current` or `Boards_current`.
    pub(super) fn view(self, entity: Entity) -> String {
        format!("{}_current", self.entity(entity))
    }

    /// `boards_json` or `BoardsJson`, of the first entity that `endpoint` feeds.
    pub(super) fn json_table(self, endpoint: Endpoint) -> String {
        let entity = self.entity(endpoint.entities()[0]);
        match self {
            Self::Standard => format!("{entity}_json"),
            Self::Prisma => format!("{entity}Json"),
        }
    }

    /// The table of active and backup versions.
    pub(super) const fn metadata(self) -> &'static str {
        match self {
            Self::Standard => "sync_metadata",
            Self::Prisma => "SyncMetadata",
        }
    }
}

/// Whether the application's own migrations made this database: it has one of the tables that only they make.
pub(super) fn is_of_application(connection: &Connection) -> Result<bool, GreenError> {
    if schema::table_exists(connection, Layout::Prisma.metadata())? {
        return Ok(true);
    }
    for endpoint in Endpoint::ALL {
        if schema::table_exists(connection, &Layout::Prisma.json_table(endpoint))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an adoption is in force, also where there may be no bookkeeping or that of an earlier version.
pub(super) fn is_adopted(connection: &Connection) -> Result<bool, GreenError> {
    Ok(schema::table_exists(connection, "sync_adoption")? && Layout::of(connection)? == Layout::Prisma)
}
