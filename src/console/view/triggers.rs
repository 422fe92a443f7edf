//! The line about triggers: which one waits or was refused, and who takes them. It is there while there is something to say.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{
    super::{cell, model::Model, theme::Theme},
    fit,
    header::whole_spans,
};
use crate::{
    report::{ServerReport, StatusReport, TaskReport, TriggerReport},
    text,
};

/// Columns from which it also says since when somebody waits behind a run.
const ROOMY_COLUMNS: usize = 100;

/// Whether there is something to say.
pub(super) fn is_shown(model: &Model) -> bool {
    let says = |status: &StatusReport| status.server.is_some() || status.waiting.is_some();
    model.status.as_ref().is_some_and(says) || model.refused().is_some()
}

/// ` a sync for 10.0.0.7 waits behind run 7 · serve on 127.0.0.1:8080 · every 15m`
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let Some(status) = &model.status else { return };
    let (theme, width) = (model.theme, usize::from(area.width));
    let who = |asker: &str| fit(&text::clean(asker), width * 3 / 10, theme);
    let mut said = Vec::new();
    // What somebody waits for comes before what is always so.
    if let Some(task) = &status.waiting {
        said.push(waiting(model, task, &who(task.asker()), width));
    }
    if let Some(refused) = model.refused() {
        said.push(refusal(model, refused, &who(refused.asker())));
    }
    if let Some(server) = &status.server {
        said.extend(serves(server, width, theme));
    }
    let mut spans = vec![Span::raw(" ")];
    for (place, span) in said.into_iter().enumerate() {
        // The first one is cut rather than left out.
        let content = match place {
            0 => fit(&span.content, width - 1, theme),
            _ => format!("{}{}", theme.separator(), span.content),
        };
        spans.push(Span::styled(content, span.style));
    }
    frame.render_widget(whole_spans(Line::from(spans), width), area);
}

/// The run that was promised, and what it waits for.
fn waiting(model: &Model, task: &TaskReport, who: &str, width: usize) -> Span<'static> {
    let theme = model.theme;
    let since = format!(" since {}", cell::clock(task.created_at));
    let status = model.status.as_ref();
    let recorded = || status.and_then(|status| status.running.as_ref()).map(|run| run.id);
    let (for_what, style) = match model.going().map(|run| run.run).or_else(recorded) {
        // Where there is little room the server's address says more.
        Some(run) if width < ROOMY_COLUMNS => (format!(" behind run {run}"), theme.active()),
        Some(run) => (format!(" behind run {run}{since}"), theme.active()),
        None if status.is_some_and(|status| status.server.is_none()) => {
            (format!("{since}, nothing serves"), theme.warning())
        }
        None => (since, theme.active()),
    };
    Span::styled(format!("a sync for {who} waits{for_what}"), style)
}

/// The newest trigger, which the hold refused.
fn refusal(model: &Model, refused: &TriggerReport, who: &str) -> Span<'static> {
    let age = cell::age(refused.at, model.now.time);
    Span::styled(format!("a trigger by {who} was refused {age} ago"), model.theme.warning())
}

/// Where triggers are taken, and how often a run begins without one.
fn serves(server: &ServerReport, width: usize, theme: Theme) -> Vec<Span<'static>> {
    let address = fit(&text::clean(&server.address), width / 2, theme);
    let mut spans = vec![Span::styled(format!("serve on {address}"), Style::new())];
    if server.read_only {
        spans.push(Span::styled("read-only", theme.warning()));
    }
    if let Some(every) = server.every_ms {
        spans.push(Span::styled(format!("every {}", text::period(every)), theme.dim()));
    }
    spans
}
