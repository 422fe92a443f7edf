//! `talentsportfolios`: the portfolios of talents.

use serde::Deserialize;

use super::{
    Entity, Harvest,
    field::Field,
    harvest::keyed_list,
    table::{Column, ColumnType, Index, OnDuplicate, Relation, Table, Value},
};

pub(super) const TABLE: Table = Table {
    columns: &[
        Column::text("id"),
        Column::text("talentId"),
        Column::text("title"),
        Column::optional_text("description"),
        Column::new("isDefault", ColumnType::Boolean),
        Column::optional_text("category"),
        Column::optional_text("coverImage"),
    ],
    indexes: &[Index::on(&["talentId"]), Index::on(&["category"]), Index::on(&["title"])],
    relations: &[Relation::to("talentId", Entity::Talents)],
    natural_key: &[],
    on_duplicate: OnDuplicate::FirstStays,
};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Talent<'a> {
    #[serde(borrow)]
    talent_id: Field<'a>,
    #[serde(borrow)]
    portfolios: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Portfolio<'a> {
    #[serde(borrow)]
    id: Field<'a>,
    #[serde(borrow)]
    title: Field<'a>,
    #[serde(borrow)]
    description: Field<'a>,
    #[serde(borrow)]
    is_default: Field<'a>,
    #[serde(borrow)]
    category: Field<'a>,
    #[serde(borrow)]
    cover_image: Field<'a>,
}

/// Each portfolio in a talent's list is a record; it needs id and title.
pub(super) fn transform(element: &str, record: u64, harvest: &mut Harvest) {
    harvest.items(
        Entity::TalentsPortfolios,
        element,
        record,
        |talent: &Talent<'_>, cells| {
            keyed_list(cells, ("talentId", talent.talent_id), ("portfolios", talent.portfolios))
        },
        |talent, portfolio: &Portfolio<'_>, cells| {
            Ok([
                Value::Text(cells.text("id", portfolio.id)?),
                Value::Text(talent.to_owned()),
                Value::Text(cells.text("title", portfolio.title)?),
                cells.filled_text("description", portfolio.description),
                cells.boolean_or_false("isDefault", portfolio.is_default)?,
                cells.name_or_text("category", portfolio.category),
                cells.filled_text("coverImage", portfolio.cover_image),
            ])
        },
    );
}
