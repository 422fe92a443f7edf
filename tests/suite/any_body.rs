//! Bodies as the nine endpoints may come to send them: records that look real, most of them good, and all that JSON
//! allows.
//!
//! Everything is made as text, as the worst of it (fields named twice, numbers that no type holds, halves of surrogate
//! pairs) would not survive in a parsed value.

use std::fmt;

use greenroom::{blue::Envelope, entity::Endpoint};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    strategy::Union,
    string::string_regex,
};

/// Makes JSON texts.
type Text = BoxedStrategy<String>;

/// The name of a field, and what makes the values that stand under it: mostly one, now and then none or two.
type Field = (&'static str, BoxedStrategy<Vec<String>>);

/// One element of a body.
#[derive(Clone)]
pub(crate) enum Element {
    /// A value without a list of records, or one in which the list is not a list.
    Whole(String),
    /// The owner of a list: the text before the list's items, the items, the text after them.
    Owner(String, Vec<String>, String),
}

impl Element {
    /// Its JSON text.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Whole(text) => text.clone(),
            Self::Owner(before, items, after) => format!("{before}{}{after}", items.join(",")),
        }
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text())
    }
}

/// What is there in place of a good value, beside all other JSON.
const ODD: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "-0",
    "-0.0",
    "1.5",
    "1e400",
    "-1e400",
    "1e-400",
    "0e99999999999999999999",
    "1e-9223372036854775808",
    "9223372036854775808",
    "123456789012345678901234567890123456789012345678901234567890",
    "8640000000000001",
    "\"\"",
    "\" \"",
    "\"-\"",
    "\"+1\"",
    "\"1e5\"",
    "\"NaN\"",
    "\"0x10\"",
    "\"9999-12-31T23:59:60.999-23:59\"",
    "\"-009999-01-01T00:00:00+23:59\"",
    "\"2024-02-30\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800x\\\\ud800\"",
    "\"\\u0000\"",
    "\"\\u001b[2J\\u202e\"",
    "\"\u{7f}\u{2028}\u{feff}\u{10ffff}\"",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "{\"name\":7}",
    "{\"name\":\"a\",\"name\":\"b\"}",
    "{\"id\":\"a\"}",
    "[{\"id\":\"a\"}]",
];

/// Names of fields that nobody reads, or that turn out to be names that are read.
const NAMES: &[&str] =
    &["\"x\"", "\"\"", "\"ID\"", "\"\\u0069d\"", "\"\\ud800\"", "\"\\\"\"", "\"talents\"", "\"data\""];

/// Names of fields that are read, as they stand in an object.
const READ: &[&str] = &[
    "\"id\"",
    "\"title\"",
    "\"firstName\"",
    "\"talentUserNumber\"",
    "\"boardId\"",
    "\"talentId\"",
    "\"portfolioId\"",
    "\"talents\"",
    "\"portfolios\"",
    "\"media\"",
    "\"tags\"",
    "\"socials\"",
    "\"measurements\"",
];

/// Any JSON value.
pub(crate) fn any_json() -> Text {
    let leaf = prop_oneof![select(ODD).prop_map(str::to_owned), literal(), number()];
    let nested = leaf.prop_recursive(4, 16, 4, |inner| {
        let name = prop_oneof![4 => select(READ).prop_map(str::to_owned), 1 => literal()];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            vec((name, inner), 0..4).prop_map(|fields| {
                let fields: Vec<_> = fields.into_iter().map(|(name, value)| format!("{name} : {value}")).collect();
                format!("{{{}}}", fields.join(",\n"))
            }),
        ]
    });
    nested.boxed()
}

/// Texts of this form; unlike a plain `&str` it is read as a pattern only once.
fn form(pattern: &str) -> Text {
    string_regex(pattern).unwrap().boxed()
}

/// Any number, beyond all types too.
fn number() -> Text {
    let digits = "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?";
    prop_oneof![any::<i64>().prop_map(|number| number.to_string()), form(digits)].boxed()
}

