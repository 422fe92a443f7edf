//! Figures in the little room of a table cell.

use jiff::Timestamp;

use crate::{report::DiffCounts, text};

/// A count or a size in bytes in decimal units, in at most five characters: `812`, `18.2k`, `1.0M`.
pub(super) fn compact(count: u64) -> String {
    const UNITS: [&str; 5] = ["", "k", "M", "G", "T"];
    if count < 1000 {
        return count.to_string();
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = usize::from(value < 99.95);
    format!("{value:.decimals$}{}", UNITS[unit])
}

/// A count with thousands separated where that fits into `width`, else a short one.
pub(super) fn count_within(number: u64, width: usize) -> String {
    let full = text::thousands(number);
    if full.len() <= width { full } else { compact(number) }
}

/// A difference in at most `width` characters, which may not be less than 6; `=` when nothing differs.
///
/// Where there is too little room for three figures it is their sum: a figure is never cut.
pub(super) fn change(diff: DiffCounts, width: usize) -> String {
    if diff.is_empty() {
        return "=".to_owned();
    }
    let parts = [("+", diff.added), ("-", diff.removed), ("~", diff.changed)];
    let join = |separator: &str, number: fn(u64) -> String| {
        let parts =
            parts.iter().filter(|(_, count)| *count > 0).map(|(sign, count)| format!("{sign}{}", number(*count)));
        parts.collect::<Vec<_>>().join(separator)
    };
    let rounded = |number: u64| compact(number).split('.').next().unwrap_or_default().to_owned() + unit(number);
    let forms = [join(" ", text::thousands), join("", text::thousands), join("", compact), join("", rounded)];
    let sum = diff.added + diff.removed + diff.changed;
    forms.into_iter().find(|form| form.len() <= width).unwrap_or_else(|| format!("±{}", compact(sum)))
}

fn unit(number: u64) -> &'static str {
    let short = compact(number);
    if !short.contains('.') {
        return "";
    }
    match short.as_bytes().last() {
        Some(b'k') => "k",
        Some(b'M') => "M",
        Some(b'G') => "G",
        _ => "",
    }
}

/// The age of something in at most three characters: `<1m`, `5m`, `3h`, `12d`, `2y`.
pub(super) fn age(of: Timestamp, now: Timestamp) -> String {
    let minutes = now.duration_since(of).as_mins();
    match minutes {
        ..1 => "<1m".to_owned(),
        1..60 => format!("{minutes}m"),
        60..1440 => format!("{}h", minutes / 60),
        1440..525_600 => format!("{}d", minutes / 1440),
        _ => format!("{}y", minutes / 525_600),
    }
}

/// The time of day in UTC.
pub(super) fn clock(time: Timestamp) -> String {
    time.strftime("%H:%M:%S").to_string()
}

/// Date and time in UTC.
pub(super) fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_fit_their_cells() {
        assert_eq!(
            [0, 999, 1000, 18_249, 999_949, 999_999, 389_153, 1_028_736].map(compact),
            ["0", "999", "1.0k", "18.2k", "1.0M", "1.0M", "389k", "1.0M"]
        );
        assert_eq!([812, 1024, 166_723_584].map(compact), ["812", "1.0k", "167M"]);
        assert_eq!(count_within(1_028_736, 7), "1.0M");
    }

    #[test]
    fn changes_shrink_to_the_room() {
        let diff = DiffCounts { added: 12, removed: 3, changed: 1400 };
        assert_eq!(change(diff, 20), "+12 -3 ~1,400");
        assert_eq!(change(diff, 11), "+12-3~1,400");
        assert_eq!(change(diff, 10), "+12-3~1.4k");
        assert_eq!(change(diff, 8), "+12-3~1k");
        assert_eq!(change(diff, 7), "±1.4k");
        assert_eq!(change(DiffCounts::default(), 8), "=");
        assert_eq!(change(DiffCounts { added: 2, ..DiffCounts::default() }, 8), "+2");
    }

    #[test]
    fn ages_fit_three_characters() {
        let at = |minutes: i64| Timestamp::from_second(minutes * 60).unwrap();
        assert_eq!(
            [0, 1, 59, 60, 1439, 1440, 525_600].map(|minutes| age(at(0), at(minutes))),
            ["<1m", "1m", "59m", "1h", "23h", "1d", "1y"]
        );
        assert_eq!(age(at(5), at(0)), "<1m");
    }
}
