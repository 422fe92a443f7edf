//! `talentsmeasurements`: at most one row of measurements a talent.

use serde::Deserialize;

use super::{
    Entity, Harvest, Position,
    field::{Field, Rejection, object},
    table::{Column, ColumnType, Index, OnDuplicate, Relation, Table, Value},
};

pub(super) const TABLE: Table = Table {
    columns: &[
        Column::text("id"),
        Column::text("talentId"),
        Column::optional("heightCm", ColumnType::Real),
        Column::optional("weightKg", ColumnType::Real),
        Column::optional("bustCm", ColumnType::Real),
        Column::optional("waistCm", ColumnType::Real),
        Column::optional("hipsCm", ColumnType::Real),
        Column::optional("shoeSizeEu", ColumnType::Real),
        Column::optional_text("heightFtIn"),
        Column::optional("weightLbs", ColumnType::Real),
        Column::optional("bustIn", ColumnType::Real),
        Column::optional("waistIn", ColumnType::Real),
        Column::optional("hipsIn", ColumnType::Real),
        Column::optional("shoeSizeUs", ColumnType::Real),
        Column::optional_text("eyeColor"),
        Column::optional_text("hairColor"),
        Column::new("createdAt", ColumnType::DateTime),
        Column::new("updatedAt", ColumnType::DateTime),
    ],
    indexes: &[Index::unique(&["talentId"])],
    relations: &[Relation::to("talentId", Entity::Talents)],
    natural_key: &[],
    on_duplicate: OnDuplicate::FirstStays,
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Talent<'a> {
    #[serde(borrow)]
    id: Field<'a>,
    #[serde(borrow)]
    measurements: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Measurements<'a> {
    #[serde(borrow)]
    id: Field<'a>,
    #[serde(borrow)]
    height_cm: Field<'a>,
    #[serde(borrow)]
    weight_kg: Field<'a>,
    #[serde(borrow)]
    bust_cm: Field<'a>,
    #[serde(borrow)]
    waist_cm: Field<'a>,
    #[serde(borrow)]
    hips_cm: Field<'a>,
    #[serde(borrow)]
    shoe_size_eu: Field<'a>,
    #[serde(borrow)]
    height_ft_in: Field<'a>,
    #[serde(borrow)]
    weight_lbs: Field<'a>,
    #[serde(borrow)]
    bust_in: Field<'a>,
    #[serde(borrow)]
    waist_in: Field<'a>,
    #[serde(borrow)]
    hips_in: Field<'a>,
    #[serde(borrow)]
    shoe_size_us: Field<'a>,
    #[serde(borrow)]
    eye_color: Field<'a>,
    #[serde(borrow)]
    hair_color: Field<'a>,
    #[serde(borrow)]
    created_at: Field<'a>,
    #[serde(borrow)]
    updated_at: Field<'a>,
}

/// A talent without measurements is no record; measurements need id and two readable dates.
pub(super) fn transform(element: &str, record: u64, harvest: &mut Harvest) {
    let entity = Entity::TalentsMeasurements;
    let position = Position { record, item: None };
    let talent: Talent<'_> = match object(element) {
        Ok(talent) => talent,
        Err(rejection) => return harvest.reject(entity, position, element, rejection),
    };
    let Some(measurements) = talent.measurements.raw() else { return };
    harvest.record(entity, position, element, |cells| {
        let within = |Rejection(reason)| Rejection(format!("measurements: {reason}"));
        let talent = cells.text("id", talent.id)?;
        let taken: Measurements<'_> = object(measurements).map_err(within)?;
        Ok([
            Value::Text(cells.text("id", taken.id).map_err(within)?),
            Value::Text(talent),
            cells.optional_real("heightCm", taken.height_cm),
            cells.optional_real("weightKg", taken.weight_kg),
            cells.optional_real("bustCm", taken.bust_cm),
            cells.optional_real("waistCm", taken.waist_cm),
            cells.optional_real("hipsCm", taken.hips_cm),
            cells.optional_real("shoeSizeEu", taken.shoe_size_eu),
            cells.optional_text("heightFtIn", taken.height_ft_in),
            cells.optional_real("weightLbs", taken.weight_lbs),
            cells.optional_real("bustIn", taken.bust_in),
            cells.optional_real("waistIn", taken.waist_in),
            cells.optional_real("hipsIn", taken.hips_in),
            cells.optional_real("shoeSizeUs", taken.shoe_size_us),
            cells.optional_text("eyeColor", taken.eye_color),
            cells.optional_text("hairColor", taken.hair_color),
            cells.date("createdAt", taken.created_at).map_err(within)?,
            cells.date("updatedAt", taken.updated_at).map_err(within)?,
        ])
    });
}
