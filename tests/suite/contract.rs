//! Names, types and indexes of the mirrored tables, written down from the contract with the reading application and on
//! purpose not taken from the code under test.

/// One mirrored entity.
pub(crate) struct Contract {
    /// Lower-case name, as in `sync_metadata`.
    pub(crate) entity: &'static str,
    columns: &'static str,
    indexes: &'static str,
}

/// A column as `PRAGMA table_info` tells it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ColumnFact {
    pub(crate) name: String,
    pub(crate) declared: String,
    pub(crate) not_null: bool,
    pub(crate) key: bool,
}

impl Contract {
    /// Columns in their order; text and required unless said otherwise.
    pub(crate) fn columns(&self) -> Vec<ColumnFact> {
        let facts = self.columns.split(", ").map(|column| {
            let (name, declared) = column.split_once(' ').unwrap_or((column, "TEXT"));
            let (name, not_null) = name.strip_suffix('?').map_or((name, true), |name| (name, false));
            ColumnFact { name: name.to_owned(), declared: declared.to_owned(), not_null, key: name == "id" }
        });
        facts.collect()
    }

    /// Indexes beside the primary key's: whether unique, and their columns, sorted.
    pub(crate) fn indexes(&self) -> Vec<(bool, Vec<String>)> {
        let mut indexes: Vec<_> = self
            .indexes
            .split("; ")
            .map(|index| {
                let (kind, columns) = index.split_once(' ').unwrap();
                (kind == "[u]", columns.split('+').map(str::to_owned).collect())
            })
            .collect();
        indexes.sort();
        indexes
    }
}

/// All ten, in the order of their dependencies.
pub(crate) const CONTRACTS: [Contract; 10] = [
    Contract {
        entity: "talents",
        columns: "id, firstName, lastName, talentUserNumber INTEGER, bio?, profileImage?, gender?, pronouns?, talentType",
        indexes: "[u] talentUserNumber; [i] firstName+lastName; [i] talentType",
    },
    Contract { entity: "boards", columns: "id, title, description?, coverImage?", indexes: "[i] title" },
    Contract { entity: "mediatags", columns: "id, name, slug", indexes: "[i] name; [i] slug" },
    Contract {
        entity: "talentsportfolios",
        columns: "id, talentId, title, description?, isDefault BOOLEAN, category?, coverImage?",
        indexes: "[i] talentId; [i] category; [i] title",
    },
    Contract {
        entity: "portfoliosmedia",
        columns: "id, mediaId, portfolioId, type, url, filename, coverImage?, order INTEGER, width INTEGER, height INTEGER, \
                  size INTEGER, caption?",
        indexes: "[i] portfolioId; [i] type; [i] order; [i] mediaId",
    },
    Contract {
        entity: "talentsmeasurements",
        columns: "id, talentId, heightCm? REAL, weightKg? REAL, bustCm? REAL, waistCm? REAL, hipsCm? REAL, \
                  shoeSizeEu? REAL, heightFtIn?, weightLbs? REAL, bustIn? REAL, waistIn? REAL, hipsIn? REAL, \
                  shoeSizeUs? REAL, eyeColor?, hairColor?, createdAt DATETIME, updatedAt DATETIME",
        indexes: "[u] talentId",
    },
    Contract {
        entity: "talentssocials",
        columns: "id, talentId, platform, username, url",
        indexes: "[u] talentId+platform",
    },
    Contract {
        entity: "boardstalents",
        columns: "id, boardId, talentId",
        indexes: "[u] boardId+talentId; [i] talentId",
    },
    Contract {
        entity: "boardsportfolios",
        columns: "id, boardId, portfolioId, talentId",
        indexes: "[u] boardId+portfolioId; [i] portfolioId; [i] talentId",
    },
    Contract { entity: "mediatags_junction", columns: "id, mediaId, tagId", indexes: "[u] mediaId+tagId; [i] tagId" },
];
