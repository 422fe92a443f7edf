//! The entities that a run is about.

use std::collections::BTreeSet;

use crate::entity::{Endpoint, Entity};

/// The entities that a run is about: all ten, or some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(BTreeSet<Entity>);

impl Default for Scope {
    fn default() -> Self {
        Self(Entity::ALL.into())
    }
}

/// Entities that refer to `entity` or that it refers to.
fn neighbours(entity: Entity) -> impl Iterator<Item = Entity> {
    Entity::ALL.into_iter().filter(move |other| refers(entity, *other) || refers(*other, entity))
}

fn refers(entity: Entity, target: Entity) -> bool {
    entity.table().relations.iter().any(|relation| relation.target == target)
}

impl Scope {
    /// Just `entities`; all ten when there are none.
    #[must_use]
    pub fn of(entities: &[Entity]) -> Self {
        if entities.is_empty() { Self::default() } else { Self(entities.iter().copied().collect()) }
    }

    /// These, all that refers to them, and all that any of those refers to, directly or through others: whatever
    /// one of them refers to is then fetched with it.
    #[must_use]
    pub fn with_related(self) -> Self {
        let Self(mut entities) = self;
        grow(&mut entities, |member, other| refers(other, member));
        grow(&mut entities, refers);
        Self(entities)
    }

    /// Whether the run is about `entity`.
    #[must_use]
    pub fn contains(&self, entity: Entity) -> bool {
        self.0.contains(&entity)
    }

    /// The entities in their order; `None` for all ten.
    #[must_use]
    pub fn named(&self) -> Option<Vec<Entity>> {
        (self.0.len() < Entity::ALL.len()).then(|| self.0.iter().copied().collect())
    }

    /// The entities of `endpoint` that the run is about.
    #[must_use]
    pub fn of_endpoint(&self, endpoint: Endpoint) -> Vec<Entity> {
        endpoint.entities().iter().copied().filter(|entity| self.contains(*entity)).collect()
    }

    /// Entities that are related to one of these and are not among them.
    #[must_use]
    pub fn left_alone(&self) -> Vec<Entity> {
        let related: BTreeSet<_> = self.0.iter().flat_map(|entity| neighbours(*entity)).collect();
        related.difference(&self.0).copied().collect()
    }
}

fn grow(entities: &mut BTreeSet<Entity>, follow: impl Fn(Entity, Entity) -> bool) {
    let mut waiting: Vec<Entity> = entities.iter().copied().collect();
    while let Some(member) = waiting.pop() {
        let found = Entity::ALL.into_iter().filter(|other| follow(member, *other));
        waiting.extend(found.filter(|other| entities.insert(*other)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn related_entities_are_named() {
        let boards = Scope::of(&[Entity::Boards]);
        assert_eq!(boards.left_alone(), [Entity::BoardsTalents, Entity::BoardsPortfolios]);
        let tags = Scope::of(&[Entity::MediaTags, Entity::MediaTagsJunction]);
        assert_eq!(tags.left_alone(), [Entity::PortfoliosMedia]);
        assert!(Scope::default().left_alone().is_empty());
        assert_eq!(Scope::of(&[]), Scope::default());
        assert_eq!(Scope::of(&Entity::ALL).named(), None);
    }

    #[test]
    fn the_closure_holds_what_its_members_refer_to() {
        for entity in Entity::ALL {
            let closure = Scope::of(&[entity]).with_related();
            for member in Entity::ALL.into_iter().filter(|member| closure.contains(*member)) {
                let missing = member.table().relations.iter().find(|relation| !closure.contains(relation.target));
                assert!(missing.is_none(), "{entity}: {member} refers to {missing:?}");
            }
            let referring = Entity::ALL.into_iter().filter(|other| refers(*other, entity));
            assert!(referring.into_iter().all(|other| closure.contains(other)), "{entity}");
        }
        let socials = Scope::of(&[Entity::TalentsSocials]).with_related();
        assert_eq!(socials.named(), Some(vec![Entity::Talents, Entity::TalentsSocials]));
        let pairs = Scope::of(&[Entity::BoardsTalents]).with_related();
        assert_eq!(pairs.named(), Some(vec![Entity::Talents, Entity::Boards, Entity::BoardsTalents]));
        assert_eq!(Scope::of(&[Entity::Talents]).with_related().named(), None);
    }
}
