//! Splits a body into the elements of its list while it arrives, so that memory does not grow with the body.
//!
//! Three envelopes are accepted and nothing else: `{"data": [...]}`, `{"<endpoint key>": [...]}` and a bare array.

use std::fmt;

use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::entity::Endpoint;

/// Largest single element, in bytes; what is larger is no record.
pub const MAX_ELEMENT: usize = 16 * 1024 * 1024;

/// Deepest nesting of an element that is staged as it is. SQLite's JSON functions stop at 1,000 levels.
pub const MAX_DEPTH: usize = 500;

/// The UTF-8 byte order mark, which RFC 8259 (8.1) lets a reader ignore.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// First bytes of a body that are kept to explain what was wrong with it.
pub const EXCERPT: usize = 4 * 1024;

/// How the list was wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Envelope {
    /// `{"data": [...]}`
    Data,
    /// `{"<endpoint key>": [...]}`
    Key,
    /// `[...]`
    Array,
}

impl Envelope {
    /// The word stored with a snapshot.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Key => "key",
            Self::Array => "array",
        }
    }

    /// The form stored under `name`; what is unknown is taken for a bare array.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "data" => Self::Data,
            "key" => Self::Key,
            _ => Self::Array,
        }
    }

    /// The text before and after the list.
    #[must_use]
    pub fn around(self, endpoint: Endpoint) -> (String, &'static str) {
        match self {
            Self::Data => ("{\"data\":".to_owned(), "}"),
            Self::Key => (format!("{{\"{}\":", endpoint.key()), "}"),
            Self::Array => (String::new(), ""),
        }
    }
}

/// A body that is not one of the three envelopes, or not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableBody {
    /// What was found instead, and where.
    pub found: String,
}

impl fmt::Display for UnreadableBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.found)
    }
}

impl std::error::Error for UnreadableBody {}

/// What is known of a body once it was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodySummary {
    /// How the list was wrapped.
    pub envelope: Envelope,
    /// Size as received, after decompression, in bytes.
    pub bytes: u64,
    /// Number of elements in the list.
    pub records: u64,
    /// blake3 of the bytes as received, in hexadecimal.
    pub hash: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the very first byte.
    Opening,
    /// Before the first significant byte.
    Start,
    /// Inside a byte order mark, after so many of its bytes.
    Mark(usize),
    /// Inside `{`, before the key.
    BeforeKey,
    /// Inside the key.
    Key { escaped: bool },
    /// Between the key and its colon.
    AfterKey,
    /// Between the colon and the list.
    BeforeList,
    /// Inside the list, before an element; `first` allows the list to end here.
    BeforeElement { first: bool },
    /// Inside an object or array element.
    Nested { depth: usize, in_text: bool, escaped: bool },
    /// Inside a string element.
    Text { escaped: bool },
    /// Inside a number, `true`, `false` or `null`.
    Scalar,
    /// After an element.
    AfterElement,
    /// After the list, before the closing brace of the envelope.
    AfterList,
    /// After the whole value.
    End,
}

/// Takes a body in pieces and hands out its elements.
#[derive(Debug)]
pub struct BodyReader {
    endpoint: Endpoint,
    state: State,
    envelope: Envelope,
    key: Vec<u8>,
    element: Vec<u8>,
    deepest: usize,
    records: u64,
    bytes: u64,
    hasher: blake3::Hasher,
    excerpt: Vec<u8>,
}