/// Any text in quotes: characters as they are, and escapes of all kinds.
fn literal() -> Text {
    let plain = vec(any::<char>(), 0..8).prop_map(|text| serde_json::to_string(&String::from_iter(text)).unwrap());
    let escaped = "\"(\\\\u[0-9a-fA-F]{4}|\\\\u[dD][89a-fA-F][0-9a-f]{2}|\\\\[bfnrt/\\\\\"]|[a-c:%]|😀){0,6}\"";
    prop_oneof![form(escaped), plain].boxed()
}

/// Brackets within brackets.
fn deep() -> Text {
    (select(&[3, 127, 200, 600, 3_000][..]), any::<bool>())
        .prop_map(|(depth, object)| {
            let (open, close) = if object { ("{\"id\":", "}") } else { ("[", "]") };
            format!("{}1{}", open.repeat(depth), close.repeat(depth))
        })
        .boxed()
}

/// What is not what belongs there.
fn odd() -> Text {
    prop_oneof![8 => select(ODD).prop_map(str::to_owned), 4 => any_json(), 1 => deep()].boxed()
}

/// A field that is mostly `good`: else missing, null, odd, or there twice.
fn field(name: &'static str, good: Text) -> Field {
    let values = prop_oneof![
        72 => good.clone().prop_map(|value| vec![value]),
        1 => Just(Vec::new()),
        1 => Just(vec!["null".to_owned()]),
        2 => odd().prop_map(|value| vec![value]),
        1 => (good, odd()).prop_map(|(one, other)| vec![one, other]),
    ];
    (name, values.boxed())
}

/// Texts of all `fields`, starting with any of them, with a field that nobody knows now and then.
fn members(fields: Vec<Field>) -> BoxedStrategy<Vec<String>> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let more = prop_oneof![9 => Just(None), 1 => (select(NAMES), odd()).prop_map(Some)];
    (values, more, any::<Index>(), select(&["", " ", "\t\r\n"][..]))
        .prop_map(move |(values, more, first, space)| {
            let fields = names.iter().zip(values);
            let mut members: Vec<_> =
                fields.flat_map(|(name, values)| values.into_iter().map(move |value| (*name, value))).collect();
            if !members.is_empty() {
                let first = first.index(members.len());
                members.rotate_left(first);
            }
            let members = members.into_iter().map(|(name, value)| format!("{space}\"{name}\"{space}:{space}{value}"));
            let more = more.map(|(name, value)| format!("{name}:{value}{space}"));
            members.chain(more).collect()
        })
        .boxed()
}

fn object(fields: Vec<Field>) -> Text {
    members(fields).prop_map(|members| format!("{{{}}}", members.join(","))).boxed()
}

/// An object with these fields, or now and then anything else.
fn record(fields: Vec<Field>) -> Text {
    prop_oneof![24 => object(fields), 1 => odd()].boxed()
}

fn whole(fields: Vec<Field>) -> BoxedStrategy<Element> {
    record(fields).prop_map(Element::Whole).boxed()
}

/// An owner with its key and the list of its records.
fn owner(key: &'static str, list: &'static str, item: Vec<Field>) -> BoxedStrategy<Element> {
    let good = (members(vec![field(key, id())]), vec(record(item.clone()), 0..5), any::<bool>());
    let good = good.prop_map(move |(members, items, first)| {
        let rest = members.join(",");
        let comma = if rest.is_empty() { "" } else { "," };
        if first {
            Element::Owner(format!("{{\"{list}\":["), items, format!("]{comma}{rest}}}"))
        } else {
            Element::Owner(format!("{{{rest}{comma}\"{list}\": [ "), items, " ]}".to_owned())
        }
    });
    let items = vec(record(item), 0..3).prop_map(|items| format!("[{}]", items.join(","))).boxed();
    prop_oneof![16 => good, 1 => whole(vec![field(key, id()), field(list, items)]), 1 => whole(vec![field(list, odd())])]
        .boxed()
}

