//! Text for people: outside text made harmless for a terminal, and numbers, sizes and times in a readable form.

use std::{borrow::Cow, fmt::Write as _};

use jiff::Timestamp;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether `character` can move the cursor, reorder or hide text.
///
/// These are the control characters (C0, DEL, C1), bidirectional marks, overrides and isolates, zero-width characters,
/// line and paragraph separators, and invisible tags.
#[must_use]
pub fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// `text` on one line with every harmful character written out, such as `\n`, `\x1b` or `\u{202e}`.
///
/// Everything that comes from the source, the database or the network goes through here on its way to a terminal.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    replace_harmful(text, |character, cleaned| match character {
        '\n' => cleaned.push_str("\\n"),
        '\r' => cleaned.push_str("\\r"),
        '\t' => cleaned.push_str("\\t"),
        low if u32::from(low) < 0x100 => push(cleaned, format_args!("\\x{:02x}", u32::from(low))),
        high => push(cleaned, format_args!("\\u{{{:x}}}", u32::from(high))),
    })
}

/// The JSON document `json` with every harmful character in its strings written as `\u....`, which means the same.
///
/// Line feeds and tabs stay, as they only stand between values; so do carriage returns, which become spaces.
#[must_use]
pub fn clean_json(json: &str) -> Cow<'_, str> {
    replace_harmful(json, |character, cleaned| match character {
        '\n' | '\t' => cleaned.push(character),
        '\r' => cleaned.push(' '),
        other => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                push(cleaned, format_args!("\\u{unit:04x}"));
            }
        }
    })
}

fn replace_harmful(text: &str, mut replace: impl FnMut(char, &mut String)) -> Cow<'_, str> {
    let Some(first) = text.find(is_harmful) else { return Cow::Borrowed(text) };
    let mut cleaned = String::with_capacity(text.len() + 16);
    cleaned.push_str(&text[..first]);
    for character in text[first..].chars() {
        if is_harmful(character) {
            replace(character, &mut cleaned);
        } else {
            cleaned.push(character);
        }
    }
    Cow::Owned(cleaned)
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = text.write_fmt(arguments);
}

/// At most `longest` characters of `text`, the last one `…` when something was left out.
#[must_use]
pub fn shorten(text: &str, longest: usize) -> Cow<'_, str> {
    if text.char_indices().nth(longest).is_none() {
        return Cow::Borrowed(text);
    }
    let mut short: String = text.chars().take(longest.saturating_sub(1)).collect();
    short.push('…');
    Cow::Owned(short)
}

/// As much of `text` as fits into so many columns of a terminal, the last one `…` when something was left out.
#[must_use]
pub fn fit_columns(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let mut short = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > columns {
            break;
        }
        short.push(character);
    }
    short.push('…');
    Cow::Owned(short)
}

/// A whole number with thousands separators: `1,234,567`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut separated = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            separated.push(',');
        }
        separated.push(digit);
    }
    separated
}

