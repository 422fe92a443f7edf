//! Whether to take something back: what changes, from which generation it is, what relates across, what the hold does.

use ratatui::{style::Style, text::Line};

use super::{Content, Middle, answers, wrapped};
use crate::{
    console::{cell, model::Model, overlay::RollbackQuestion, view::fit},
    report::{CrossingReport, DiffCounts, HoldEffect, PublicationKind, RollbackPlan, SwitchReport},
    text,
};

/// The question with its figures.
pub(super) fn content(model: &Model, question: &RollbackQuestion, width: usize) -> Content<'static> {
    let theme = model.theme;
    let plan = &question.plan;
    let mut content = Content::question(title(plan));
    let back = plan.backup_published_at.map(|at| {
        let age = cell::age(at, model.now.time);
        format!(" What comes back was published {} UTC, {age} ago.", cell::date(at))
    });
    let sentences = format!("{}{}", text::clean(&describe(plan)), back.unwrap_or_default());
    content.above.extend(wrapped(&sentences, width, Style::new()));
    content.above.extend(crossing_summary(&plan.crossing).into_iter().flat_map(|sentence| {
        let more = plan.crossing.iter().any(|one| one.dangling_after > one.dangling_before);
        wrapped(&sentence, width, if more { theme.warning() } else { Style::new() })
    }));
    let heading = format!("{:<20}{:>5} {:>21} change for visitors", "entity", "from", "rows");
    content.above.push(Line::styled(fit(&heading, width, theme), theme.dim()));
    let mut lines: Vec<_> = plan.entities.iter().map(|switch| switch_line(model, switch, width)).collect();
    if !plan.crossing.is_empty() {
        lines.push(Line::styled("references that lead nowhere, now > then", theme.dim()));
    }
    for one in &plan.crossing {
        let names = format!("{}.{} to {}", one.entity, one.column, one.target);
        let counts = format!("{} > {}", text::thousands(one.dangling_before), text::thousands(one.dangling_after));
        let style = if one.dangling_after > one.dangling_before { theme.warning() } else { Style::new() };
        lines.push(Line::styled(fit(&format!("  {names:<46} {counts}"), width, theme), style));
    }
    content.middle = Middle::Lines(lines);
    if let Some(name) = model.would_not_publish() {
        let sentence = format!("The run that goes on, {name}, will then not publish.");
        content.below.extend(wrapped(&sentence, width, theme.warning()));
    }
    content.below.extend(wrapped(hold_sentence(model, question), width, Style::new()));
    let note = "All of them switch in one transaction, or none; r again undoes it.";
    content.below.extend(wrapped(note, width, theme.dim()));
    let toggle: &[_] = match (plan.hold, question.set_hold) {
        (HoldEffect::Set, true) => &[("d", "diff"), ("n", "no hold")],
        (HoldEffect::Set, false) => &[("d", "diff"), ("n", "with hold")],
        _ => &[("d", "diff")],
    };
    let yes = if is_undo(plan) { "undo it" } else { "roll back" };
    content.below.push(answers(theme, yes, toggle));
    content
}

/// Whether a rollback is itself taken back, which leads forward again.
fn is_undo(plan: &RollbackPlan) -> bool {
    plan.leads_forward
        && plan.publication.as_ref().is_some_and(|publication| publication.kind == PublicationKind::Rollback)
}

fn title(plan: &RollbackPlan) -> String {
    match &plan.publication {
        Some(_) if is_undo(plan) => "Undo the rollback".to_owned(),
        Some(_) => "Roll back".to_owned(),
        None => {
            let names: Vec<_> = plan.entities.iter().map(|switch| switch.entity.name()).collect();
            format!("Roll back {}", names.join(", "))
        }
    }
}

/// What a rollback would do, in one sentence.
fn describe(plan: &RollbackPlan) -> String {
    let Some(publication) = &plan.publication else {
        return "The newest switch of the marked entities is taken back, the others stay as they are.".to_owned();
    };
    let made = match (publication.kind, publication.run, publication.undoes, publication.replay_of) {
        (PublicationKind::Rollback, _, Some(undoes), _) => format!("a rollback of publication {undoes}"),
        (PublicationKind::Rollback, _, _, Some(run)) => format!("going back to run {run}"),
        (PublicationKind::Rollback, ..) => "a rollback of named entities".to_owned(),
        (PublicationKind::Adoption, ..) => "what was live at the adoption".to_owned(),
        (_, Some(run), ..) => format!("run {run}"),
        _ => "an unknown run".to_owned(),
    };
    let end = if is_undo(plan) { ": what it took away comes back live" } else { "" };
    format!("Publication {} ({made}, by {}) is taken back{end}.", publication.id, publication.operator)
}

fn switch_line(model: &Model, switch: &SwitchReport, width: usize) -> Line<'static> {
    let rows = format!("{} > {}", text::thousands(switch.rows_before), text::thousands(switch.rows_after));
    let room = width.saturating_sub(48).max(6);
    let change = switch.diff.map_or_else(|| "unknown".to_owned(), |diff| cell::change(diff, room));
    let versions = format!("v{}>v{}", switch.from_version, switch.to_version);
    let text = format!("{:<20}{versions} {rows:>21} {change}", switch.entity);
    let style = if switch.diff.is_some_and(DiffCounts::is_empty) { model.theme.dim() } else { Style::new() };
    Line::styled(fit(&text, width, model.theme), style)
}

/// How many relations lead from one generation to another, and what that breaks.
fn crossing_summary(crossing: &[CrossingReport]) -> Option<String> {
    if crossing.is_empty() {
        return None;
    }
    let count = u64::try_from(crossing.len()).unwrap_or_default();
    let relations = text::count(count, "relation leads", "relations lead");
    let more: u64 = crossing.iter().map(|one| one.dangling_after.saturating_sub(one.dangling_before)).sum();
    let broken = match more {
        0 => "no more references lead nowhere".to_owned(),
        more => text::count(more, "more reference leads nowhere", "more references lead nowhere"),
    };
    Some(format!("{relations} from one generation to another then; {broken}."))
}

fn hold_sentence(model: &Model, question: &RollbackQuestion) -> &'static str {
    match (question.plan.hold, question.set_hold) {
        (HoldEffect::Set, true) => "The hold is set, or the next run would publish again what is taken back.",
        (HoldEffect::Set, false) => "The hold is not set: the next run may publish again what is taken back.",
        (HoldEffect::Released, _) => "The hold that the rollback had set is released.",
        (HoldEffect::Kept, _) if model.hold().is_some() => "The hold stays set.",
        (HoldEffect::Kept, _) => "No hold is set.",
    }
}
