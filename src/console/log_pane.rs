//! The log: tui-logger's widget with a formatter of our own, and the bell that tells of new lines.

use std::sync::Arc;

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use tokio::sync::Notify;
use tracing_subscriber::Layer;
use tui_logger::{ExtLogRecord, LogFormatter, TuiLoggerWidget};

use super::{model::Model, theme::Theme, view::wrap};
use crate::text;

/// Draws the log.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let widget = TuiLoggerWidget::default().formatter(Box::new(Formatter(model.theme))).state(&model.log.0);
    frame.render_widget(widget, area);
}

/// Time, level and message; what does not fit goes on in the next line.
struct Formatter(Theme);

impl LogFormatter for Formatter {
    fn min_width(&self) -> u16 {
        20
    }

    fn format(&self, width: usize, record: &ExtLogRecord) -> Vec<Line<'_>> {
        let theme = self.0;
        let (word, style) = match record.level {
            log::Level::Error => ("ERROR", theme.bad()),
            log::Level::Warn => ("WARN ", theme.warning()),
            log::Level::Info => ("INFO ", theme.good()),
            log::Level::Debug => ("DEBUG", theme.dim()),
            log::Level::Trace => ("TRACE", theme.dim()),
        };
        let time = record.timestamp.timestamp().strftime("%H:%M:%S").to_string();
        let indent = time.len() + word.len() + 2;
        let message = text::clean(record.msg().trim_start()).into_owned();
        let mut lines = Vec::new();
        for part in wrap(&message, width.saturating_sub(indent)) {
            let mut spans = if lines.is_empty() {
                vec![Span::styled(format!("{time} "), theme.dim()), Span::styled(format!("{word} "), style)]
            } else {
                vec![Span::raw(" ".repeat(indent))]
            };
            spans.push(Span::raw(part));
            lines.push(Line::from(spans));
        }
        lines
    }
}

/// A tracing layer that rings when a line was logged, so that the console need not look for lines by the clock.
#[derive(Clone, Debug, Default)]
pub struct LogBell(Arc<Notify>);

impl LogBell {
    /// Waits for the next line.
    pub async fn rung(&self) {
        self.0.notified().await;
    }
}

impl<S: tracing::Subscriber> Layer<S> for LogBell {
    fn on_event(&self, _event: &tracing::Event<'_>, _context: tracing_subscriber::layer::Context<'_, S>) {
        self.0.notify_one();
    }
}