/// An id: mostly one of many, often one of few, and some that look alike.
fn id() -> Text {
    let alike = &["\"a\"", "\"\\u0061\"", "\"A\"", "\"a:b\"", "\"b\"", "\"b:a\"", "\"a%3Ab\"", "\"a \""][..];
    prop_oneof![
        9 => (0..900).prop_map(|number| format!("\"i{number}\"")),
        2 => (0..3).prop_map(|number| format!("\"i{number}\"")),
        1 => select(alike).prop_map(str::to_owned),
        1 => literal(),
    ]
    .boxed()
}

fn text() -> Text {
    prop_oneof![4 => form("\"[A-Za-z<> é李]{1,8}\""), 1 => literal()].boxed()
}

fn optional_text() -> Text {
    prop_oneof![4 => text(), 1 => Just("\"\"".to_owned()), 1 => Just("null".to_owned())].boxed()
}

fn integer() -> Text {
    let other = &["7.0", "1e3", "\"42\"", "\" 8 \"", "-70e-1", "9223372036854775807", "-9223372036854775808"][..];
    let few_or_many = prop_oneof![9 => -9..900_i64, 1 => 0..3_i64];
    prop_oneof![9 => few_or_many.prop_map(|number| number.to_string()), 1 => select(other).prop_map(str::to_owned)]
        .boxed()
}

fn real() -> Text {
    let sent_as_text = form("\"[1-9][0-9]{1,2}(\\.5)?\"");
    prop_oneof![
        4 => form("[1-9][0-9]{0,2}\\.[0-9]{1,2}"),
        2 => sent_as_text,
        1 => integer(),
        1 => Just("\"\"".to_owned()),
    ]
    .boxed()
}

fn date() -> Text {
    let time = "\"20[0-9]{2}-0[1-9]-[12][0-9]T[01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]0[0-9]:30)?\"";
    prop_oneof![
        4 => form(time),
        1 => form("\"19[0-9]{2}-1[0-2]-0[1-9]\""),
        1 => any::<u32>().prop_map(|seconds| format!("{seconds}000")),
    ]
    .boxed()
}

fn boolean() -> Text {
    select(&["true", "false", "0", "1", "\"true\""][..]).prop_map(str::to_owned).boxed()
}

/// A plain name, or an object with one.
fn name() -> Text {
    prop_oneof![optional_text(), object(vec![field("id", id()), field("name", text())])].boxed()
}

fn measurements() -> Text {
    let reals = [
        "heightCm",
        "weightKg",
        "bustCm",
        "waistCm",
        "hipsCm",
        "shoeSizeEu",
        "weightLbs",
        "bustIn",
        "waistIn",
        "hipsIn",
        "shoeSizeUs",
    ];
    let texts = ["userTalentId", "heightFtIn", "eyeColor", "hairColor"];
    let mut fields = vec![field("id", id()), field("createdAt", date()), field("updatedAt", date())];
    fields.extend(reals.map(|name| field(name, real())));
    fields.extend(texts.map(|name| field(name, optional_text())));
    object(fields)
}

