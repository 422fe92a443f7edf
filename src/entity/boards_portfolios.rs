//! `boardsportfolios`: which portfolios are on which board.

use serde::Deserialize;

use super::{
    Entity, Harvest,
    field::Field,
    harvest::keyed_list,
    table::{Column, Index, OnDuplicate, Relation, Table, Value, natural_id},
};

pub(super) const TABLE: Table = Table {
    columns: &[Column::text("id"), Column::text("boardId"), Column::text("portfolioId"), Column::text("talentId")],
    indexes: &[Index::unique(&["boardId", "portfolioId"]), Index::on(&["portfolioId"]), Index::on(&["talentId"])],
    relations: &[
        Relation::to("boardId", Entity::Boards),
        Relation::to("portfolioId", Entity::TalentsPortfolios),
        Relation::to("talentId", Entity::Talents),
    ],
    natural_key: &["boardId", "portfolioId"],
    on_duplicate: OnDuplicate::FirstStays,
};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Board<'a> {
    #[serde(borrow)]
    board_id: Field<'a>,
    #[serde(borrow)]
    portfolios: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Portfolio<'a> {
    #[serde(borrow)]
    id: Field<'a>,
    #[serde(borrow)]
    talent_id: Field<'a>,
}

/// Each portfolio in a board's list is a record; it needs its id and its talent's.
pub(super) fn transform(element: &str, record: u64, harvest: &mut Harvest) {
    harvest.items(
        Entity::BoardsPortfolios,
        element,
        record,
        |board: &Board<'_>, cells| keyed_list(cells, ("boardId", board.board_id), ("portfolios", board.portfolios)),
        |board, portfolio: &Portfolio<'_>, cells| {
            let id = cells.text("id", portfolio.id)?;
            Ok([
                Value::Text(natural_id(&[board, &id])),
                Value::Text(board.to_owned()),
                Value::Text(id),
                Value::Text(cells.text("talentId", portfolio.talent_id)?),
            ])
        },
    );
}
