//! Whether to end another process's run: whose it is, since when it goes on, how far it is, and what that leaves.

use ratatui::{style::Style, text::Line};

use super::{Content, answers, wrapped};
use crate::{
    console::{
        cell,
        model::{Model, name_of},
        overlay::CancelQuestion,
        view::going::stages,
    },
    text,
};

/// The question with its facts.
pub(super) fn content(model: &Model, question: &CancelQuestion, width: usize) -> Content<'static> {
    let theme = model.theme;
    let CancelQuestion { run, operator, asker, since, force, .. } = question;
    let name = name_of(*run, asker);
    let title = if *force { format!("End the process of {name}") } else { format!("Cancel {name}") };
    let mut content = Content::question(title);
    let place = if model.is_here(operator) { "on this host" } else { "on another host" };
    let age = model.now.time.as_millisecond() - since.as_millisecond();
    let age = text::duration(age.max(0) / 1000 * 1000);
    let begun = format!("It goes on since {} UTC ({age}), process {} {place}.", cell::clock(*since), operator.pid);
    content.above.extend(wrapped(&begun, width, Style::new()));
    if let Some(state) = model.going().filter(|state| state.run == *run) {
        let far = format!("It is {:.0} % done:", state.progress() * 100.0);
        let mut spans = vec![far.into()];
        spans.extend(stages(state, theme));
        content.above.push(Line::from(spans));
    }
    let other = model.other.as_ref().filter(|other| other.run == *run);
    if let Some(since) = other.and_then(|other| other.silent_since) {
        let silent = model.now.time.as_millisecond() - since.as_millisecond();
        let silent = text::duration(silent.max(0) / 1000 * 1000);
        let text = format!("It does not answer since {} UTC ({silent}).", cell::clock(since));
        content.above.extend(wrapped(&text, width, theme.warning()));
    } else if *force {
        content.above.extend(wrapped("It answers again.", width, theme.good()));
    }
    let what = if *force {
        "Its process is ended at once (SIGKILL), unless it answers by then; what it left is cleared away."
    } else if !model.is_here(operator) && other.is_some_and(|other| other.silent_since.is_some()) {
        "Asked to end, it cannot publish should it wake. Only `greenroom cancel --force` on its host ends its process."
    } else {
        "It is asked to end, which it does at once, and it says who asked."
    };
    content.above.extend(wrapped(what, width, Style::new()));
    let is_published = model.going().is_some_and(|state| state.run == *run && state.publication.is_some());
    let stays = if is_published {
        "It is published already and only clears away; what is live stays."
    } else {
        "The live views and their backups stay as they are: nothing of it was switched."
    };
    content.below.extend(wrapped(stays, width, theme.dim()));
    content.below.push(answers(theme, if *force { "end its process" } else { "cancel it" }, &[]));
    content
}
