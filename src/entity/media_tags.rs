//! `mediatags` and `mediatags_junction`: one endpoint lists the tags of each medium and feeds both.

use serde::Deserialize;

use super::{
    Entity, Harvest, Position,
    field::{Cells, Field, Rejection, object},
    table::{Column, Index, OnDuplicate, Relation, Table, Value, natural_id},
};

pub(super) const TAGS: Table = Table {
    columns: &[Column::text("id"), Column::text("name"), Column::text("slug")],
    indexes: &[Index::on(&["name"]), Index::on(&["slug"])],
    relations: &[],
    natural_key: &[],
    on_duplicate: OnDuplicate::LastWins,
};

pub(super) const JUNCTION: Table = Table {
    columns: &[Column::text("id"), Column::text("mediaId"), Column::text("tagId")],
    indexes: &[Index::unique(&["mediaId", "tagId"]), Index::on(&["tagId"])],
    relations: &[
        Relation::to("tagId", Entity::MediaTags),
        Relation { column: "mediaId", target: Entity::PortfoliosMedia, target_column: "mediaId" },
    ],
    natural_key: &["mediaId", "tagId"],
    on_duplicate: OnDuplicate::FirstStays,
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Medium<'a> {
    #[serde(borrow)]
    id: Field<'a>,
    #[serde(borrow)]
    tags: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tag<'a> {
    #[serde(borrow)]
    id: Field<'a>,
    #[serde(borrow)]
    name: Field<'a>,
    #[serde(borrow)]
    slug: Field<'a>,
}

/// Each tag in a medium's list is one record of both entities; it needs id, name and slug.
///
/// A broken tag becomes neither a tag nor a pair, as the pair would refer to nothing. A medium without a usable id costs
/// its pairs only: its tags are still tags.
pub(super) fn transform(element: &str, record: u64, harvest: &mut Harvest) {
    let whole = Position { record, item: None };
    let (medium, tags) =
        match object::<Medium<'_>>(element).and_then(|medium| Ok((medium.id, medium.tags.list("tags")?))) {
            Ok(found) => found,
            Err(rejection) => {
                let Rejection(reason) = rejection;
                harvest.reject(Entity::MediaTags, whole, element, Rejection(reason.clone()));
                harvest.reject(Entity::MediaTagsJunction, whole, element, Rejection(reason));
                return;
            }
        };
    let medium = Cells::default().text("id", medium);
    if let Err(Rejection(reason)) = &medium {
        harvest.reject(Entity::MediaTagsJunction, whole, element, Rejection(reason.clone()));
    }
    for (item, tag) in (0_u64..).zip(tags) {
        let position = Position { record, item: Some(item) };
        let text = tag.get();
        harvest.record(Entity::MediaTags, position, text, |cells| {
            let [id, name, slug] = read_tag(text, cells)?;
            Ok([Value::Text(id), Value::Text(name), Value::Text(slug)])
        });
        if let Ok(medium) = &medium {
            harvest.record(Entity::MediaTagsJunction, position, text, |_| {
                // The tag's own notes stand at `mediatags` already.
                let [tag, ..] = read_tag(text, &mut Cells::default())?;
                Ok([Value::Text(natural_id(&[medium, &tag])), Value::Text(medium.clone()), Value::Text(tag)])
            });
        }
    }
}

fn read_tag(text: &str, cells: &mut Cells) -> Result<[String; 3], Rejection> {
    let tag: Tag<'_> = object(text)?;
    Ok([cells.text("id", tag.id)?, cells.text("name", tag.name)?, cells.text("slug", tag.slug)?])
}
