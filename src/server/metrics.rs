//! `GET /metrics`: figures in the text format of Prometheus.

use std::{
    fmt::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;

use super::{Shared, answer};
use crate::report::{FiguresReport, TriggerAnswer};

/// The media type of the format.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The answers to triggers that are counted.
const ANSWERS: [TriggerAnswer; 5] = [
    TriggerAnswer::Started,
    TriggerAnswer::Joined,
    TriggerAnswer::Waiting,
    TriggerAnswer::Held,
    TriggerAnswer::ReadOnly,
];

/// Triggers over HTTP by what was answered, since the process began.
#[derive(Debug, Default)]
pub(super) struct TriggerCounts([AtomicU64; ANSWERS.len()]);

impl TriggerCounts {
    /// Counts one.
    pub(super) fn count(&self, answer: TriggerAnswer) {
        for (count, _) in self.0.iter().zip(ANSWERS).filter(|(_, one)| *one == answer) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(super) async fn answer(State(shared): State<Arc<Shared>>) -> Response {
    match shared.look(async |operations| operations.figures().await).await {
        Ok(figures) => {
            let mut page = Page::default();
            page.figures(&figures, shared.operations().clock().now());
            page.process(&shared);
            ([(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")], page.0).into_response()
        }
        Err(reason) => answer::error(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}

/// What Prometheus may do with a figure.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Gauge,
}

/// A page of figures.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    /// A figure that is there with these labels, or not at all.
    fn family<V: fmt::Display>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<(&'static str, String)>, V)>,
    ) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        for (labels, value) in samples {
            let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            self.line(format_args!("{name}{labels} {value}"));
        }
    }

    /// A figure without labels.
    fn single(&mut self, kind: Kind, name: &str, help: &str, value: impl fmt::Display) {
        self.family(kind, name, help, [(Vec::new(), value)]);
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn figures(&mut self, figures: &FiguresReport, now: Timestamp) {
        use Kind::{Counter, Gauge};
        let totals = figures
            .runs
            .iter()
            .map(|total| (vec![("trigger", total.trigger.to_string()), ("outcome", total.outcome.to_string())], total));
        let runs = totals.clone().map(|(labels, total)| (labels, total.runs));
        self.family(Counter, "greenroom_runs_total", "Runs that ended, since the database was made.", runs);
        let durations = totals.map(|(labels, total)| (labels, seconds(total.duration_ms)));
        let help = "Time that those runs took together, in seconds.";
        self.family(Counter, "greenroom_run_duration_seconds_total", help, durations);
        let last = figures.last_run_ms.map(|took| (Vec::new(), seconds(took)));
        let help = "Time that the newest run took that ended, in seconds.";
        self.family(Gauge, "greenroom_last_run_duration_seconds", help, last);
        let entity = |one: &crate::report::EntityFigures| vec![("entity", one.entity.to_string())];
        let rows = figures.entities.iter().map(|one| (entity(one), one.rows));
        self.family(Gauge, "greenroom_rows", "Live rows, as counted when they were published.", rows);
        let age = |at: Timestamp| seconds(u64::try_from(now.as_millisecond() - at.as_millisecond()).unwrap_or(0));
        let ages = figures.entities.iter().filter_map(|one| Some((entity(one), age(one.published_at?))));
        let help = "Time since the live version of an entity was published, in seconds.";
        self.family(Gauge, "greenroom_entity_age_seconds", help, ages);
        let published = figures.published_at.map(|at| (Vec::new(), age(at)));
        let help = "Time since the newest publication, in seconds.";
        self.family(Gauge, "greenroom_publication_age_seconds", help, published);
        let published =
            figures.published_at.and_then(|at| Some((Vec::new(), seconds(u64::try_from(at.as_millisecond()).ok()?))));
        let help = "When the newest publication was made, in seconds since 1970.";
        self.family(Gauge, "greenroom_publication_timestamp_seconds", help, published);
        let help = "1 while the hold keeps runs from publishing, else 0.";
        self.single(Gauge, "greenroom_held", help, u8::from(figures.held));
        self.single(Gauge, "greenroom_run_going", "1 while a run goes on, else 0.", u8::from(figures.running));
        let help = "1 while a promised run has yet to begin, else 0.";
        self.single(Gauge, "greenroom_trigger_waiting", help, u8::from(figures.waiting));
        self.single(Gauge, "greenroom_database_bytes", "Size of the database, in bytes.", figures.bytes);
        let help = "Size of the write-ahead log of the database, in bytes.";
        self.single(Gauge, "greenroom_wal_bytes", help, figures.wal_bytes);
    }

    fn process(&mut self, shared: &Shared) {
        use Kind::{Counter, Gauge};
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let triggers = ANSWERS.iter().zip(&shared.triggers.0);
        let triggers = triggers.map(|(answer, count)| (vec![("answer", answer.to_string())], read(count)));
        let help = "Triggers over HTTP by their answer, since this process began.";
        self.family(Counter, "greenroom_triggers_total", help, triggers);
        let help = "Requests that did not bring the secret, since this process began.";
        self.single(Counter, "greenroom_http_unauthorized_total", help, read(&shared.unauthorized));
        let help = "Requests of addresses that had failed too often, since this process began.";
        self.single(Counter, "greenroom_http_rate_limited_total", help, read(&shared.rate_limited));
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        self.family(Gauge, "greenroom_build_info", "The version of greenroom.", [(version, 1)]);
    }
}

/// Milliseconds as seconds, exactly.
fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_as_the_format_wants_it() {
        let mut page = Page::default();
        let samples = [(vec![("name", "a\"b\\c\nd".to_owned()), ("other", String::new())], 5)];
        page.family(Kind::Counter, "x_total", "What it is.", samples);
        page.single(Kind::Gauge, "y", "Another.", seconds(61_005));
        page.family(Kind::Gauge, "z", "None.", Vec::<(Vec<_>, u64)>::new());
        let expected = "# HELP x_total What it is.\n# TYPE x_total counter\nx_total{name=\"a\\\"b\\\\c\\nd\",other=\"\"} 5\n\
                        # HELP y Another.\n# TYPE y gauge\ny 61.005\n# HELP z None.\n# TYPE z gauge\n";
        assert_eq!(page.0, expected);
    }
}
