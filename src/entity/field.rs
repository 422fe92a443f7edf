//! Reading one field of a record: the source's loose JSON against a column's type.
//!
//! The rules are those of the target's contract: a number sent as text is a number, `""` in an optional number is NULL,
//! a date without a zone is UTC and integer milliseconds are a date. Whatever else does not fit becomes NULL with a note
//! in an optional column, and sends the record to quarantine in a required one.

use std::borrow::Cow;

use jiff::{Timestamp, civil, fmt::temporal::Pieces};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{names::AnyNames, table::Value};

/// Longest piece of a value that is repeated in a note or reason, in characters.
const EXCERPT: usize = 80;

/// Furthest date that the reading application can hold, in milliseconds either side of 1970 (ECMA-262, 21.4.1.1).
const DATE_LIMIT: i64 = 8_640_000_000_000_000;

/// A field of a record, its text as received; missing and `null` are the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Field<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self)
    }
}

/// Why a record cannot become a row.
#[derive(Debug, PartialEq, Eq)]
pub struct Rejection(pub String);

/// A value that was changed or left out so that its record could become a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The column concerned.
    pub column: &'static str,
    /// What did not fit and what was stored instead.
    pub problem: String,
}

impl<'a> Field<'a> {
    /// The field's JSON text, `None` when it is missing or null.
    #[must_use]
    pub fn raw(self) -> Option<&'a str> {
        self.0.map(RawValue::get)
    }

    /// The elements of a list.
    ///
    /// # Errors
    /// When the field is missing, null or not a list.
    pub fn list(self, name: &'static str) -> Result<Vec<&'a RawValue>, Rejection> {
        let raw = self.raw().ok_or_else(|| Rejection(format!("{name}: missing, expected a list")))?;
        if !raw.starts_with('[') {
            return Err(Rejection(format!("{name}: expected a list, found {}", kind_of(raw))));
        }
        serde_json::from_str(raw).map_err(|error| Rejection(format!("{name}: {error}")))
    }
}

/// Reads the object `text` as a `T`.
///
/// # Errors
/// When `text` is not an object or names one of `T`'s fields twice.
pub fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Rejection> {
    if !text.starts_with('{') {
        return Err(Rejection(format!("expected an object, found {}", kind_of(text))));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = T::deserialize(AnyNames(&mut deserializer)).and_then(|read| deserializer.end().map(|()| read));
    read.map_err(|error| {
        // serde_json ends its messages with a position inside the record, which says nothing to a reader of the reason.
        let message = error.to_string();
        Rejection(message.split(" at line ").next().unwrap_or(&message).to_owned())
    })
}

/// What kind of JSON value a text is, in words.
#[must_use]
pub fn kind_of(raw: &str) -> String {
    match raw.as_bytes().first() {
        Some(b'{') => "an object".to_owned(),
        Some(b'[') => "a list".to_owned(),
        Some(b'"') => format!("the text {}", excerpt(raw)),
        Some(b't' | b'f') => format!("the boolean {raw}"),
        Some(b'n') => "null".to_owned(),
        Some(_) => format!("the number {}", excerpt(raw)),
        None => "nothing".to_owned(),
    }
}

fn excerpt(raw: &str) -> Cow<'_, str> {
    match raw.char_indices().nth(EXCERPT) {
        Some((end, _)) => Cow::Owned(format!("{}…", &raw[..end])),
        None => Cow::Borrowed(raw),
    }
}

/// Reads the cells of one record, collecting notes on values that did not fit.
#[derive(Debug, Default)]
pub struct Cells {
    /// Notes so far.
    pub notes: Vec<Note>,
}

impl Cells {
    /// A text that the record needs; `""` counts as missing.
    ///
    /// # Errors
    /// When it is missing, empty or not a text.
    pub fn text(&mut self, column: &'static str, field: Field<'_>) -> Result<String, Rejection> {
        let raw = field.raw().ok_or_else(|| missing(column))?;
        match self.decode(column, raw) {
            Some(text) if text.is_empty() => Err(Rejection(format!("{column}: empty"))),
            Some(text) => Ok(text),
            None => Err(unfit(column, "a text", raw)),
        }
    }

