//! Shape of an entity's tables, as the reading application expects it.

use super::Entity;

/// Declared type of a column. The ORM in front of the views goes by these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text as it came.
    Text,
    /// A whole number of at most 64 bits.
    Integer,
    /// A finite floating point number.
    Real,
    /// 0 or 1.
    Boolean,
    /// Integer milliseconds since 1970-01-01 UTC.
    DateTime,
}

impl ColumnType {
    /// The type name written into `CREATE TABLE`.
    #[must_use]
    pub const fn declared(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Boolean => "BOOLEAN",
            Self::DateTime => "DATETIME",
        }
    }
}

/// One column; its name is camelCase exactly as the reading application asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name in the table and the view.
    pub name: &'static str,
    /// Declared type.
    pub kind: ColumnType,
    /// Whether NULL is allowed.
    pub nullable: bool,
}

impl Column {
    pub(super) const fn new(name: &'static str, kind: ColumnType) -> Self {
        Self { name, kind, nullable: false }
    }

    pub(super) const fn text(name: &'static str) -> Self {
        Self::new(name, ColumnType::Text)
    }

    pub(super) const fn optional(name: &'static str, kind: ColumnType) -> Self {
        Self { name, kind, nullable: true }
    }

    pub(super) const fn optional_text(name: &'static str) -> Self {
        Self::optional(name, ColumnType::Text)
    }
}

/// An index over one or more columns, in this order.
#[derive(Clone, Copy, Debug)]
pub struct Index {
    /// Indexed columns.
    pub columns: &'static [&'static str],
    /// Whether two rows may not agree in all of them.
    pub unique: bool,
}

impl Index {
    pub(super) const fn on(columns: &'static [&'static str]) -> Self {
        Self { columns, unique: false }
    }

    pub(super) const fn unique(columns: &'static [&'static str]) -> Self {
        Self { columns, unique: true }
    }
}

/// A column that refers to a column of another entity.
#[derive(Clone, Copy, Debug)]
pub struct Relation {
    /// The referring column.
    pub column: &'static str,
    /// The entity referred to.
    pub target: Entity,
    /// Its column, `id` for most.
    pub target_column: &'static str,
}

impl Relation {
    pub(super) const fn to(column: &'static str, target: Entity) -> Self {
        Self { column, target, target_column: "id" }
    }
}

/// What becomes of a later record with the key of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDuplicate {
    /// The first record stays as it is.
    FirstStays,
    /// The first record keeps its place and takes the values of the last.
    LastWins,
}

/// Everything that is known about one entity's tables.
#[derive(Debug)]
pub struct Table {
    /// Columns in their order; the first is always `id TEXT PRIMARY KEY`.
    pub columns: &'static [Column],
    /// Indexes beside the primary key's.
    pub indexes: &'static [Index],
    /// References to other entities.
    pub relations: &'static [Relation],
    /// Columns from which `id` is derived where the source has none; empty where it has one.
    pub natural_key: &'static [&'static str],
    /// Which of several records with one key is kept.
    pub on_duplicate: OnDuplicate,
}

impl Table {
    /// Whether two rows with different ids can still collide in this index.
    ///
    /// An index over the natural key cannot be violated once ids are unique, as the id is derived from it.
    #[must_use]
    pub fn can_collide(&self, index: &Index) -> bool {
        index.unique && index.columns != self.natural_key
    }
}

/// One value on its way into a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A whole number, a boolean as 0 or 1, or a date in milliseconds.
    Integer(i64),
    /// A finite floating point number.
    Real(f64),
    /// Text.
    Text(String),
}

/// Derives an id from the parts of a natural key.
///
/// Parts are joined by `:`; a `:` or `%` inside a part is percent-escaped, so different keys never share an id.
#[must_use]
pub fn natural_id(parts: &[&str]) -> String {
    let mut id = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            id.push(':');
        }
        for character in part.chars() {
            match character {
                '%' => id.push_str("%25"),
                ':' => id.push_str("%3A"),
                other => id.push(other),
            }
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_ids_of_different_keys_differ() {
        assert_eq!(natural_id(&["a", "b"]), "a:b");
        assert_ne!(natural_id(&["a:b", "c"]), natural_id(&["a", "b:c"]));
        assert_ne!(natural_id(&["a%3Ab", "c"]), natural_id(&["a:b", "c"]));
    }

    #[test]
    fn every_table_is_consistent() {
        for entity in Entity::ALL {
            let table = entity.table();
            let has = |name: &str| table.columns.iter().any(|column| column.name == name);
            assert_eq!(table.columns[0].name, "id", "{entity}");
            assert!(!table.columns[0].nullable, "{entity}");
            for name in table.indexes.iter().flat_map(|index| index.columns).chain(table.natural_key) {
                assert!(has(name), "{entity}.{name}");
            }
            for relation in table.relations {
                assert!(has(relation.column), "{entity}.{}", relation.column);
                let target = relation.target.table();
                assert!(target.columns.iter().any(|column| column.name == relation.target_column), "{entity}");
                assert!(
                    relation.target < entity || relation.target_column != "id",
                    "{entity} comes before what it refers to"
                );
            }
        }
    }
}
