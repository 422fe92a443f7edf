//! The first two lines: what this is about, and how it stands as a whole.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::{
    super::{
        cell,
        model::{Model, OwnRun, name_of},
    },
    fit, going,
};
use crate::{
    report::{PublicationKind, RunOutcome, StatusReport},
    text,
};

/// `greenroom  green.db  from http://blue        publication 5, 12:03:11 UTC`
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let theme = model.theme;
    let right = match model.status.as_ref().and_then(|status| status.publication.as_ref()) {
        Some(publication) => {
            let kind = match publication.kind {
                PublicationKind::Rollback => "rollback",
                PublicationKind::Adoption => "adoption",
                PublicationKind::Sync => "publication",
            };
            format!("{kind} {} at {} UTC ", publication.id, cell::clock(publication.published_at))
        }
        None if model.status.is_some() => "nothing published yet ".to_owned(),
        None => String::new(),
    };
    let name = if model.demo { " greenroom demo " } else { " greenroom " };
    let room = usize::from(area.width).saturating_sub(name.width() + right.width() + 2);
    let source = model.source.as_deref().unwrap_or("no source set");
    let place = if model.demo {
        format!("built-in source {source}")
    } else {
        format!("{} from {source}", file_name(&model.database))
    };
    let place = fit(&text::clean(&place), room, theme);
    let gap = usize::from(area.width).saturating_sub(name.width() + place.width() + right.width() + 1);
    let line = Line::from(vec![
        Span::styled(name, theme.selected().patch(theme.strong())),
        Span::raw(" "),
        Span::raw(place),
        Span::raw(" ".repeat(gap)),
        Span::styled(right, theme.dim()),
    ]);
    frame.render_widget(line, area);
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The run that goes on, or how things stand without one.
pub(super) fn draw_overall(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let line = match (model.going(), model.own_run) {
        (Some(run), _) => going::line(model, run, area.width),
        (None, OwnRun::Going) => Line::styled(" the run begins", model.theme.active()),
        _ => idle(model),
    };
    frame.render_widget(whole_spans(line, usize::from(area.width)), area);
}

/// Leaves out what does not fit whole, from the end: a cut figure is a wrong one.
pub(super) fn whole_spans(line: Line<'static>, width: usize) -> Line<'static> {
    // A single sentence, such as an error, is shown as far as it goes.
    if line.spans.len() < 2 {
        return line;
    }
    let mut left = width;
    let fits = |span: &Span<'static>| {
        left = left.checked_sub(span.width())?;
        Some(span.clone())
    };
    Line::from(line.spans.iter().map_while(fits).collect::<Vec<_>>())
}

fn idle(model: &Model) -> Line<'static> {
    let theme = model.theme;
    if let Some(error) = &model.status_error {
        return Line::styled(format!(" {}", text::clean(error)), theme.bad());
    }
    let Some(status) = &model.status else { return Line::styled(" reading the database", theme.dim()) };
    let separator = theme.separator();
    let mut spans = vec![Span::raw(" ")];
    if !model.marks.is_empty() {
        spans.push(Span::styled(format!("{} marked", model.marks.len()), theme.strong()));
        spans.push(Span::styled(separator, theme.dim()));
    }
    match &status.running {
        Some(run) => spans.push(Span::styled(
            format!("{} (pid {}) is going on", name_of(run.id, &run.asker()), run.operator.pid),
            theme.active(),
        )),
        None => last_run(model, status, &mut spans),
    }
    let rows: u64 = status.entities.iter().map(|entity| entity.active_rows).sum();
    let size = cell::compact(status.database.bytes);
    spans.push(Span::styled(format!("{separator}{} rows live", text::thousands(rows)), theme.dim()));
    spans.push(Span::styled(format!("{separator}{size} on disk"), theme.dim()));
    Line::from(spans)
}

fn last_run(model: &Model, status: &StatusReport, spans: &mut Vec<Span<'static>>) {
    let theme = model.theme;
    let Some(run) = &status.last_run else {
        spans.push(Span::styled("no run yet; s starts one", theme.strong()));
        return;
    };
    let outcome = run.outcome.unwrap_or(RunOutcome::Failed);
    let style = match outcome {
        RunOutcome::Published => theme.good(),
        RunOutcome::Unchanged | RunOutcome::Prepared => Style::new(),
        RunOutcome::Cancelled | RunOutcome::Held => theme.warning(),
        RunOutcome::Failed | RunOutcome::Interrupted => theme.bad(),
    };
    spans.push(Span::raw(format!("run {} ", run.id)));
    spans.push(Span::styled(outcome.word(), style));
    if let Some(end) = run.finished_at {
        let took = run.duration_ms.map(text::duration).unwrap_or_default();
        spans.push(Span::raw(format!(" {} ago in {took}", cell::age(end, model.now.time))));
    }
    if model.publishable().is_some_and(|(id, _)| id == run.id) {
        spans.push(Span::styled(", p shows it", theme.strong()));
    }
    if run.requested_by.is_some() {
        spans.push(Span::raw(format!(", {}", text::clean(&run.asker()))));
    }
}