    /// A text as it came, NULL when missing.
    pub fn optional_text(&mut self, column: &'static str, field: Field<'_>) -> Value {
        let Some(raw) = field.raw() else { return Value::Null };
        match self.decode(column, raw) {
            Some(text) => Value::Text(text),
            None => self.left_out(column, "a text", raw),
        }
    }

    /// A text as it came, NULL when missing or empty.
    pub fn filled_text(&mut self, column: &'static str, field: Field<'_>) -> Value {
        match self.optional_text(column, field) {
            Value::Text(text) if text.is_empty() => Value::Null,
            value => value,
        }
    }

    /// The `name` of an object, or a plain string; NULL when missing or empty.
    pub fn name_or_text(&mut self, column: &'static str, field: Field<'_>) -> Value {
        #[derive(Deserialize)]
        struct Named<'a> {
            #[serde(borrow, default)]
            name: Field<'a>,
        }
        match field.raw() {
            Some(raw) if raw.starts_with('{') => match object::<Named<'_>>(raw) {
                Ok(named) => self.filled_text(column, named.name),
                Err(Rejection(problem)) => {
                    self.note(column, format!("{problem}; stored NULL"));
                    Value::Null
                }
            },
            _ => self.filled_text(column, field),
        }
    }

    /// A whole number that the record needs.
    ///
    /// # Errors
    /// When it is missing, not a number, has a fraction or is beyond 64 bits.
    pub fn integer(&mut self, column: &'static str, field: Field<'_>) -> Result<Value, Rejection> {
        let raw = field.raw().ok_or_else(|| missing(column))?;
        whole_number(raw).map(Value::Integer).ok_or_else(|| unfit(column, "a whole number of at most 64 bits", raw))
    }

    /// A whole number; 0 with a note when it is missing, as the column may not be NULL and the record does not need it.
    ///
    /// # Errors
    /// When it is there and does not fit.
    pub fn integer_or_zero(&mut self, column: &'static str, field: Field<'_>) -> Result<Value, Rejection> {
        if field.raw().is_some() {
            return self.integer(column, field);
        }
        self.note(column, "missing; stored 0".to_owned());
        Ok(Value::Integer(0))
    }

    /// A finite number, NULL when missing or `""`.
    pub fn optional_real(&mut self, column: &'static str, field: Field<'_>) -> Value {
        let Some(raw) = field.raw() else { return Value::Null };
        if raw == "\"\"" {
            return Value::Null;
        }
        match number_text(raw).and_then(|text| text.parse::<f64>().ok()).filter(|number| number.is_finite()) {
            Some(number) => Value::Real(number),
            None => self.left_out(column, "a number", raw),
        }
    }

    /// A boolean as 0 or 1; 0 with a note when it is missing.
    ///
    /// # Errors
    /// When it is there and is neither a boolean nor 0 or 1.
    pub fn boolean_or_false(&mut self, column: &'static str, field: Field<'_>) -> Result<Value, Rejection> {
        match field.raw() {
            None => {
                self.note(column, "missing; stored 0".to_owned());
                Ok(Value::Integer(0))
            }
            Some("true" | "1" | "\"true\"" | "\"1\"") => Ok(Value::Integer(1)),
            Some("false" | "0" | "\"false\"" | "\"0\"") => Ok(Value::Integer(0)),
            Some(raw) => Err(unfit(column, "true or false", raw)),
        }
    }

    /// A date in milliseconds since 1970.
    ///
    /// # Errors
    /// When it is missing or cannot be read as a date.
    pub fn date(&mut self, column: &'static str, field: Field<'_>) -> Result<Value, Rejection> {
        let raw = field.raw().ok_or_else(|| missing(column))?;
        milliseconds(raw).map(Value::Integer).ok_or_else(|| unfit(column, "a date", raw))
    }

    fn decode(&mut self, column: &'static str, raw: &str) -> Option<String> {
        let (text, replaced) = decode_text(raw)?;
        if replaced > 0 {
            self.note(column, format!("{replaced} lone surrogate escape(s); stored U+FFFD"));
        }
        Some(text)
    }

    fn left_out(&mut self, column: &'static str, wanted: &str, raw: &str) -> Value {
        let Rejection(problem) = unfit(column, wanted, raw);
        let problem = problem.split_once(": ").map_or(problem.as_str(), |(_, rest)| rest);
        self.note(column, format!("{problem}; stored NULL"));
        Value::Null
    }

    fn note(&mut self, column: &'static str, problem: String) {
        self.notes.push(Note { column, problem });
    }
}

