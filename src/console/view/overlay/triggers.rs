//! The newest triggers: who asked for what and when, what was answered, and the run that came of it.
//!
//! ```text
//! serve on 127.0.0.1:8080 of green@box (pid 812), every 15m           who takes them
//! 11-22 08:21:40 http 10.0.0.7   orchestrate-sync waiting  run 8      the triggers, one chosen
//! http 10.0.0.7: orchestrate-sync, 2025-11-22 08:21:40 UTC            the chosen one in full
//! ```

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::{Content, Middle, keys, wrapped};
use crate::{
    console::{
        cell,
        model::Model,
        overlay::TriggersView,
        theme::Theme,
        view::{fit, runs::outcome_style, wrap},
    },
    report::{ListedTrigger, RunOutcome, TaskReport, TriggerAnswer, TriggerList},
    text,
};

/// Columns from which the name under which a run was asked for, and seconds, are in the list.
const ROOMY_COLUMNS: usize = 70;

/// Columns of answer and run, and of the blanks between.
const AFTER_WHO: usize = 27;

/// Columns for who asked at most.
const LONGEST_WHO: usize = 40;

/// Lines for what was answered to the chosen trigger.
const MESSAGE_LINES: usize = 2;

/// Who takes triggers above, the triggers in the middle, the chosen one and keys below.
pub(super) fn content(model: &Model, view: &TriggersView, width: usize) -> Content<'static> {
    let theme = model.theme;
    let mut content = Content::list("Triggers", Vec::new());
    match &view.answer {
        None => content.above.push(Line::styled("reading the triggers", theme.active())),
        Some(Err(error)) => content.above.extend(wrapped(&text::clean(error), width, theme.bad())),
        Some(Ok(list)) => content.above.extend(head(list, width, theme)),
    }
    let lines = view.triggers().iter().enumerate().map(|(place, listed)| {
        let line = line(model, listed, width);
        if place == view.chosen { line.style(theme.selected()) } else { line }
    });
    content.middle = Middle::Lines(lines.collect());
    content.chosen = Some(view.chosen);
    if let Some(listed) = view.chosen() {
        content.below.extend(in_full(listed, width, theme));
    }
    let open = view.chosen_run().map(|_| ("Enter", "open its run"));
    content.below.push(keys(theme, &open.into_iter().chain([("Esc", "close")]).collect::<Vec<_>>()));
    content
}

fn head(list: &TriggerList, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let server = list.server.as_ref().map_or_else(
        || "nothing serves: no triggers are taken now".to_owned(),
        |server| {
            let every = server.every_ms.map(|every| format!(", every {}", text::period(every))).unwrap_or_default();
            let read_only = if server.read_only { ", read-only" } else { "" };
            let (address, operator) = (&server.address, &server.operator);
            format!("serve on {address}{read_only}{every}, of {operator} (pid {})", operator.pid)
        },
    );
    let mut lines = vec![Line::styled(fit(&text::clean(&server), width, theme), theme.strong())];
    if list.triggers.is_empty() {
        lines.push(Line::raw("no trigger has come yet"));
    }
    lines
}

fn line(model: &Model, listed: &ListedTrigger, width: usize) -> Line<'static> {
    let theme = model.theme;
    let trigger = &listed.trigger;
    let is_roomy = width >= ROOMY_COLUMNS;
    let date = cell::date(trigger.at);
    let date = if is_roomy { &date[5..] } else { &date[5..16] };
    let column = |text: &str, width: usize| {
        let text = fit(&text::clean(text), width, theme);
        let gap = " ".repeat(width.saturating_sub(text.width()));
        format!(" {text}{gap}")
    };
    let by = format!("{} {}", trigger.trigger, trigger.requested_by);
    let kind = if is_roomy { column(&trigger.kind, 16) } else { String::new() };
    let who = width.saturating_sub(date.len() + kind.width() + AFTER_WHO).min(LONGEST_WHO);
    let who = column(&by, who);
    let answer = column(trigger.answer.word(), 9);
    let answer_style = match trigger.answer {
        TriggerAnswer::Held | TriggerAnswer::ReadOnly => theme.warning(),
        TriggerAnswer::Waiting => theme.active(),
        TriggerAnswer::Started | TriggerAnswer::Joined => Style::new(),
    };
    let mut spans = vec![Span::raw(format!("{date}{who}{kind}")), Span::styled(answer, answer_style)];
    if let Some(task) = &listed.promised {
        let used: usize = spans.iter().map(Span::width).sum();
        let (became, style) = became(task, theme);
        spans.push(Span::styled(fit(&format!(" {became}"), width.saturating_sub(used), theme), style));
    }
    Line::from(spans)
}

/// What came of what was promised.
fn became(task: &TaskReport, theme: Theme) -> (String, Style) {
    match (task.run, task.outcome) {
        (Some(run), Some(outcome)) => (format!("run {run} {outcome}"), outcome_style(Some(outcome), theme)),
        (Some(run), None) => (format!("run {run}"), outcome_style(None, theme)),
        (None, Some(outcome)) => (format!("no run, {outcome}"), outcome_style(Some(outcome), theme)),
        (None, None) => ("not begun".to_owned(), theme.active()),
    }
}

/// The chosen trigger, always in as many lines, so that the list above stays where it is.
fn in_full(listed: &ListedTrigger, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let ListedTrigger { trigger, promised } = listed;
    let what =
        format!("{} {}: {}, {} UTC", trigger.trigger, trigger.requested_by, trigger.kind, cell::date(trigger.at));
    let mut lines = vec![Line::styled(fit(&text::clean(&what), width, theme), theme.strong())];
    let mut message = wrap(&text::clean(&trigger.message), width);
    let is_cut = message.len() > MESSAGE_LINES;
    message.resize(MESSAGE_LINES, String::new());
    if let Some(last) = message.last_mut().filter(|_| is_cut) {
        *last = fit(&format!("{last}{}", theme.ellipsis()), width, theme);
    }
    lines.extend(message.into_iter().map(Line::raw));
    let mut rest = Vec::new();
    if let Some(task) = promised {
        let (became, _) = became(task, theme);
        rest.push(format!("task {}: {became}", task.id));
        // Of a run that began, the run says more.
        if let (None, Some(RunOutcome::Failed), Some(error)) = (task.run, task.outcome, &task.error) {
            rest.push(text::clean(error).into_owned());
        }
    }
    if let Some(key) = &trigger.idempotency_key {
        rest.push(format!("key {}", text::clean(key)));
    }
    lines.push(Line::styled(fit(&rest.join(", "), width, theme), theme.dim()));
    lines
}
