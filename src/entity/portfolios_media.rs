//! `portfoliosmedia`: media placed in portfolios; one medium may stand in several.

use serde::Deserialize;

use super::{
    Entity, Harvest,
    field::Field,
    harvest::keyed_list,
    table::{Column, ColumnType, Index, OnDuplicate, Relation, Table, Value, natural_id},
};

pub(super) const TABLE: Table = Table {
    columns: &[
        Column::text("id"),
        Column::text("mediaId"),
        Column::text("portfolioId"),
        Column::text("type"),
        Column::text("url"),
        Column::text("filename"),
        Column::optional_text("coverImage"),
        Column::new("order", ColumnType::Integer),
        Column::new("width", ColumnType::Integer),
        Column::new("height", ColumnType::Integer),
        Column::new("size", ColumnType::Integer),
        Column::optional_text("caption"),
    ],
    indexes: &[Index::on(&["portfolioId"]), Index::on(&["type"]), Index::on(&["order"]), Index::on(&["mediaId"])],
    relations: &[Relation::to("portfolioId", Entity::TalentsPortfolios)],
    natural_key: &["portfolioId", "mediaId"],
    on_duplicate: OnDuplicate::FirstStays,
};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Portfolio<'a> {
    #[serde(borrow)]
    portfolio_id: Field<'a>,
    #[serde(borrow)]
    media: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Medium<'a> {
    #[serde(borrow)]
    id: Field<'a>,
    #[serde(borrow, rename = "type")]
    kind: Field<'a>,
    #[serde(borrow)]
    url: Field<'a>,
    #[serde(borrow)]
    filename: Field<'a>,
    #[serde(borrow)]
    cover_image: Field<'a>,
    #[serde(borrow)]
    order: Field<'a>,
    #[serde(borrow)]
    width: Field<'a>,
    #[serde(borrow)]
    height: Field<'a>,
    #[serde(borrow)]
    size: Field<'a>,
    #[serde(borrow)]
    caption: Field<'a>,
}

/// Each medium in a portfolio's list is a record; it needs id, type, url and filename. A missing order or measure is 0.
pub(super) fn transform(element: &str, record: u64, harvest: &mut Harvest) {
    harvest.items(
        Entity::PortfoliosMedia,
        element,
        record,
        |portfolio: &Portfolio<'_>, cells| {
            keyed_list(cells, ("portfolioId", portfolio.portfolio_id), ("media", portfolio.media))
        },
        |portfolio, medium: &Medium<'_>, cells| {
            let id = cells.text("id", medium.id)?;
            Ok([
                Value::Text(natural_id(&[portfolio, &id])),
                Value::Text(id),
                Value::Text(portfolio.to_owned()),
                Value::Text(cells.text("type", medium.kind)?),
                Value::Text(cells.text("url", medium.url)?),
                Value::Text(cells.text("filename", medium.filename)?),
                cells.optional_text("coverImage", medium.cover_image),
                cells.integer_or_zero("order", medium.order)?,
                cells.integer_or_zero("width", medium.width)?,
                cells.integer_or_zero("height", medium.height)?,
                cells.integer_or_zero("size", medium.size)?,
                cells.optional_text("caption", medium.caption),
            ])
        },
    );
}
