//! What is shown of the quarantine.

use crate::{
    entity::Entity,
    green::QuarantineQuery,
    report::{QuarantineList, QuarantineRecord},
};

/// Records that are read for the list.
const LISTED: u64 = 500;
/// Characters of each record that are listed; the export has all of them.
const EXCERPT: u32 = 2_000;

/// Records in quarantine, of one entity or of all.
#[derive(Debug)]
pub struct QuarantineView {
    /// The entity that was chosen.
    pub entity: Entity,
    /// Whether all entities are shown.
    pub all: bool,
    /// Whether records are shown that the source does not send any more.
    pub gone: bool,
    /// Number of the answer that is waited for.
    pub request: Option<u64>,
    /// The records, once they were read, or why they could not be.
    pub answer: Option<Result<QuarantineList, String>>,
    /// What became of the export.
    pub exported: Option<Result<String, String>>,
    /// First line shown.
    pub scroll: usize,
}

impl QuarantineView {
    /// What is in quarantine of `entity`, not yet read.
    #[must_use]
    pub fn new(entity: Entity) -> Self {
        Self { entity, all: false, gone: false, request: None, answer: None, exported: None, scroll: 0 }
    }

    /// What is asked of the database for the list.
    #[must_use]
    pub fn query(&self) -> QuarantineQuery {
        let entities = if self.all { Vec::new() } else { vec![self.entity] };
        QuarantineQuery { entities, run: None, gone: self.gone, limit: LISTED, excerpt: Some(EXCERPT) }
    }

    /// The same without an end.
    #[must_use]
    pub fn whole_query(&self) -> QuarantineQuery {
        QuarantineQuery { limit: u64::from(u32::MAX), excerpt: None, ..self.query() }
    }

    /// Of what the records are: an entity, or `all`.
    #[must_use]
    pub fn scope_name(&self) -> &'static str {
        if self.all { "all" } else { self.entity.name() }
    }

    /// The records that were read.
    #[must_use]
    pub fn records(&self) -> &[QuarantineRecord] {
        match &self.answer {
            Some(Ok(list)) => &list.records,
            _ => &[],
        }
    }
}
