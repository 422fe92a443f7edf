//! What changes from one generation of the data to the next.
//!
//! Four turns follow each other: a talent arrives; texts and figures are edited; a talent leaves; boards and accounts are
//! rearranged. Each leaves some endpoints as they are, and none makes references dangle that did not.

use std::collections::HashSet;

use fastrand::Rng;
use serde_json::{Value, json};

use super::{
    data::{BOARD_LISTS, Dataset, date, items, items_mut, owned_text, text},
    people::{arrive, leave},
};
use crate::entity::Endpoint;

/// Text that begins the part of a bio that generations replace.
const NEWS: &str = "<p class=\"news\">";

const SEASONS: [&str; 4] = ["Printemps", "Été", "秋冬", "Resort"];

/// Turns the data of the generation before `generation` into its data.
pub(super) fn advance(data: &mut Dataset, generation: u64) {
    // The seed alone decides, so that every demo tells the same story.
    let mut chance = Rng::with_seed(generation);
    match generation % 4 {
        1 => {
            arrive(data, generation, &mut chance);
            edit_bios(data, generation, &mut chance);
        }
        2 => {
            edit_bios(data, generation, &mut chance);
            edit_captions(data, generation, &mut chance);
            rename_tag(data, generation, &mut chance);
            measure_again(data, generation, &mut chance);
            describe_board(data, generation, &mut chance);
        }
        3 => {
            leave(data, &mut chance);
            edit_captions(data, generation, &mut chance);
        }
        _ => {
            reorder_boards(data);
            move_between_boards(data, &mut chance);
            edit_portfolios(data, generation, &mut chance);
            rename_accounts(data, generation, &mut chance);
        }
    }
}

/// The season of a generation, a new one whenever all four turns are through.
fn season(generation: u64) -> &'static str {
    SEASONS[usize::try_from(generation / 4 % 4).unwrap_or_default()]
}

/// Up to `count` of `values`, each at most once.
fn some<'a>(values: impl Iterator<Item = &'a mut Value>, count: usize, chance: &mut Rng) -> Vec<&'a mut Value> {
    let mut values: Vec<_> = values.collect();
    chance.shuffle(&mut values);
    values.truncate(count);
    values
}

/// Three talents have news, in place of older news.
fn edit_bios(data: &mut Dataset, generation: u64, chance: &mut Rng) {
    for talent in some(data.list_mut(Endpoint::Talents).iter_mut(), 3, chance) {
        let bio = owned_text(talent, "bio");
        let lasting = bio.split(NEWS).next().unwrap_or_default();
        let name = text(talent, "firstName").unwrap_or("Our talent");
        let news =
            format!("{lasting}{NEWS}{} N° {generation}: {name} &amp; friends in Zürich</p>\n", season(generation));
        talent["bio"] = news.into();
    }
}

/// Six media get other captions, the same wherever they are placed.
fn edit_captions(data: &mut Dataset, generation: u64, chance: &mut Rng) {
    let portfolios = data.list_mut(Endpoint::PortfoliosMedia);
    let mut media: Vec<_> = portfolios.iter().flat_map(|portfolio| items(portfolio, "media")).map(id).collect();
    chance.shuffle(&mut media);
    media.truncate(6);
    let captions: Vec<_> =
        (1..).map(|look| format!("{} N° {generation}, look {look}", season(generation))).take(6).collect();
    for medium in portfolios.iter_mut().filter_map(|portfolio| items_mut(portfolio, "media")).flatten() {
        if let Some(place) = media.iter().position(|chosen| *chosen == id(medium)) {
            medium["caption"] = captions[place].as_str().into();
        }
    }
}

/// One tag has another name wherever it stands; its slug stays.
fn rename_tag(data: &mut Dataset, generation: u64, chance: &mut Rng) {
    let Some(tag) = chance.choice(data.tags()) else { return };
    let name = owned_text(&tag, "name");
    let lasting = name.split(" · ").next().unwrap_or_default();
    let renamed = format!("{lasting} · {} {generation}", season(generation));
    let rename = |holder: &mut Value| {
        for held in items_mut(holder, "tags").into_iter().flatten() {
            if held["id"] == tag["id"] && held.get("slug").is_some() {
                held["name"] = renamed.as_str().into();
            }
        }
    };
    data.list_mut(Endpoint::MediaTags).iter_mut().for_each(rename);
    let portfolios = data.list_mut(Endpoint::PortfoliosMedia).iter_mut();
    portfolios.filter_map(|portfolio| items_mut(portfolio, "media")).flatten().for_each(rename);
}

