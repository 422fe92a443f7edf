//! `talents`: the people.

use serde::Deserialize;

use super::{
    Entity, Harvest, Position,
    field::{Field, object},
    table::{Column, ColumnType, Index, OnDuplicate, Table, Value},
};

pub(super) const TABLE: Table = Table {
    columns: &[
        Column::text("id"),
        Column::text("firstName"),
        Column::text("lastName"),
        Column::new("talentUserNumber", ColumnType::Integer),
        Column::optional_text("bio"),
        Column::optional_text("profileImage"),
        Column::optional_text("gender"),
        Column::optional_text("pronouns"),
        Column::text("talentType"),
    ],
    indexes: &[Index::unique(&["talentUserNumber"]), Index::on(&["firstName", "lastName"]), Index::on(&["talentType"])],
    relations: &[],
    natural_key: &[],
    on_duplicate: OnDuplicate::FirstStays,
};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "the names are those of the source")]
struct Talent<'a> {
    #[serde(borrow)]
    id: Field<'a>,
    #[serde(borrow)]
    first_name: Field<'a>,
    #[serde(borrow)]
    last_name: Field<'a>,
    #[serde(borrow)]
    talent_user_number: Field<'a>,
    #[serde(borrow)]
    bio: Field<'a>,
    #[serde(borrow)]
    profile_image: Field<'a>,
    #[serde(borrow)]
    gender: Field<'a>,
    #[serde(borrow)]
    pronouns: Field<'a>,
    #[serde(borrow)]
    talent_type: Field<'a>,
}

/// A talent needs id, first name, last name and number; a type that is neither named nor a text is `Unknown`.
pub(super) fn transform(element: &str, record: u64, harvest: &mut Harvest) {
    harvest.record(Entity::Talents, Position { record, item: None }, element, |cells| {
        let talent: Talent<'_> = object(element)?;
        Ok([
            Value::Text(cells.text("id", talent.id)?),
            Value::Text(cells.text("firstName", talent.first_name)?),
            Value::Text(cells.text("lastName", talent.last_name)?),
            cells.integer("talentUserNumber", talent.talent_user_number)?,
            cells.filled_text("bio", talent.bio),
            cells.filled_text("profileImage", talent.profile_image),
            cells.filled_text("gender", talent.gender),
            cells.filled_text("pronouns", talent.pronouns),
            match cells.name_or_text("talentType", talent.talent_type) {
                Value::Null => {
                    for note in cells.notes.iter_mut().filter(|note| note.column == "talentType") {
                        note.problem = note.problem.replace("stored NULL", "stored Unknown");
                    }
                    Value::Text("Unknown".to_owned())
                }
                named => named,
            },
        ])
    });
}