fn missing(column: &str) -> Rejection {
    Rejection(format!("{column}: missing"))
}

fn unfit(column: &str, wanted: &str, raw: &str) -> Rejection {
    Rejection(format!("{column}: expected {wanted}, found {}", kind_of(raw)))
}

/// Decodes a JSON string literal; `None` when `raw` is not one.
///
/// A surrogate escape without its partner becomes U+FFFD; the second value counts them.
#[must_use]
pub fn decode_text(raw: &str) -> Option<(String, usize)> {
    if !raw.starts_with('"') {
        return None;
    }
    if let Ok(text) = serde_json::from_str(raw) {
        return Some((text, 0));
    }
    let (repaired, replaced) = replace_lone_surrogates(raw);
    serde_json::from_str(&repaired).ok().map(|text| (text, replaced))
}

/// Rewrites `\uD800`-`\uDFFF` escapes that are not half of a pair (RFC 8259, section 8.2) as `\uFFFD`.
fn replace_lone_surrogates(raw: &str) -> (String, usize) {
    let escape = |at: usize| -> Option<u32> {
        let digits = raw.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut repaired = String::with_capacity(raw.len());
    let mut replaced = 0;
    let mut rest = raw;
    while let Some(found) = rest.find('\\') {
        let at = raw.len() - rest.len() + found;
        repaired.push_str(&rest[..found]);
        let length = match escape(at) {
            Some(0xD800..=0xDBFF) if matches!(escape(at + 6), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                repaired.push_str("\\uFFFD");
                replaced += 1;
                rest = &raw[at + 6..];
                continue;
            }
            Some(_) => 6,
            None => 2,
        };
        let end = (at + length).min(raw.len());
        repaired.push_str(&raw[at..end]);
        rest = &raw[end..];
    }
    repaired.push_str(rest);
    (repaired, replaced)
}

/// The JSON number in `raw`, be it sent as a number or as a text that holds one.
fn number_text(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
        b'"' => {
            let (text, _) = decode_text(raw)?;
            let text = text.trim();
            let text = text.strip_prefix('+').filter(|rest| !rest.starts_with('-')).unwrap_or(text);
            let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
                && serde_json::from_str::<&RawValue>(text).is_ok();
            is_number.then(|| Cow::Owned(text.to_owned()))
        }
        _ => None,
    }
}