/// Four talents were measured again.
fn measure_again(data: &mut Dataset, generation: u64, chance: &mut Rng) {
    let talents = data.list_mut(Endpoint::TalentsMeasurements).iter_mut();
    let taken = talents.map(|talent| &mut talent["measurements"]).filter(|taken| taken.is_object());
    for (figures, taken) in (0_u32..).zip(some(taken, 4, chance)) {
        taken["waistCm"] = json!(60.5 + f64::from(figures) * 4.0);
        taken["updatedAt"] = date(generation).into();
    }
}

/// One board is described anew.
fn describe_board(data: &mut Dataset, generation: u64, chance: &mut Rng) {
    for board in some(data.list_mut(Endpoint::Boards).iter_mut(), 1, chance) {
        let title = owned_text(board, "title");
        board["description"] = format!("<p>{title}: {} N° {generation} &amp; more</p>", season(generation)).into();
    }
}

/// The first board becomes the last one, and on each board the first portfolio does.
fn reorder_boards(data: &mut Dataset) {
    data.list_mut(Endpoint::Boards).rotate_left(1);
    for board in data.list_mut(Endpoint::BoardsPortfolios) {
        if let Some(portfolios) = items_mut(board, "portfolios").filter(|portfolios| portfolios.len() > 1) {
            portfolios.rotate_left(1);
        }
    }
}

/// One talent moves to another board and takes the portfolios along.
fn move_between_boards(data: &mut Dataset, chance: &mut Rng) {
    let boards = data.list(Endpoint::BoardsTalents);
    let on = |board: &Value| items(board, "talents").iter().map(id).collect::<HashSet<_>>();
    let moves = boards.iter().flat_map(|from| boards.iter().map(move |to| (from, to))).flat_map(|(from, to)| {
        let mut talents: Vec<_> = on(from).difference(&on(to)).cloned().collect();
        // The order of a hash set differs from process to process.
        talents.sort_unstable();
        talents.into_iter().map(|talent| (owned_text(from, "boardId"), owned_text(to, "boardId"), talent))
    });
    let Some((from, to, talent)) = chance.choice(moves.collect::<Vec<_>>()) else { return };
    for (endpoint, list, owner) in BOARD_LISTS {
        let leaving = data.record_mut(endpoint, "boardId", &from).and_then(|board| items_mut(board, list));
        let leaving =
            leaving.map(|held| held.extract_if(.., |item| text(item, owner) == Some(&talent)).collect::<Vec<_>>());
        let target = data.record_mut(endpoint, "boardId", &to).and_then(|board| items_mut(board, list));
        let (Some(leaving), Some(target)) = (leaving, target) else { continue };
        for item in leaving {
            if !target.contains(&item) {
                target.push(item);
            }
        }
    }
}

/// Three portfolios are retitled, and one talent shows another one first.
fn edit_portfolios(data: &mut Dataset, generation: u64, chance: &mut Rng) {
    let talents = data.list_mut(Endpoint::TalentsPortfolios);
    let portfolios = talents.iter_mut().filter_map(|talent| items_mut(talent, "portfolios")).flatten();
    for (place, portfolio) in (1..).zip(some(portfolios, 3, chance)) {
        portfolio["title"] = format!("{} N° {generation}-{place} — “l’été”", season(generation)).into();
    }
    let several = talents.iter_mut().filter(|talent| items(talent, "portfolios").len() > 1);
    for talent in some(several, 1, chance) {
        let portfolios = items_mut(talent, "portfolios").into_iter().flatten();
        for (place, portfolio) in portfolios.enumerate() {
            portfolio["isDefault"] = (place == 1).into();
        }
    }
}

/// Three accounts are renamed, and one talent opens another account.
fn rename_accounts(data: &mut Dataset, generation: u64, chance: &mut Rng) {
    let talents = data.list_mut(Endpoint::TalentsSocials);
    let accounts = talents.iter_mut().filter_map(|talent| items_mut(talent, "socials")).flatten();
    for (place, account) in (1..).zip(some(accounts, 3, chance)) {
        account["username"] = format!("@n{generation}.{place}").into();
    }
    let without = talents.iter_mut().filter_map(|talent| items_mut(talent, "socials")).find(|accounts| {
        !accounts.is_empty() && !accounts.iter().any(|account| text(account, "platform") == Some("bluesky"))
    });
    if let Some(accounts) = without {
        let url = format!("https://bluesky.example/{generation}?é=1");
        accounts.push(json!({"platform": "bluesky", "username": format!("@étoile.{generation}"), "url": url}));
    }
}

fn id(value: &Value) -> String {
    owned_text(value, "id")
}