/// A number of things: `1 row`, `1,203 rows`.
#[must_use]
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// A size in bytes, in decimal units: `812 B`, `18.2 kB`, `1.5 GB`.
#[must_use]
pub fn bytes(size: u64) -> String {
    if size < 1000 {
        return format!("{size} B");
    }
    let mut unit = 1000;
    for (place, name) in ["kB", "MB", "GB", "TB", "PB", "EB"].into_iter().enumerate() {
        let tenths = (u128::from(size) * 10 + unit / 2) / unit;
        if tenths < 10_000 || place == 5 {
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
        unit *= 1000;
    }
    unreachable!("the last unit returns")
}

/// A duration given in milliseconds: `812 ms`, `12.3 s`, `3 min 05 s`, `2 h 05 min`, `3 d 4 h`. Negative ones count as 0.
#[must_use]
pub fn duration(milliseconds: i64) -> String {
    let milliseconds = milliseconds.max(0);
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..60 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A period that is given in milliseconds, as it is typed: `15m`, `1h30m`, `45s`.
#[must_use]
pub fn period(milliseconds: u64) -> String {
    let mut left = milliseconds / 1000;
    let mut words = String::new();
    for (unit, seconds) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
        if left >= seconds {
            push(&mut words, format_args!("{}{unit}", left / seconds));
            left %= seconds;
        }
    }
    if words.is_empty() { format!("{milliseconds}ms") } else { words }
}

/// How long ago `then` was at `now`, in its largest unit: `just now`, `42 s ago`, `5 min ago`, `3 h ago`, `12 d ago`.
#[must_use]
pub fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - then.as_second();
    match seconds {
        // Clocks of two machines differ a little.
        ..-60 => "in the future".to_owned(),
        -60..2 => "just now".to_owned(),
        2..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// A time in UTC, to the second: `2026-11-22 10:35:50Z`.
#[must_use]
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_text_is_left_alone() {
        for text in ["", "Zoë Łukasz 日本 — <b>bio</b>", "🟢 ⚠\u{fe0f}", "a\\x1b"] {
            assert!(matches!(clean(text), Cow::Borrowed(same) if same == text), "{text}");
            assert!(matches!(clean_json(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn nothing_harmful_is_left() {
        assert_eq!(clean("\u{1b}[31mred\u{1b}[0m"), "\\x1b[31mred\\x1b[0m");
        assert_eq!(clean("a\nb\r\tc\0"), "a\\nb\\r\\tc\\x00");
        assert_eq!(clean("\u{9b}2J\u{7f}"), "\\x9b2J\\x7f");
        assert_eq!(clean("evil\u{202e}gpj.exe\u{2069}"), "evil\\u{202e}gpj.exe\\u{2069}");
        assert_eq!(clean("zero\u{200b}width\u{feff}"), "zero\\u{200b}width\\u{feff}");
        let all: String = ('\0'..=char::MAX).collect();
        assert!(!clean(&all).contains(is_harmful));
    }

    #[test]
    fn cleaned_json_means_the_same() {
        let value = serde_json::json!({"name": "a\u{202e}b\u{9b}c\u{e0041}\u{1b}[0m\n"});
        let json = serde_json::to_string_pretty(&value).unwrap();
        let cleaned = clean_json(&json);
        assert!(!cleaned.replace('\n', "").contains(is_harmful));
        assert!(cleaned.contains("\\u202e") && cleaned.contains("\\udb40\\udc41"), "{cleaned}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&cleaned).unwrap(), value);
        assert_eq!(clean_json("[1,\r\n\t2]"), "[1, \n\t2]");
    }

    #[test]
    fn shortens_by_characters() {
        assert_eq!(shorten("żółw", 4), "żółw");
        assert_eq!(shorten("żółwie", 4), "żół…");
        assert_eq!(fit_columns("日本", 4), "日本");
        assert_eq!(fit_columns("日本語", 4), "日…");
        assert_eq!(fit_columns("boards", 4), "boa…");
    }

    #[test]
    fn numbers_and_sizes() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(count(1, "row", "rows"), "1 row");
        assert_eq!(count(1203, "row", "rows"), "1,203 rows");
        for (size, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (18_211, "18.2 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (1_500_000_000, "1.5 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn durations_and_ages() {
        for (milliseconds, text) in [
            (-5, "0 ms"),
            (812, "812 ms"),
            (12_345, "12.3 s"),
            (185_000, "3 min 05 s"),
            (7_500_000, "2 h 05 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(duration(milliseconds), text);
        }
        for (milliseconds, text) in [
            (900_000, "15m"),
            (5_400_000, "1h30m"),
            (45_000, "45s"),
            (86_400_000, "1d"),
            (3_605_000, "1h5s"),
            (250, "250ms"),
        ] {
            assert_eq!(period(milliseconds), text);
        }
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        for (seconds, text) in [
            (0, "just now"),
            (-30, "just now"),
            (-3600, "in the future"),
            (42, "42 s ago"),
            (300, "5 min ago"),
            (10_800, "3 h ago"),
            (1_036_800, "12 d ago"),
        ] {
            assert_eq!(age(Timestamp::from_second(1_700_000_000 - seconds).unwrap(), now), text);
        }
        assert_eq!(time(now), "2023-11-14 22:13:20Z");
    }
}
