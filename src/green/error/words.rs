//! Parts of the sentences in which errors of the target are told.

use crate::{
    entity::Entity,
    report::{AppMigrationReport, Operator, OwnerReport, PublicationId, Work},
};

pub(super) fn listed(runs: &[i64]) -> String {
    if runs.is_empty() {
        return "there is no other run for which it can be done".to_owned();
    }
    let runs: Vec<_> = runs.iter().map(ToString::to_string).collect();
    format!("it can be done with run {}", runs.join(", "))
}

pub(super) fn how_to_mend(table: &str) -> &'static str {
    let name = table.to_ascii_lowercase();
    if Entity::ALL.iter().any(|entity| name.starts_with(entity.name())) {
        "`greenroom sync` makes it again"
    } else {
        "Restore a copy, or move the database away with what is beside it and let `greenroom sync` make a new one. \
         One that was given back by `release-database` meanwhile is taken over by `greenroom adopt`"
    }
}

pub(super) fn describe_migration(migration: &AppMigrationReport) -> String {
    let AppMigrationReport { command, operator, since } = migration;
    let since = crate::text::time(*since);
    format!(
        "tables stand in the place of the views for the application's migration `{command}`, which {operator} began {since}; \
         nothing was switched. Wait for its end, and should its process have died run `greenroom migrate-app true`"
    )
}

pub(super) fn by_operator(operator: Option<&Operator>) -> String {
    operator.map_or_else(String::new, |operator| format!(" by {operator} (pid {})", operator.pid))
}

pub(super) fn number(publication: Option<PublicationId>) -> String {
    publication.map_or_else(|| "none".to_owned(), |id| id.to_string())
}

pub(super) fn describe_owner(owner: Option<&OwnerReport>) -> String {
    let Some(owner) = owner else {
        return "another greenroom is at work on this database; wait for it to end".to_owned();
    };
    let since = crate::text::time(owner.since);
    if owner.answers == Some(false) {
        return format!(
            "{owner} has the lock since {since} and does not answer; `greenroom cancel --force` ends it on its host"
        );
    }
    let answers = if owner.answers == Some(true) { " and answers" } else { "" };
    if owner.work == Work::Run {
        format!(
            "{owner} is going on since {since}{answers}; wait for it with --wait, watch it with `greenroom runs --follow`, \
             or end it with `greenroom cancel`"
        )
    } else {
        format!("{owner} is going on since {since}{answers}; wait for it to end")
    }
}
