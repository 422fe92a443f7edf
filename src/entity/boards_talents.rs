//! `boardstalents`: which talents are on which board.

use serde::Deserialize;

use super::{
    Entity, Harvest,
    field::Field,
    harvest::keyed_list,
    table::{Column, Index, OnDuplicate, Relation, Table, Value, natural_id},
};

pub(super) const TABLE: Table = Table {
    columns: &[Column::text("id"), Column::text("boardId"), Column::text("talentId")],
    indexes: &[Index::unique(&["boardId", "talentId"]), Index::on(&["talentId"])],
    relations: &[Relation::to("boardId", Entity::Boards), Relation::to("talentId", Entity::Talents)],
    natural_key: &["boardId", "talentId"],
    on_duplicate: OnDuplicate::FirstStays,
};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Board<'a> {
    #[serde(borrow)]
    board_id: Field<'a>,
    #[serde(borrow)]
    talents: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Talent<'a> {
    #[serde(borrow)]
    id: Field<'a>,
}

/// Each talent in a board's list is a record; it needs its id.
pub(super) fn transform(element: &str, record: u64, harvest: &mut Harvest) {
    harvest.items(
        Entity::BoardsTalents,
        element,
        record,
        |board: &Board<'_>, cells| keyed_list(cells, ("boardId", board.board_id), ("talents", board.talents)),
        |board, talent: &Talent<'_>, cells| {
            let talent = cells.text("id", talent.id)?;
            Ok([Value::Text(natural_id(&[board, &talent])), Value::Text(board.to_owned()), Value::Text(talent)])
        },
    );
}
