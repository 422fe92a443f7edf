//! `boards`: groups of talents.

use serde::Deserialize;

use super::{
    Entity, Harvest, Position,
    field::{Field, object},
    table::{Column, Index, OnDuplicate, Table, Value},
};

pub(super) const TABLE: Table = Table {
    columns: &[
        Column::text("id"),
        Column::text("title"),
        Column::optional_text("description"),
        Column::optional_text("coverImage"),
    ],
    indexes: &[Index::on(&["title"])],
    relations: &[],
    natural_key: &[],
    on_duplicate: OnDuplicate::FirstStays,
};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Board<'a> {
    #[serde(borrow)]
    id: Field<'a>,
    #[serde(borrow)]
    title: Field<'a>,
    #[serde(borrow)]
    description: Field<'a>,
    #[serde(borrow)]
    cover_image: Field<'a>,
}

/// A board needs id and title.
pub(super) fn transform(element: &str, record: u64, harvest: &mut Harvest) {
    harvest.record(Entity::Boards, Position { record, item: None }, element, |cells| {
        let board: Board<'_> = object(element)?;
        Ok([
            Value::Text(cells.text("id", board.id)?),
            Value::Text(cells.text("title", board.title)?),
            cells.optional_text("description", board.description),
            cells.optional_text("coverImage", board.cover_image),
        ])
    });
}
