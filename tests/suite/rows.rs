//! Looking at rows: of the live version and of the backup, filtered, page by page, in the console and as a command.

use greenroom::{
    entity::{Endpoint, Entity},
    green::{GreenError, Page, RowsQuery, Side},
    ops::OperationError,
    report::RowsReport,
};
use ratatui::crossterm::event::KeyCode;
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use crate::{commands::Shell, data::Data, desk::Desk, support::Rig};

/// So many boards, each with its number in the title.
fn boards(count: u64, word: &str) -> Data {
    let boards = (0..count).map(|at| json!({"id": format!("b{at}"), "title": format!("{word} {at}")}));
    Data::small(1).with(Endpoint::Boards, boards.collect())
}

async fn read(
    rig: &Rig,
    side: Side,
    filter: Option<&str>,
    offset: u64,
    limit: u64,
) -> Result<RowsReport, OperationError> {
    let filter = filter.map(str::to_owned);
    let query = RowsQuery { entity: Entity::Boards, side, filter, page: Page { offset, limit } };
    rig.operations.rows(query, CancellationToken::new()).await
}

fn ids(report: &RowsReport) -> Vec<&str> {
    report.rows.iter().map(|row| row[0].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_in_the_order_of_the_source_by_pages_and_filters() {
    let rig = Rig::new(&boards(30, "Old")).await;
    assert_eq!(read(&rig, Side::Live, None, 0, 5).await.unwrap().total, 0);
    rig.publish().await;
    let none = read(&rig, Side::Backup, None, 0, 5).await;
    assert!(matches!(none, Err(OperationError::Green(GreenError::NothingToRollBack { .. }))), "{none:?}");
    rig.publish_data(&boards(40, "New_50%")).await;
    let page = read(&rig, Side::Live, None, 38, 5).await.unwrap();
    assert_eq!((page.total, page.offset, page.live, page.version), (40, 38, true, 2));
    assert_eq!(page.columns, ["id", "title", "description", "coverImage"]);
    assert_eq!(page.rows[1], [json!("b39"), json!("New_50% 39"), Json::Null, Json::Null]);
    let page = read(&rig, Side::Backup, Some("old 2"), 0, 3).await.unwrap();
    assert_eq!((page.total, page.live, page.version, ids(&page)), (11, false, 1, vec!["b2", "b20", "b21"]));
    for (filter, total) in [
        ("_50% 7", 1),
        ("w_50", 40),
        ("w%5", 0),
        ("new_50% 39", 1),
        ("id:b1", 11),
        ("TITLE: b1", 0),
        ("title:new", 40),
        ("x:b1", 0),
        ("b39", 1),
        ("", 40),
    ] {
        assert_eq!(read(&rig, Side::Live, Some(filter), 0, 1).await.unwrap().total, total, "{filter}");
    }
    let stop = CancellationToken::new();
    stop.cancel();
    let query = RowsQuery {
        entity: Entity::Boards,
        side: Side::Live,
        filter: Some("x".repeat(50)),
        page: Page { offset: 0, limit: 1 },
    };
    // Too few rows to be asked in between; a million are.
    let many = rig.writer();
    many.execute_batch(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) \
         INSERT INTO boards_v2 (id, title) SELECT 'n' || i, 't' FROM n",
    )
    .unwrap();
    let stopped = rig.operations.rows(query, stop).await;
    assert!(matches!(stopped, Err(OperationError::Green(GreenError::Stopped))), "{stopped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_listed_by_a_command() {
    let shell = Shell::with(&boards(30, "\u{1b}[31mOld")).await;
    shell.rig.publish().await;
    let call = shell.call(&["rows", "boards", "--filter", "id:b2", "--limit", "2", "--offset", "1"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    let expected = "id: b20\n    title: \\x1b[31mOld 20\n    description: NULL\n    coverImage: NULL\n\
                    id: b21\n    title: \\x1b[31mOld 21\n    description: NULL\n    coverImage: NULL\n\
                    2 to 3 of 11 rows live; --offset and --limit list others\n";
    assert_eq!(call.stdout, expected);
    let call = shell.call(&["rows", "boards", "--filter", "id:b29", "--json"]).await;
    let report = call.json();
    assert_eq!(
        (report["total"].as_u64(), report["version"].as_u64(), &report["live"]),
        (Some(1), Some(1), &json!(true))
    );
    assert_eq!(report["rows"], json!([["b29", "\u{1b}[31mOld 29", null, null]]));
    let call = shell.call(&["rows", "boards", "--offset", "99"]).await;
    assert_eq!(call.stdout, "none of 30 rows live from 100 on\n");
    let call = shell.call(&["rows", "boards", "--backup"]).await;
    assert_eq!(call.status, 1);
    assert!(call.stderr.contains("boards has no backup"), "{}", call.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_shows_rows_filters_them_and_opens_one() {
    let rig = Rig::new(&boards(1000, "Old")).await;
    rig.publish().await;
    rig.publish_data(&boards(1200, "New")).await;
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 2 published").await;
    desk.press(KeyCode::Down);
    desk.key('v');
    let screen = desk.until_shows("row 1 of 1,200").await;
    assert!(
        screen.contains("Rows of boards, live") && screen.contains("New 0 ") && screen.contains("NULL"),
        "{screen}"
    );
    desk.key('G');
    desk.until_shows("New 1199").await;
    desk.until_shows("row 1,200 of 1,200").await;
    desk.press(KeyCode::PageUp);
    desk.until_shows("row 1,192 of 1,200").await;
    desk.press(KeyCode::Enter);
    let screen = desk.until_shows("title  New 1191").await;
    assert!(screen.contains("id  b1191") && !screen.contains("New 1190"), "{screen}");
    desk.press(KeyCode::Esc);
    desk.until_shows("New 1190").await;
    desk.key('o');
    desk.until_shows("row 1 of 1,000").await;
    desk.until_shows("Rows of boards, backup").await;
    desk.key('/');
    for character in "id:b99q".chars() {
        desk.key(character);
    }
    desk.until_shows("/ id:b99q_").await;
    desk.press(KeyCode::Backspace);
    desk.press(KeyCode::Enter);
    let screen = desk.until_shows("row 1 of 11 with `id:b99`").await;
    assert!(screen.contains("Old 99") && screen.contains("Old 990"), "{screen}");
    desk.press(KeyCode::Right);
    let screen = desk.until("another first column", |screen| !screen.contains("Old 99")).await;
    assert!(screen.contains("b990"), "the id stays: {screen}");
    desk.press(KeyCode::Esc);
    desk.until_shows("row 1 of 1,000").await;
    desk.press(KeyCode::Esc);
    desk.until("the table", |screen| !screen.contains("Rows of")).await;
}
