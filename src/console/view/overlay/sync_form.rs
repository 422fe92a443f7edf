//! What a run that is about to be started is about.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{Content, hold, wrapped};
use crate::{
    console::{model::Model, overlay::SyncForm},
    entity::Entity,
    sync::Scope,
};

/// The choices.
pub(super) fn content(model: &Model, form: &SyncForm, width: usize) -> Content<'static> {
    let theme = model.theme;
    let mut content = Content::question("Sync with options");
    let scope = form.scope();
    let about = match scope.named() {
        None => "All ten entities.".to_owned(),
        Some(named) => format!("{} of 10 entities: {}.", named.len(), names(&named)),
    };
    content.above.extend(wrapped(&about, width, theme.strong()));
    let left = scope.left_alone();
    if scope.named().is_some() {
        let left = if left.is_empty() {
            "Nothing that is related to them is left alone.".to_owned()
        } else {
            format!("Related to them and left alone: {}.", names(&left))
        };
        content.above.extend(wrapped(
            &left,
            width,
            if scope.left_alone().is_empty() { Style::new() } else { theme.warning() },
        ));
    }
    if let Some(set) = &form.hold {
        content.above.extend(hold::facts(model, set, width));
    }
    let mut choice = |key: &str, on: bool, text: &str| {
        let mark = if on { "[x]" } else { "[ ]" };
        let style = if on { theme.strong() } else { Style::new() };
        content.below.push(Line::from(vec![
            Span::styled(format!(" {key} "), theme.warning()),
            Span::styled(super::fit(&format!("{mark} {text}"), width.saturating_sub(3), theme), style),
        ]));
    };
    if form.marked.is_empty() {
        choice(" ", false, "space marks entities in the table, for a run of those only");
    } else {
        let added = Scope::of(&form.marked).with_related().named().map_or(Entity::ALL.len(), |all| all.len());
        let added = added - form.marked.len();
        choice("w", form.related, &format!("with all that is related, {added} more"));
    }
    choice("f", form.force, "force: load and switch also what did not change");
    choice("p", form.partial, "partial: publish what is healthy when an endpoint fails");
    choice("d", form.dry_run, "dry run: prepare and check, publish nothing");
    if form.hold.is_some() {
        choice("u", form.release, "publish in spite of the hold, and release it");
    }
    let end = match (&form.hold, form.release, form.dry_run) {
        (Some(_), false, _) => "start, stays held",
        (_, _, true) => "start the dry run",
        _ => "start",
    };
    content.below.push(Line::from(vec![
        Span::styled(" Enter ", theme.warning()),
        Span::raw(end),
        Span::raw("    "),
        Span::styled(" Esc: No ", theme.selected()),
    ]));
    content
}

fn names(entities: &[Entity]) -> String {
    entities.iter().map(|entity| entity.name()).collect::<Vec<_>>().join(", ")
}
