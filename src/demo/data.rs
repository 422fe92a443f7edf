//! The demo data of all endpoints, as JSON values that can be changed.

use std::{array, collections::HashSet, io};

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::entity::Endpoint;

/// Lists of boards: the endpoint, the key of a board's list, and the key of the talent in its items.
pub(super) const BOARD_LISTS: [(Endpoint, &str, &str); 2] =
    [(Endpoint::BoardsTalents, "talents", "id"), (Endpoint::BoardsPortfolios, "portfolios", "talentId")];

/// What each endpoint's list holds.
#[derive(Clone, Debug)]
pub(super) struct Dataset {
    lists: [Vec<Value>; Endpoint::ALL.len()],
}

#[derive(Deserialize)]
struct Asset {
    data: Vec<Value>,
}

/// The built-in body of an endpoint.
const fn asset(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Talents => include_str!("../../assets/demo/talents.json"),
        Endpoint::Boards => include_str!("../../assets/demo/boards.json"),
        Endpoint::MediaTags => include_str!("../../assets/demo/mediaTags.json"),
        Endpoint::TalentsPortfolios => include_str!("../../assets/demo/talentsPortfolios.json"),
        Endpoint::PortfoliosMedia => include_str!("../../assets/demo/portfoliosMedia.json"),
        Endpoint::TalentsMeasurements => include_str!("../../assets/demo/talentsMeasurements.json"),
        Endpoint::TalentsSocials => include_str!("../../assets/demo/talentsSocials.json"),
        Endpoint::BoardsTalents => include_str!("../../assets/demo/boardsTalents.json"),
        Endpoint::BoardsPortfolios => include_str!("../../assets/demo/boardsPortfolios.json"),
    }
}

impl Dataset {
    /// The data as built in.
    ///
    /// # Errors
    /// When an asset is not a list of records in an envelope, which a test rules out.
    pub(super) fn built_in() -> io::Result<Self> {
        let mut lists = array::from_fn(|_| Vec::new());
        for endpoint in Endpoint::ALL {
            let Asset { data } = serde_json::from_str(asset(endpoint))?;
            lists[endpoint.index()] = data;
        }
        Ok(Self { lists })
    }

    pub(super) fn list(&self, endpoint: Endpoint) -> &[Value] {
        &self.lists[endpoint.index()]
    }

    pub(super) fn list_mut(&mut self, endpoint: Endpoint) -> &mut Vec<Value> {
        &mut self.lists[endpoint.index()]
    }

    /// The record whose `key` is `id`.
    pub(super) fn record_mut(&mut self, endpoint: Endpoint, key: &str, id: &str) -> Option<&mut Value> {
        self.list_mut(endpoint).iter_mut().find(|record| text(record, key) == Some(id))
    }

    /// The bodies that the endpoints send, one record a line.
    pub(super) fn bodies(&self) -> [Bytes; Endpoint::ALL.len()] {
        array::from_fn(|place| body(&self.lists[place]))
    }

    /// The body that `endpoint` would send if it had its first record only.
    pub(super) fn body_of_first(&self, endpoint: Endpoint) -> Bytes {
        body(self.list(endpoint).get(..1).unwrap_or_default())
    }

    /// Distinct tags that are whole, in the order in which they first appear.
    pub(super) fn tags(&self) -> Vec<Value> {
        let mut seen = HashSet::new();
        let tags = self.list(Endpoint::MediaTags).iter().flat_map(|medium| items(medium, "tags"));
        tags.filter(|tag| text(tag, "slug").is_some() && seen.insert(text(tag, "id"))).cloned().collect()
    }
}

fn body(records: &[Value]) -> Bytes {
    let records: Vec<_> = records.iter().map(Value::to_string).collect();
    Bytes::from(format!("{{\"data\":[\n{}\n]}}\n", records.join(",\n")))
}

/// The text under `key`, if there is one.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

/// The text under `key` as an owned value, empty where there is none.
pub(super) fn owned_text(value: &Value, key: &str) -> String {
    text(value, key).unwrap_or_default().to_owned()
}

/// The list under `key`, empty where there is none.
pub(super) fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The list under `key` for changes.
pub(super) fn items_mut<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Vec<Value>> {
    value.get_mut(key)?.as_array_mut()
}

/// A day for each generation from 2026 on.
pub(super) fn date(generation: u64) -> String {
    let day = jiff::civil::date(2026, 1, 1) + jiff::Span::new().days(i64::try_from(generation % 10_000).unwrap_or(0));
    format!("{day}T08:30:00.000Z")
}
