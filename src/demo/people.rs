//! Talents who come and go, with everything that belongs to them.

use std::collections::HashSet;

use fastrand::Rng;
use serde_json::{Value, json};

use super::data::{BOARD_LISTS, Dataset, date, items, items_mut, owned_text, text};
use crate::entity::Endpoint;

const FIRST_NAMES: [&str; 8] = ["Maëlle", "Søren", "Юлія", "Ximena", "陽菜", "Théo", "Ìfẹ́", "Ελένη"];
const LAST_NAMES: [&str; 7] = ["Löwenstein", "O’Sullivan", "Кравець", "Ibáñez", "佐藤", "Đặng", "Ødegård"];
const CDN: &str = "https://cdn.nowrepblue.example/u";

/// An id of the source's form.
fn new_id(chance: &mut Rng) -> String {
    format!("c{:016x}{:08x}", chance.u64(..), chance.u32(..))
}

/// A new talent with portfolios, media, tags, measurements, accounts and a board.
pub(super) fn arrive(data: &mut Dataset, generation: u64, chance: &mut Rng) {
    let talent = new_id(chance);
    let numbers = data.list(Endpoint::Talents).iter().filter_map(|talent| talent["talentUserNumber"].as_u64());
    let number = numbers.max().unwrap_or(1_000) + 1;
    let first_name = chance.choice(FIRST_NAMES).unwrap_or_default();
    let last_name = chance.choice(LAST_NAMES).unwrap_or_default();
    data.list_mut(Endpoint::Talents).push(json!({
        "id": talent,
        "firstName": first_name,
        "lastName": last_name,
        "talentUserNumber": number,
        "bio": format!("<p>{first_name} joined in season N° {generation} 🎬 &amp; is ready for castings.</p>\n"),
        "profileImage": format!("{CDN}/talents/{talent}/profile.webp?w=800&h=1000"),
        "talentType": {"id": "model", "name": "Model"},
    }));
    let portfolios = [("Book", true), ("Polaroids «été»", false)].map(|(title, is_default)| {
        let portfolio = new_id(chance);
        add_media(data, &portfolio, chance);
        json!({"id": portfolio, "title": title, "isDefault": is_default, "category": "Editorial", "description": null})
    });
    add_to_board(data, &talent, &portfolios, chance);
    data.list_mut(Endpoint::TalentsPortfolios).push(json!({"talentId": talent, "portfolios": portfolios}));
    data.list_mut(Endpoint::TalentsMeasurements).push(json!({
        "id": talent,
        "measurements": {
            "id": new_id(chance),
            "userTalentId": talent,
            "heightCm": 165.5 + f64::from(chance.u8(..20)),
            "waistCm": "",
            "eyeColor": "brown",
            "createdAt": date(generation),
            "updatedAt": date(generation),
        },
    }));
    let accounts: Vec<_> = ["instagram", "tiktok"]
        .into_iter()
        .map(|platform| {
            let url = format!("https://{platform}.example/{number}?é=1");
            json!({"platform": platform, "username": format!("@{}.{number}", first_name.to_lowercase()), "url": url})
        })
        .collect();
    data.list_mut(Endpoint::TalentsSocials).push(json!({"id": talent, "socials": accounts}));
}

fn add_media(data: &mut Dataset, portfolio: &str, chance: &mut Rng) {
    let known = data.tags();
    let media: Vec<_> = (0..3)
        .map(|order| {
            let medium = new_id(chance);
            let filename = format!("lumière-{order}.jpg");
            let tags = chance.choose_multiple(known.iter().cloned(), 2);
            data.list_mut(Endpoint::MediaTags).push(json!({"id": medium, "tags": tags}));
            let url = format!("{CDN}/media/{medium}/{filename}");
            json!({
                "id": medium, "type": "image", "url": url, "filename": filename, "order": order,
                "width": 2_000, "height": 2_500, "size": chance.u32(200_000..9_000_000),
            })
        })
        .collect();
    data.list_mut(Endpoint::PortfoliosMedia).push(json!({"portfolioId": portfolio, "media": media}));
}

fn add_to_board(data: &mut Dataset, talent: &str, portfolios: &[Value], chance: &mut Rng) {
    let boards = data.list(Endpoint::Boards).iter().map(|board| owned_text(board, "id"));
    let Some(board) = chance.choice(boards.collect::<Vec<_>>()) else { return };
    let talents = data.record_mut(Endpoint::BoardsTalents, "boardId", &board);
    if let Some(talents) = talents.and_then(|board| items_mut(board, "talents")) {
        talents.push(json!({"id": talent}));
    }
    let placed = data.record_mut(Endpoint::BoardsPortfolios, "boardId", &board);
    if let Some(placed) = placed.and_then(|board| items_mut(board, "portfolios")) {
        placed.extend(portfolios.iter().map(|portfolio| json!({"id": portfolio["id"], "talentId": talent})));
    }
}

/// One of the talents with portfolios on a board leaves all lists, one of those who are there longest.
pub(super) fn leave(data: &mut Dataset, chance: &mut Rng) {
    let boards = data.list(Endpoint::BoardsPortfolios).iter();
    let shown = boards.flat_map(|board| items(board, "portfolios")).filter_map(|portfolio| text(portfolio, "talentId"));
    let shown: HashSet<_> = shown.collect();
    let talents = data.list(Endpoint::Talents).iter().filter_map(|talent| text(talent, "id"));
    let mut leavers: Vec<_> = talents.filter(|talent| shown.contains(talent)).map(str::to_owned).collect();
    leavers.truncate(leavers.len().div_ceil(2));
    let Some(talent) = chance.choice(leavers) else { return };
    let owners = data.list(Endpoint::TalentsPortfolios).iter().filter(|owner| text(owner, "talentId") == Some(&talent));
    let portfolios = owners.flat_map(|owner| items(owner, "portfolios")).map(|portfolio| owned_text(portfolio, "id"));
    let portfolios: HashSet<_> = portfolios.collect();
    let keys = [
        (Endpoint::Talents, "id"),
        (Endpoint::TalentsMeasurements, "id"),
        (Endpoint::TalentsSocials, "id"),
        (Endpoint::TalentsPortfolios, "talentId"),
    ];
    for (endpoint, key) in keys {
        data.list_mut(endpoint).retain(|record| text(record, key) != Some(&talent));
    }
    data.list_mut(Endpoint::PortfoliosMedia).retain(|owner| !portfolios.contains(&owned_text(owner, "portfolioId")));
    // A medium may stand in portfolios of others too.
    let owners = data.list(Endpoint::PortfoliosMedia).iter();
    let placed: HashSet<_> =
        owners.flat_map(|owner| items(owner, "media")).map(|medium| owned_text(medium, "id")).collect();
    data.list_mut(Endpoint::MediaTags).retain(|medium| placed.contains(&owned_text(medium, "id")));
    for (endpoint, list, key) in BOARD_LISTS {
        for held in data.list_mut(endpoint).iter_mut().filter_map(|board| items_mut(board, list)) {
            held.retain(|item| text(item, key) != Some(&talent));
        }
    }
}