/// The whole number in a JSON number, also where it is written with a fraction of zeros or an exponent.
fn whole_number(raw: &str) -> Option<i64> {
    let text = number_text(raw)?;
    if let Ok(number) = text.parse::<i64>() {
        return Some(number);
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let shift = exponent.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let mut digits = format!("{whole}{fraction}");
    for _ in shift..0 {
        match digits.pop() {
            Some('0') => {}
            // Only zeros stood there.
            None | Some('-') => return Some(0),
            Some(_) => return None,
        }
    }
    if matches!(digits.as_str(), "" | "-") {
        return Some(0);
    }
    // More zeros than fit into 64 bits are only fine after nothing but zeros.
    digits.extend(std::iter::repeat_n('0', usize::try_from(shift.clamp(0, 20)).ok()?));
    digits.parse().ok()
}

/// Milliseconds since 1970 of an ISO 8601 text (RFC 3339 and its relaxed forms), UTC where it names no zone, or of integer
/// milliseconds.
pub(crate) fn milliseconds(raw: &str) -> Option<i64> {
    if let Some(number) = number_text(raw) {
        return number.parse::<i64>().ok().filter(|number| (-DATE_LIMIT..=DATE_LIMIT).contains(number));
    }
    let (text, _) = decode_text(raw)?;
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    // Without a zone, or in the last hours of the year 9999, which a `Timestamp` does not reach but "for ever" often is.
    let pieces = Pieces::parse(text).ok()?;
    let local = pieces.date().to_datetime(pieces.time().unwrap_or_default());
    let since = local.duration_since(civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_millis();
    let offset = i128::from(pieces.to_numeric_offset().map_or(0, jiff::tz::Offset::seconds)) * 1000;
    i64::try_from(since - offset).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(json: &str, read: impl FnOnce(&mut Cells, Field<'_>) -> T) -> (T, Vec<Note>) {
        let mut cells = Cells::default();
        let field: Field<'_> = serde_json::from_str(json).unwrap();
        let value = read(&mut cells, field);
        (value, cells.notes)
    }

    #[test]
    fn numbers_sent_as_text_are_numbers() {
        let real = |json| with(json, |cells, field| cells.optional_real("heightCm", field));
        assert_eq!(real("178.5").0, Value::Real(178.5));
        assert_eq!(real("\"178.5\"").0, Value::Real(178.5));
        assert_eq!(real("\" 178 \"").0, Value::Real(178.0));
        assert_eq!(real("\"+178.5\"").0, Value::Real(178.5));
        assert_eq!(real("\"\""), (Value::Null, vec![]));
        assert_eq!(real("null"), (Value::Null, vec![]));
        for unfit in
            ["\"tall\"", "1e400", "true", "{}", "[1]", "\"NaN\"", "\"0x10\"", "\"1 2\"", "\" \"", "\"+-1\"", "\"+\""]
        {
            let (value, notes) = real(unfit);
            assert_eq!(value, Value::Null, "{unfit}");
            assert_eq!(notes.len(), 1, "{unfit}");
            assert!(notes[0].problem.starts_with("expected a number, found "), "{}", notes[0].problem);
        }
    }

    #[test]
    fn integers_take_whole_numbers_of_64_bits() {
        let integer = |json| with(json, |cells, field| cells.integer("size", field)).0;
        for (json, number) in [
            ("7", 7),
            ("\"7\"", 7),
            ("7.0", 7),
            ("1e3", 1000),
            ("-0", 0),
            ("-70e-1", -7),
            ("0.0", 0),
            ("0e999", 0),
            ("1e18", 1_000_000_000_000_000_000),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(integer(json), Ok(Value::Integer(number)), "{json}");
        }
        for json in [
            "7.5",
            "\"7.5\"",
            "0.5",
            "5e-1",
            "1e-1",
            "75e-1",
            "9223372036854775808",
            "1e19",
            "1e400",
            "\"x\"",
            "true",
            "{}",
            "[]",
            "\"\"",
        ] {
            assert!(integer(json).is_err(), "{json}");
        }
        assert_eq!(integer("null"), Err(Rejection("size: missing".into())));
    }

    #[test]
    fn dates_are_iso_text_or_milliseconds() {
        let date = |json| with(json, |cells, field| cells.date("createdAt", field)).0;
        let expected = Ok(Value::Integer(1_704_448_800_123));
        for json in [
            "\"2024-01-05T10:00:00.123Z\"",
            "\"2024-01-05T11:00:00.123+01:00\"",
            "\"2024-01-05T10:00:00.123\"",
            "\"2024-01-05 10:00:00.123\"",
            "\"2024-01-05T10:00:00.123999Z\"",
            "1704448800123",
            "\"1704448800123\"",
        ] {
            assert_eq!(date(json), expected, "{json}");
        }
        assert_eq!(date("\"2024-01-05\""), Ok(Value::Integer(1_704_412_800_000)));
        for (json, milliseconds) in [
            ("\"9999-12-31\"", 253_402_214_400_000),
            ("\"9999-12-31T23:59:59.999Z\"", 253_402_300_799_999),
            ("\"9999-12-31T23:59:59.999-01:00\"", 253_402_304_399_999),
            ("\"1969-12-31T23:59:59.999\"", -1),
        ] {
            assert_eq!(date(json), Ok(Value::Integer(milliseconds)), "{json}");
        }
        for json in
            ["\"soon\"", "\"\"", "\"2024-02-30T00:00:00Z\"", "1.5", "true", "{}", "9000000000000000", "\"24:00\""]
        {
            assert!(date(json).is_err(), "{json}");
        }
    }

    #[test]
    fn texts_are_kept_as_they_came() {
        let text = |json| with(json, |cells, field| cells.text("title", field));
        assert_eq!(text("\"a\\u0000\\u0007\\t<b>\"").0, Ok("a\0\u{7}\t<b>".into()));
        assert_eq!(text("\"\\ud83d\\ude00\"").0, Ok("😀".into()));
        assert_eq!(text("\"\"").0, Err(Rejection("title: empty".into())));
        assert_eq!(text("7").0, Err(Rejection("title: expected a text, found the number 7".into())));
        assert!(text("true").0.is_err());
        assert!(text("{\"a\":1}").0.is_err());
    }

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character() {
        let (value, notes) =
            with(r#""a\ud800b\\ud800\udc00\ud83d\ude00é\"""#, |cells, field| cells.text("title", field));
        assert_eq!(value, Ok("a\u{fffd}b\\ud800\u{fffd}😀é\"".into()));
        assert_eq!(notes.len(), 1);
        assert_eq!(decode_text(r#""\udbff""#), Some(("\u{fffd}".into(), 1)));
        assert_eq!(decode_text(r#""\ud83d\ud83d\ude00""#), Some(("\u{fffd}😀".into(), 1)));
    }

    #[test]
    fn names_come_from_objects_and_strings() {
        let name = |json| with(json, |cells, field| cells.name_or_text("category", field));
        assert_eq!(name(r#"{"id":"x","name":"Editorial"}"#).0, Value::Text("Editorial".into()));
        assert_eq!(name("\"Editorial\"").0, Value::Text("Editorial".into()));
        assert_eq!(name("\"\""), (Value::Null, vec![]));
        assert_eq!(name("{}"), (Value::Null, vec![]));
        assert_eq!(name("7").1.len(), 1);
        assert_eq!(name("[\"Editorial\"]").1.len(), 1);
    }

    #[test]
    fn booleans_are_zero_or_one() {
        let boolean = |json| with(json, |cells, field| cells.boolean_or_false("isDefault", field));
        assert_eq!(boolean("true"), (Ok(Value::Integer(1)), vec![]));
        assert_eq!(boolean("0"), (Ok(Value::Integer(0)), vec![]));
        assert_eq!(boolean("\"true\"").0, Ok(Value::Integer(1)));
        assert_eq!(boolean("null").1.len(), 1);
        assert!(boolean("2").0.is_err());
        assert!(boolean("\"yes\"").0.is_err());
    }

    #[test]
    fn records_must_be_objects_with_each_field_once() {
        #[derive(Debug, Deserialize)]
        struct Record<'a> {
            #[serde(borrow, default)]
            id: Field<'a>,
        }
        for text in [
            r#"{"id":"a","x":{}}"#,
            r#"{"\ud800":1,"id":"a"}"#,
            r#"{"id":"a","\udc00x":{"\udbff":[]}}"#,
            r#"{"\u0069d":"a","id\ud800":"b","":2}"#,
        ] {
            assert_eq!(object::<Record<'_>>(text).unwrap().id.raw(), Some("\"a\""), "{text}");
        }
        for (text, reason) in [
            ("null", "expected an object, found null"),
            ("[\"a\"]", "expected an object, found a list"),
            (r#"{"id":"a","id":"b"}"#, "duplicate field `id`"),
            (r#"{"id":"a","\u0069d":"b"}"#, "duplicate field `id`"),
        ] {
            assert_eq!(object::<Record<'_>>(text).unwrap_err().0, reason);
        }
    }
}