impl BodyReader {
    /// A reader for a body of `endpoint`.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            state: State::Opening,
            envelope: Envelope::Array,
            key: Vec::new(),
            element: Vec::new(),
            deepest: 0,
            records: 0,
            bytes: 0,
            hasher: blake3::Hasher::new(),
            excerpt: Vec::new(),
        }
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Elements handed out so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The first kilobytes of the body, for the journal.
    #[must_use]
    pub fn excerpt(&self) -> String {
        String::from_utf8_lossy(&self.excerpt).into_owned()
    }

    /// Takes the next piece and calls `element` with the text of each element that is complete with it.
    ///
    /// An element nested deeper than [`MAX_DEPTH`] is handed out as a JSON string that holds its text, so that what is
    /// staged can always be read by SQLite; as a record it is quarantined.
    ///
    /// # Errors
    /// When the body turns out not to be one of the three envelopes, not to be UTF-8 or not to be JSON.
    pub fn push(&mut self, piece: &[u8], mut element: impl FnMut(&str)) -> Result<(), UnreadableBody> {
        self.hasher.update(piece);
        let room = EXCERPT.saturating_sub(self.excerpt.len()).min(piece.len());
        self.excerpt.extend_from_slice(&piece[..room]);
        let mut at = 0;
        while at < piece.len() {
            at += self.step(&piece[at..], &mut element)?;
        }
        self.bytes += piece.len() as u64;
        Ok(())
    }

    /// Ends the body.
    ///
    /// # Errors
    /// When it is empty or broken off.
    pub fn finish(self) -> Result<BodySummary, UnreadableBody> {
        if self.state != State::End {
            let found = if matches!(self.state, State::Opening | State::Start) {
                "an empty body".to_owned()
            } else {
                format!("a body that breaks off after {} bytes, in record {}", self.bytes, self.records)
            };
            return Err(UnreadableBody { found });
        }
        Ok(BodySummary {
            envelope: self.envelope,
            bytes: self.bytes,
            records: self.records,
            hash: self.hasher.finalize().to_hex().to_string(),
        })
    }

    /// Consumes at least one byte of `rest` and returns how many.
    fn step(&mut self, rest: &[u8], element: &mut impl FnMut(&str)) -> Result<usize, UnreadableBody> {
        let byte = rest[0];
        match self.state {
            State::Nested { .. } | State::Text { .. } | State::Scalar => return self.inside(rest, element),
            State::Key { escaped } => {
                match byte {
                    b'"' if !escaped => self.key_ends()?,
                    _ => {
                        self.key.push(byte);
                        self.state = State::Key { escaped: byte == b'\\' && !escaped };
                    }
                }
                if self.key.len() > 200 {
                    return Err(self.unexpected("an object with a very long key"));
                }
            }
            State::Opening if byte == MARK[0] => self.state = State::Mark(1),
            State::Opening => {
                self.state = State::Start;
                return self.step(rest, element);
            }
            State::Mark(seen) if MARK[seen] == byte => {
                self.state = if seen + 1 == MARK.len() { State::Start } else { State::Mark(seen + 1) };
            }
            State::Mark(_) => return Err(self.unexpected("something that is not JSON")),
            _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => {}
            State::Start => match byte {
                b'[' => self.state = State::BeforeElement { first: true },
                b'{' => self.state = State::BeforeKey,
                b'<' => return Err(self.unexpected("an HTML or XML page")),
                b'"' => return Err(self.unexpected("a text")),
                b'n' => return Err(self.unexpected("null")),
                _ => return Err(self.unexpected("something that is not JSON")),
            },
            State::BeforeKey => match byte {
                b'"' => self.state = State::Key { escaped: false },
                b'}' => return Err(self.unexpected("an empty object")),
                _ => return Err(self.broken(byte)),
            },
            State::AfterKey if byte == b':' => self.state = State::BeforeList,
            State::BeforeList if byte == b'[' => self.state = State::BeforeElement { first: true },
            State::BeforeList => {
                let key = String::from_utf8_lossy(&self.key).into_owned();
                return Err(self.unexpected(&format!("an object whose `{key}` is not a list")));
            }
            State::BeforeElement { first } => match byte {
                b']' if first => self.list_ends(),
                b',' | b']' | b'}' | b':' => return Err(self.broken(byte)),
                _ => {
                    self.element.clear();
                    self.deepest = 0;
                    self.state = match byte {
                        b'{' | b'[' => State::Nested { depth: 0, in_text: false, escaped: false },
                        b'"' => {
                            self.element.push(byte);
                            self.state = State::Text { escaped: false };
                            return Ok(1);
                        }
                        _ => State::Scalar,
                    };
                    return self.inside(rest, element);
                }
            },
            State::AfterElement => match byte {
                b',' => self.state = State::BeforeElement { first: false },
                b']' => self.list_ends(),
                _ => return Err(self.broken(byte)),
            },
            State::AfterList => match byte {
                b'}' => self.state = State::End,
                b',' => return Err(self.unexpected("an object with more keys beside its list")),
                _ => return Err(self.broken(byte)),
            },
            State::AfterKey => return Err(self.broken(byte)),
            State::End => {
                return Err(UnreadableBody {
                    found: format!("more bytes after the end of the list of {}", self.records),
                });
            }
        }
        Ok(1)
    }

    fn key_ends(&mut self) -> Result<(), UnreadableBody> {
        self.envelope = match self.key.as_slice() {
            b"data" => Envelope::Data,
            key if key == self.endpoint.key().as_bytes() => Envelope::Key,
            key => {
                let key = String::from_utf8_lossy(key).into_owned();
                return Err(self.unexpected(&format!("an object with the key `{key}`")));
            }
        };
        self.state = State::AfterKey;
        Ok(())
    }

    fn list_ends(&mut self) {
        self.state = if self.envelope == Envelope::Array { State::End } else { State::AfterList };
    }

    /// Reads on inside an element, up to its end or the end of `rest`.
    fn inside(&mut self, rest: &[u8], element: &mut impl FnMut(&str)) -> Result<usize, UnreadableBody> {
        let mut taken = rest.len();
        let mut ended = false;
        for (at, &byte) in rest.iter().enumerate() {
            match &mut self.state {
                State::Nested { in_text, escaped, .. } if *in_text => {
                    if *escaped {
                        *escaped = false;
                    } else if byte == b'\\' {
                        *escaped = true;
                    } else if byte == b'"' {
                        *in_text = false;
                    }
                }
                State::Nested { depth, in_text, .. } => match byte {
                    b'"' => *in_text = true,
                    b'{' | b'[' => {
                        *depth += 1;
                        self.deepest = self.deepest.max(*depth);
                    }
                    b'}' | b']' => {
                        *depth -= 1;
                        ended = *depth == 0;
                    }
                    _ => {}
                },
                State::Text { escaped } => {
                    if *escaped {
                        *escaped = false;
                    } else if byte == b'\\' {
                        *escaped = true;
                    } else {
                        ended = byte == b'"';
                    }
                }
                _ => {
                    if matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r') {
                        taken = at;
                        ended = true;
                        break;
                    }
                }
            }
            if ended {
                taken = at + 1;
                break;
            }
        }
        self.element.extend_from_slice(&rest[..taken]);
        if self.element.len() > MAX_ELEMENT {
            return Err(UnreadableBody {
                found: format!("record {} is larger than {} MiB", self.records, MAX_ELEMENT / (1024 * 1024)),
            });
        }
        if ended {
            self.element_ends(element)?;
            self.state = State::AfterElement;
        }
        Ok(taken)
    }

    fn element_ends(&mut self, element: &mut impl FnMut(&str)) -> Result<(), UnreadableBody> {
        let text = std::str::from_utf8(&self.element).map_err(|error| UnreadableBody {
            found: format!("record {} is not UTF-8 at its byte {}", self.records, error.valid_up_to()),
        })?;
        serde_json::from_str::<IgnoredAny>(text)
            .map_err(|error| UnreadableBody { found: format!("record {} is not JSON: {error}", self.records) })?;
        if self.deepest > MAX_DEPTH {
            element(&serde_json::Value::from(text).to_string());
        } else {
            element(text);
        }
        self.records += 1;
        Ok(())
    }

    fn unexpected(&self, found: &str) -> UnreadableBody {
        let start: String = self.excerpt().chars().take(60).collect();
        UnreadableBody { found: format!("{found}, which begins {start:?}") }
    }

    fn broken(&self, byte: u8) -> UnreadableBody {
        UnreadableBody { found: format!("unexpected {:?} after record {}", char::from(byte), self.records) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8], piece: usize) -> Result<(BodySummary, Vec<String>), UnreadableBody> {
        let mut reader = BodyReader::new(Endpoint::Talents);
        let mut elements = Vec::new();
        for part in body.chunks(piece) {
            reader.push(part, |element| elements.push(element.to_owned()))?;
        }
        reader.finish().map(|summary| (summary, elements))
    }

    /// Whatever the pieces it arrives in, a body reads the same.
    fn read_all(body: &str) -> Result<(BodySummary, Vec<String>), UnreadableBody> {
        let whole = read(body.as_bytes(), body.len().max(1));
        for piece in [1, 2, 3, 7] {
            let parts = read(body.as_bytes(), piece);
            assert_eq!(parts.is_ok(), whole.is_ok(), "{body} in pieces of {piece}");
            if let (Ok(parts), Ok(whole)) = (parts, &whole) {
                assert_eq!(&parts, whole, "{body} in pieces of {piece}");
            }
        }
        whole
    }

    #[test]
    fn takes_the_three_envelopes() {
        for (body, envelope) in [
            (r#"{"data":[{"id":"a"},{"id":"b, ]}"}]}"#, Envelope::Data),
            (r#" { "talents" : [ {"id":"a"} , {"id":"b, ]}"} ] } "#, Envelope::Key),
            ("\n[{\"id\":\"a\"},{\"id\":\"b, ]}\"}]\n", Envelope::Array),
        ] {
            let (summary, elements) = read_all(body).unwrap();
            assert_eq!(summary.envelope, envelope);
            assert_eq!(summary.records, 2);
            assert_eq!(summary.bytes, body.len() as u64);
            assert_eq!(summary.hash, blake3::hash(body.as_bytes()).to_hex().to_string());
            assert_eq!(elements, [r#"{"id":"a"}"#, r#"{"id":"b, ]}"}"#]);
        }
    }

    #[test]
    fn hands_out_elements_of_any_kind_as_received() {
        let (_, elements) = read_all(r#"[1 , "a\"]\\" ,null,[[]],{ "a" : "\\\"}" },true,-1.5e3]"#).unwrap();
        assert_eq!(elements, ["1", r#""a\"]\\""#, "null", "[[]]", r#"{ "a" : "\\\"}" }"#, "true", "-1.5e3"]);
    }

    #[test]
    fn an_empty_list_is_not_an_empty_body() {
        assert_eq!(read_all(r#"{"data":[]}"#).unwrap().0.records, 0);
        assert_eq!(read_all("[ ]").unwrap().0.records, 0);
        for body in ["", "  \n"] {
            assert_eq!(read_all(body).unwrap_err().found, "an empty body");
        }
    }

    #[test]
    fn skips_a_byte_order_mark_only_at_the_start() {
        assert_eq!(read_all("\u{feff}[1]").unwrap().1, ["1"]);
        for body in ["[1]\u{feff}", " \u{feff}[1]", "\u{feff}\u{feff}[1]"] {
            assert!(read_all(body).is_err(), "{body:?}");
        }
        assert!(read(b"\xEF\xBB[1]", 1).is_err());
    }

    #[test]
    fn says_what_it_found_instead() {
        for (body, found) in [
            ("<html><body>502</body></html>", "an HTML or XML page"),
            ("null", "null"),
            ("\"ok\"", "a text"),
            ("{}", "an empty object"),
            (r#"{"error":"no"}"#, "an object with the key `error`"),
            (r#"{"boards":[]}"#, "an object with the key `boards`"),
            (r#"{"data":null}"#, "an object whose `data` is not a list"),
            (r#"{"data":{"data":[]}}"#, "an object whose `data` is not a list"),
            (r#"{"data":[],"next":2}"#, "an object with more keys beside its list"),
            ("[1,]", "unexpected ']'"),
            ("[,1]", "unexpected ','"),
            ("[1 2]", "unexpected '2'"),
            ("[1]]", "more bytes after the end"),
            ("[1][2]", "more bytes after the end"),
            ("[1", "breaks off"),
            (r#"{"data":[{"id":"a"}]"#, "breaks off"),
            (r#"{"data":[{"id":"a"#, "breaks off"),
            ("[{]}", "record 0 is not JSON"),
            ("[{\"a\":01}]", "record 0 is not JSON"),
            ("[{\"a\":tru}]", "record 0 is not JSON"),
            ("[nul]", "record 0 is not JSON"),
            ("[{\"a\":\"\u{1}\"}]", "record 0 is not JSON"),
            ("OK", "something that is not JSON"),
        ] {
            let error = read_all(body).unwrap_err();
            assert!(error.found.contains(found), "{body}: {error}");
        }
        assert!(read(b"[\"\xff\"]", 8).unwrap_err().found.contains("not UTF-8"));
    }

    #[test]
    fn a_record_nested_too_deeply_is_handed_out_as_text() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let (summary, elements) = read(format!("[{deep},1]").as_bytes(), 1000).unwrap();
        assert_eq!(summary.records, 2);
        assert_eq!(serde_json::from_str::<String>(&elements[0]).unwrap(), deep);
        assert_eq!(elements[1], "1");
    }

    #[test]
    fn an_element_may_not_grow_without_bound() {
        let body = format!("[\"{}\"]", "x".repeat(MAX_ELEMENT + 1));
        assert!(read(body.as_bytes(), 65_536).unwrap_err().found.contains("larger than"));
    }
}