/// One element of the list of `endpoint`.
fn element(endpoint: Endpoint) -> BoxedStrategy<Element> {
    match endpoint {
        Endpoint::Talents => whole(vec![
            field("id", id()),
            field("firstName", text()),
            field("lastName", text()),
            field("talentUserNumber", integer()),
            field("bio", optional_text()),
            field("profileImage", optional_text()),
            field("gender", optional_text()),
            field("pronouns", optional_text()),
            field("talentType", name()),
        ]),
        Endpoint::Boards => whole(vec![
            field("id", id()),
            field("title", text()),
            field("description", optional_text()),
            field("coverImage", optional_text()),
        ]),
        Endpoint::MediaTags => {
            owner("id", "tags", vec![field("id", id()), field("name", text()), field("slug", text())])
        }
        Endpoint::TalentsPortfolios => owner(
            "talentId",
            "portfolios",
            vec![
                field("id", id()),
                field("title", text()),
                field("description", optional_text()),
                field("isDefault", boolean()),
                field("category", name()),
                field("coverImage", optional_text()),
            ],
        ),
        Endpoint::PortfoliosMedia => owner(
            "portfolioId",
            "media",
            vec![
                field("id", id()),
                field("type", text()),
                field("url", text()),
                field("filename", text()),
                field("coverImage", optional_text()),
                field("order", integer()),
                field("width", integer()),
                field("height", integer()),
                field("size", integer()),
                field("caption", optional_text()),
                field("tags", any_json()),
            ],
        ),
        Endpoint::TalentsMeasurements => whole(vec![field("id", id()), field("measurements", measurements())]),
        Endpoint::TalentsSocials => {
            owner("id", "socials", vec![field("platform", id()), field("username", text()), field("url", text())])
        }
        Endpoint::BoardsTalents => owner("boardId", "talents", vec![field("id", id())]),
        Endpoint::BoardsPortfolios => owner("boardId", "portfolios", vec![field("id", id()), field("talentId", id())]),
    }
}

/// The list of a body of `endpoint`, with at most `most` elements, and now and then some of them twice.
pub(crate) fn body(endpoint: Endpoint, most: usize) -> BoxedStrategy<Vec<Element>> {
    let again = prop_oneof![2 => Just(Vec::new()), 1 => vec(any::<Index>(), 1..4)];
    (vec(element(endpoint), 0..=most), again)
        .prop_map(|(mut elements, again)| {
            let count = elements.len();
            for place in again.iter().filter(|_| count > 0) {
                elements.push(elements[place.index(count)].clone());
            }
            elements
        })
        .boxed()
}

/// An endpoint and the list of a body of it.
pub(crate) fn any_body(most: usize) -> BoxedStrategy<(Endpoint, Vec<Element>)> {
    Union::new(Endpoint::ALL.map(|endpoint| (Just(endpoint), body(endpoint, most)))).boxed()
}

/// A body with this list, in one of the envelopes.
pub(crate) fn wrapped(endpoint: Endpoint, envelope: Envelope, elements: &[String]) -> String {
    let list = elements.join(",");
    match envelope {
        Envelope::Data => format!("{{\"data\":[{list}]}}"),
        Envelope::Key => format!(" {{\n\"{}\" : [ {list} ] }}\n", endpoint.key()),
        Envelope::Array => format!("\u{feff}[{list}]"),
    }
}

/// An endpoint and bytes that may be a body of it: a good one, a good one with a few wrong bytes, or nothing of the kind.
pub(crate) fn any_bytes() -> BoxedStrategy<(Endpoint, Vec<u8>)> {
    let signs = || select(&b"[]{}\",:\\ \n01-etn\xEF\xBB\xBF"[..]);
    let byte = prop_oneof![3 => signs(), 1 => any::<u8>()];
    let envelope = select(&[Envelope::Data, Envelope::Key, Envelope::Array][..]);
    let edited = (any_body(3), envelope, vec((any::<Index>(), 0..4_u8, byte), 0..3));
    let edited = edited.prop_map(|((endpoint, elements), envelope, edits)| {
        let elements: Vec<_> = elements.iter().map(Element::text).collect();
        let mut bytes = wrapped(endpoint, envelope, &elements).into_bytes();
        for (place, edit, byte) in edits {
            let place = place.index(bytes.len());
            match edit {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                2 => drop(bytes.remove(place)),
                _ => bytes.truncate(place.max(1)),
            }
        }
        (endpoint, bytes)
    });
    let random = prop_oneof![vec(signs(), 0..12), vec(any::<u8>(), 0..24)];
    prop_oneof![4 => edited, 1 => (select(&Endpoint::ALL[..]), random)].boxed()
}
