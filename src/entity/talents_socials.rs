//! `talentssocials`: social accounts of talents.

use serde::Deserialize;

use super::{
    Entity, Harvest,
    field::Field,
    harvest::keyed_list,
    table::{Column, Index, OnDuplicate, Relation, Table, Value, natural_id},
};

pub(super) const TABLE: Table = Table {
    columns: &[
        Column::text("id"),
        Column::text("talentId"),
        Column::text("platform"),
        Column::text("username"),
        Column::text("url"),
    ],
    indexes: &[Index::unique(&["talentId", "platform"])],
    relations: &[Relation::to("talentId", Entity::Talents)],
    natural_key: &["talentId", "platform"],
    on_duplicate: OnDuplicate::FirstStays,
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Talent<'a> {
    #[serde(borrow)]
    id: Field<'a>,
    #[serde(borrow)]
    socials: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Social<'a> {
    #[serde(borrow)]
    platform: Field<'a>,
    #[serde(borrow)]
    username: Field<'a>,
    #[serde(borrow)]
    url: Field<'a>,
}

/// Each account in a talent's list is a record; it needs platform, username and url.
pub(super) fn transform(element: &str, record: u64, harvest: &mut Harvest) {
    harvest.items(
        Entity::TalentsSocials,
        element,
        record,
        |talent: &Talent<'_>, cells| keyed_list(cells, ("id", talent.id), ("socials", talent.socials)),
        |talent, social: &Social<'_>, cells| {
            let platform = cells.text("platform", social.platform)?;
            Ok([
                Value::Text(natural_id(&[talent, &platform])),
                Value::Text(talent.to_owned()),
                Value::Text(platform),
                Value::Text(cells.text("username", social.username)?),
                Value::Text(cells.text("url", social.url)?),
            ])
        },
    );
}
