//! Records in quarantine, and values that were left out of rows, through the runs.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{Content, Middle, keys, wrapped};
use crate::{
    console::{
        cell,
        model::Model,
        overlay::QuarantineView,
        theme::Theme,
        view::{fit, wrap},
    },
    report::{QuarantineList, QuarantineRecord},
    text,
};

/// Lines that one record takes at most.
const RECORD_LINES: usize = 6;

/// How many above, the records in the middle, keys below.
pub(super) fn content(model: &Model, view: &QuarantineView, width: usize) -> Content<'static> {
    let theme = model.theme;
    let of = if view.all { "all entities" } else { view.entity.name() };
    let mut content = Content::list(format!("Quarantine of {of}"), Vec::new());
    match &view.answer {
        None => content.above.push(Line::styled("reading the quarantine", theme.active())),
        Some(Err(error)) => content.above.extend(wrapped(&text::clean(error), width, theme.bad())),
        Some(Ok(list)) => content.above.extend(wrapped(&summary(view, list), width, theme.strong())),
    }
    let lines = view.records().iter().flat_map(|record| record_lines(record, width, theme));
    content.middle = Middle::Lines(lines.collect());
    match &view.exported {
        Some(Ok(done)) => content.below.extend(wrapped(&text::clean(done), width, theme.good())),
        Some(Err(error)) => content.below.extend(wrapped(&text::clean(error), width, theme.bad())),
        None => {}
    }
    let all = if view.all { "chosen entity" } else { "all entities" };
    let gone = if view.gone { "hide gone" } else { "gone too" };
    let hints = [("a", all), ("g", gone), ("e", "export"), ("Esc", "close")];
    content.below.push(keys(theme, &hints));
    content
}

fn summary(view: &QuarantineView, list: &QuarantineList) -> String {
    let shown = u64::try_from(list.records.len()).unwrap_or_default();
    let what = if view.gone { ", with those that the source does not send any more" } else { "" };
    if list.total == 0 {
        return format!("Nothing is in quarantine{what}.");
    }
    let part = if shown < list.total { format!(", the first {} shown", text::thousands(shown)) } else { String::new() };
    format!("{}{part}{what}.", text::count(list.total, "entry", "entries"))
}

fn record_lines(record: &QuarantineRecord, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let (style, what) = match &record.column {
        Some(column) => (Style::new(), format!("{column}: ")),
        None => (theme.warning(), String::new()),
    };
    let reason = format!("{what}{}", text::clean(&record.reason));
    let entity = format!("{} ", record.entity);
    let room = width.saturating_sub(entity.len());
    let mut lines =
        vec![Line::from(vec![Span::styled(entity, theme.strong()), Span::styled(fit(&reason, room, theme), style)])];
    let gone = record.gone_since_run.map_or_else(String::new, |run| format!(", gone since run {run}"));
    let at = |time| if width < 100 { cell::date(time)[5..16].to_owned() } else { cell::date(time) };
    let (first, last) = (at(record.first_seen_at), at(record.last_seen_at));
    let seen = format!("  first run {} ({first}), last run {} ({last}){gone}", record.first_run, record.last_run);
    lines.extend(wrapped(&seen, width, theme.dim()));
    // More than can be shown of one record is not even cleaned.
    let most = width * RECORD_LINES;
    let body = text::clean(&text::shorten(&record.record, most)).into_owned();
    let body = wrap(&body, width.saturating_sub(2));
    let cut = body.len() > RECORD_LINES;
    for (at, part) in body.into_iter().take(RECORD_LINES).enumerate() {
        let end = if cut && at + 1 == RECORD_LINES { theme.ellipsis() } else { "" };
        lines.push(Line::raw(fit(&format!("  {}{end}", part.trim_end()), width, theme)));
    }
    lines
}
