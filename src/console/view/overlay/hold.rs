//! Questions about the hold.

use ratatui::text::{Line, Span};

use super::{Content, answers, choice, wrapped};
use crate::{
    console::{
        cell,
        model::Model,
        overlay::Overlay,
        view::{fit, hold::since},
    },
    report::HoldReport,
    text,
};

/// Since when, by whom and why.
pub(super) fn facts(model: &Model, hold: &HoldReport, width: usize) -> Vec<Line<'static>> {
    let theme = model.theme;
    let who = text::clean(&hold.operator.to_string()).into_owned();
    let reason = text::clean(&hold.reason).into_owned();
    let first = format!("The hold is set since {} UTC by {who}:", since(model, hold, true));
    let mut lines = wrapped(&first, width, theme.warning());
    lines.extend(wrapped(&format!("  {reason}"), width, theme.strong()));
    lines
}

/// What a run that is about to be started does with the hold.
pub(super) fn sync(model: &Model, hold: &HoldReport, width: usize) -> Content<'static> {
    let theme = model.theme;
    let mut content = Content::question("Sync under a hold");
    content.above = facts(model, hold, width);
    content.below = vec![
        choice(theme, "k", "keep it: the run is prepared and stays held"),
        choice(theme, "u", "publish, and release the hold"),
        Line::from(vec![Span::styled(" any other key: no run ", theme.selected())]),
    ];
    content
}

/// Why the hold is set.
pub(super) fn reason(model: &Model, typed: &str, width: usize) -> Content<'static> {
    let theme = model.theme;
    let mut content = Content::question("Set the hold");
    let going = match model.would_not_publish() {
        Some(name) => format!("So will {name}, which goes on now."),
        None => "So will one that goes on now.".to_owned(),
    };
    let facts = format!("Runs will fetch and prepare, and publish nothing until it is released. {going}");
    content.above = wrapped(&facts, width, theme.dim().remove_modifier(ratatui::style::Modifier::DIM));
    // The end of a long reason is where the next character goes.
    let room = width.saturating_sub(9);
    let count = typed.chars().count();
    let shown: String = typed.chars().skip(count.saturating_sub(room / 2)).collect();
    let shown = if typed.is_empty() { format!("({})", Overlay::DEFAULT_REASON) } else { shown };
    let style = if typed.is_empty() { theme.dim() } else { theme.strong() };
    content.below = vec![
        Line::from(vec![
            Span::raw("Reason: "),
            Span::styled(fit(&shown, room, theme), style),
            Span::styled(" ", theme.selected()),
        ]),
        Line::from(vec![
            Span::styled(" Enter ", theme.warning()),
            Span::raw("set it    "),
            Span::styled(" Esc: No ", theme.selected()),
        ]),
    ];
    content
}

/// Whether the hold is to be released.
pub(super) fn release(model: &Model, hold: &HoldReport, width: usize) -> Content<'static> {
    let mut content = Content::question("Release the hold");
    content.above = facts(model, hold, width);
    let next = match model.publishable() {
        Some((run, _)) => format!("Runs publish again from then on. Run {run} stays as it is; p publishes it."),
        None => "Runs publish again from then on. Nothing is switched now.".to_owned(),
    };
    content.above.extend(wrapped(&next, width, ratatui::style::Style::new()));
    if let Some(run) = model.status.as_ref().and_then(|status| status.running.as_ref()) {
        let (id, since) = (run.id, cell::clock(run.started_at));
        let of = if run.operator == model.operator { String::new() } else { format!(" of {}", run.operator) };
        let going = text::clean(&format!("Run {id}{of} is going on since {since} and would publish.")).into_owned();
        content.above.extend(wrapped(&going, width, model.theme.warning()));
    }
    content.below = vec![answers(model.theme, "release it", &[])];
    content
}
