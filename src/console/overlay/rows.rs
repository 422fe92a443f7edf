//! What is shown of the rows of a version: a page of them at a time, never all.

use crate::{
    entity::Entity,
    green::{Page, RowsQuery, Side},
    report::RowsReport,
};

/// Rows that are read at once, at least.
const ROWS_AT_ONCE: usize = 200;

/// Longest filter that can be typed, in characters.
pub(crate) const LONGEST_FILTER: usize = 100;

/// Rows of one version of an entity.
#[derive(Debug)]
pub struct RowsView {
    /// The entity.
    pub entity: Entity,
    /// The version.
    pub side: Side,
    /// Only rows with this text.
    pub filter: String,
    /// What is being typed in the place of the filter.
    pub typed: Option<String>,
    /// Number of the answer that is waited for.
    pub request: Option<u64>,
    /// The page that was read last.
    pub page: Option<RowsReport>,
    /// What went wrong.
    pub error: Option<String>,
    /// The chosen row, as a place among all that match.
    pub chosen: usize,
    /// First row shown, or, of a row that is shown alone, its first line.
    pub scroll: usize,
    /// First column shown beside the id.
    pub column: usize,
    /// Whether the chosen row is shown alone, with all its values; then, where the list was scrolled to.
    pub alone: Option<usize>,
}

impl RowsView {
    /// Nothing read yet.
    #[must_use]
    pub fn new(entity: Entity) -> Self {
        Self {
            entity,
            side: Side::Live,
            filter: String::new(),
            typed: None,
            request: None,
            page: None,
            error: None,
            chosen: 0,
            scroll: 0,
            column: 0,
            alone: None,
        }
    }

    /// Forgets what was read, such as for another filter.
    pub fn clear(&mut self) {
        (self.request, self.page, self.error) = (None, None, None);
        (self.chosen, self.scroll, self.alone) = (0, 0, None);
    }

    /// What is read for a screen that shows so many rows from `scroll` on.
    #[must_use]
    pub fn query(&self, room: usize) -> RowsQuery {
        let offset = self.scroll.saturating_sub(room) as u64;
        let filter = Some(self.filter.clone()).filter(|filter| !filter.is_empty());
        let page = Page { offset, limit: ROWS_AT_ONCE.max(3 * room) as u64 };
        RowsQuery { entity: self.entity, side: self.side, filter, page }
    }

    /// Whether a row is missing of those that a screen with this room shows.
    #[must_use]
    pub fn lacks(&self, room: usize) -> bool {
        let shown = self.scroll..self.total().min(self.scroll + room);
        shown.clone().next().is_some_and(|first| self.row(first).is_none())
            || shown.last().is_some_and(|last| self.row(last).is_none())
    }

    /// Rows that match, as far as known.
    #[must_use]
    pub fn total(&self) -> usize {
        self.page.as_ref().map_or(0, |page| usize::try_from(page.total).unwrap_or(usize::MAX))
    }

    /// The row at this place, if it was read.
    #[must_use]
    pub fn row(&self, at: usize) -> Option<&[serde_json::Value]> {
        let page = self.page.as_ref()?;
        let at = at.checked_sub(usize::try_from(page.offset).ok()?)?;
        page.rows.get(at).map(Vec::as_slice)
    }

    /// Takes a page in. Where fewer rows match than before, the choice goes to the last.
    pub fn take(&mut self, answer: Result<RowsReport, String>) {
        self.request = None;
        match answer {
            Ok(page) => {
                self.page = Some(page);
                self.error = None;
                self.chosen = self.chosen.min(self.total().saturating_sub(1));
                self.scroll = if self.alone.is_some() { self.scroll } else { self.scroll.min(self.chosen) };
            }
            Err(error) => (self.page, self.error) = (None, Some(error)),
        }
    }

    /// Scrolls so that the chosen row is among the `room` rows shown.
    pub fn show_chosen(&mut self, room: usize) {
        let first = (self.chosen + 1).saturating_sub(room.max(1));
        self.scroll = self.scroll.clamp(first, self.chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(offset: u64, count: usize, total: u64) -> RowsReport {
        let rows = (0..count).map(|at| vec![serde_json::json!(format!("b{}", at as u64 + offset))]).collect();
        let columns = vec!["id".to_owned()];
        RowsReport { entity: Entity::Boards, version: 1, live: true, columns, total, offset, rows }
    }

    #[test]
    fn pages_are_read_around_what_is_shown() {
        let mut view = RowsView::new(Entity::Boards);
        assert_eq!(view.query(10).page, Page { offset: 0, limit: 200 });
        view.take(Ok(page(0, 200, 1_000_000)));
        assert!(!view.lacks(10));
        view.chosen = 999_999;
        view.show_chosen(10);
        assert_eq!(view.scroll, 999_990);
        assert!(view.lacks(10));
        assert_eq!(view.query(10).page, Page { offset: 999_980, limit: 200 });
        view.take(Ok(page(999_980, 20, 1_000_000)));
        assert!(!view.lacks(10));
        assert_eq!(view.row(999_999), Some(&[serde_json::json!("b999999")][..]));
        view.chosen = 999_985;
        view.show_chosen(10);
        assert_eq!(view.scroll, 999_985);
        // Others have published meanwhile.
        view.take(Ok(page(0, 3, 3)));
        assert_eq!((view.chosen, view.scroll), (2, 2));
    }
}
