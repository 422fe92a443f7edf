//! The whole console without a terminal: keys in, frames out, real runs against a fake source in between.

use std::time::Duration;

use greenroom::{console::Ended, entity::Endpoint};
use ratatui::crossterm::event::KeyCode;

use crate::{
    data::Data,
    desk::{Desk, staged},
    fake_blue::{Fault, When},
    support::{Rig, in_time},
};

#[tokio::test]
async fn sync_change_roll_back_and_undo() {
    let rig = Rig::new(&Data::marked(1)).await;
    let mut desk = Desk::open(&rig);
    let screen = desk.until_shows("no run yet").await;
    assert_eq!(staged(&screen, "empty"), 10, "{screen}");
    desk.press(KeyCode::Char('s'));
    desk.until("ten published rows", |screen| staged(screen, "published") == 10).await;
    desk.until_shows("run 1 published 10 entities").await;
    let first = rig.picture();

    rig.blue.send(&Data::marked(2));
    desk.press(KeyCode::Char('s'));
    desk.until_shows("run 2 published 10 entities").await;
    let screen = desk.until("both versions", |screen| screen.matches(" 2/1 ").count() == 10).await;
    assert!(screen.contains("publication 2 at"), "{screen}");
    let second = rig.picture();
    assert_ne!(first.views, second.views);

    // No is the answer of every key but the capital Y.
    for no in [KeyCode::Enter, KeyCode::Esc, KeyCode::Char('y'), KeyCode::Char('q')] {
        desk.press(KeyCode::Char('r'));
        let screen = desk.until_shows("Roll back").await;
        assert!(screen.contains("Publication 2 (run 2"), "{screen}");
        assert!(screen.contains("v2>v1"), "{screen}");
        desk.press(no);
        desk.until("the question to go", |screen| {
            screen.contains("nothing was switched") && !screen.contains("Roll back")
        })
        .await;
        assert_eq!(rig.picture(), second);
    }
    desk.press(KeyCode::Char('r'));
    desk.until_shows("Roll back").await;
    desk.press(KeyCode::Char('Y'));
    desk.until("ten restored rows", |screen| {
        staged(screen, "restored") == 10 && screen.contains("publication 2 is taken back")
    })
    .await;
    assert_eq!(rig.picture().views, first.views);
    rig.check();

    assert!(desk.until_shows("HELD since").await.contains("publication 2 was taken back"));
    desk.press(KeyCode::Char('r'));
    let screen = desk.until_shows("Publication 3 (a rollback of publication 2").await;
    assert!(
        screen.contains("Undo the rollback") && screen.contains("hold that the rollback had set is released"),
        "{screen}"
    );
    desk.press(KeyCode::Char('Y'));
    desk.until("the end of the hold", |screen| {
        screen.contains("publication 3 is taken back") && !screen.contains("HELD since")
    })
    .await;
    assert_eq!(rig.picture().views, second.views);
    desk.press(KeyCode::Char('q'));
    assert_eq!(desk.end().await.0, Ended::Quit);
}

#[tokio::test]
async fn cancel_leaves_everything_and_keys_answer_meanwhile() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.publish().await;
    let before = rig.picture();
    rig.blue.send(&Data::marked(2));
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(10));
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 1 published").await;
    desk.press(KeyCode::Char('s'));
    rig.blue.until_stalled(Endpoint::Boards).await;
    desk.until("the fetching board", |screen| staged(screen, "fetch") == 1).await;
    desk.press(KeyCode::Char('?'));
    desk.until_shows("Cancel the run").await;
    desk.press(KeyCode::Esc);
    desk.press(KeyCode::Char('c'));
    desk.until_shows("cleanup: not while a run is going on").await;
    desk.press(KeyCode::Char('s'));
    desk.until_shows("sync: a run is going on").await;
    desk.press(KeyCode::Char('x'));
    desk.until_shows("run 2 cancelled").await;
    assert_eq!(rig.picture(), before);
    rig.check();
    desk.press(KeyCode::Char('q'));
    assert_eq!(desk.end().await.0, Ended::Quit);
}

#[tokio::test]
async fn a_failure_is_shown_where_it_happened_and_in_full() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.blue.fault(Endpoint::TalentsSocials, When::Always, Fault::status(500));
    let mut desk = Desk::open(&rig);
    desk.until_shows("no run yet").await;
    desk.press(KeyCode::Char('s'));
    let screen = desk.until_shows("run 1 failed").await;
    assert_eq!(staged(&screen, "failed"), 1, "{screen}");
    // The seventh line is the entity that failed; Enter leads to its detail.
    for _ in 0..6 {
        desk.press(KeyCode::Down);
    }
    desk.press(KeyCode::Enter);
    let screen = desk.until_shows("Detail: talentssocials").await;
    assert!(screen.contains("HTTP status 500"), "{screen}");
    desk.press(KeyCode::Tab);
    desk.until_shows("console ana@box").await;
    desk.press(KeyCode::Enter);
    let screen = desk.until_shows("Run 1").await;
    assert!(screen.contains("/api/v1/public/talents/socials"), "{screen}");
    assert!(screen.contains("(3 attempts)"), "{screen}");
    desk.press(KeyCode::Char('G'));
    desk.until("three answers", |screen| screen.contains("requests") && screen.matches(" 500 ").count() == 3).await;
}

#[tokio::test]
async fn cleanup_wants_its_word() {
    let rig = Rig::new(&Data::marked(1)).await;
    for generation in 1..=3 {
        rig.publish_data(&Data::marked(generation)).await;
    }
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 3 published").await;
    // What dead runs left is cleared away at the start.
    rig.operations.recover().await.unwrap();
    rig.writer().execute_batch("CREATE TABLE boards_trash_1 (a)").unwrap();
    desk.press(KeyCode::Char('c'));
    desk.until_shows("1 tables left behind").await;
    desk.types("cleanip");
    desk.press(KeyCode::Enter);
    desk.until_shows("nothing was removed").await;
    assert_eq!(rig.number("SELECT count(*) FROM sqlite_schema WHERE name = 'boards_trash_1'"), 1);
    desk.press(KeyCode::Char('c'));
    desk.until_shows("1 tables left behind").await;
    desk.types("cleanup");
    desk.press(KeyCode::Enter);
    desk.until_shows("cleaned up: 0 snapshots, 1 leftover tables").await;
    rig.check();
}

#[tokio::test]
async fn leaving_during_a_run_asks_and_can_wait_for_its_end() {
    let rig = Rig::new(&Data::marked(1)).await;
    let mut desk = Desk::amid_a_run(&rig).await;
    desk.press(KeyCode::Char('q'));
    desk.until_shows("wait for its end, then quit").await;
    desk.press(KeyCode::Esc);
    desk.until("the question to go", |screen| !screen.contains("wait for its end")).await;
    desk.press(KeyCode::Char('q'));
    desk.until_shows("wait for its end, then quit").await;
    desk.press(KeyCode::Char('w'));
    desk.until_shows("closes when the run has ended").await;
    rig.blue.release();
    assert_eq!(desk.end().await.0, Ended::Quit);
    rig.assert_versions((1, 0));
    rig.check();
}

#[tokio::test]
async fn a_run_outlives_the_line() {
    let rig = Rig::new(&Data::marked(1)).await;
    let desk = Desk::amid_a_run(&rig).await;
    desk.hang_up.cancel();
    let (ended, mut console) = desk.end().await;
    assert_eq!(ended, Ended::HungUp);
    rig.blue.release();
    in_time("the run's end", console.bring_to_end()).await;
    rig.assert_versions((1, 0));
    rig.check();
}

#[tokio::test]
async fn nothing_is_drawn_while_nothing_changes() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::status(404));
    rig.sync().await;
    let mut desk = Desk::open(&rig);
    // State, detail and runs, the three things that are read at the start.
    desk.until_shows("run 1 failed").await;
    desk.press(KeyCode::Tab);
    desk.until("the detail", |screen| screen.contains("run 1  ") && screen.contains("quarantine")).await;
    desk.press(KeyCode::Tab);
    desk.until_shows("cli ana@box").await;
    let frame = desk.shown.borrow().frame;
    tokio::time::pause();
    // Up to the moment at which the age of the last run changes.
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(desk.shown.borrow().frame, frame);
}

#[tokio::test]
async fn text_from_the_source_never_reaches_the_screen_raw() {
    let rig = Rig::new(&Data::marked(1)).await;
    // As characters, not as escapes: U+202E turns text around, U+009B begins a command to the terminal.
    let record = "{\"id\":\"a\u{202e}b\u{9b}2J\",\"title\":7}";
    rig.blue.send_body(Endpoint::Boards, format!("[{record}]"));
    let mut desk = Desk::open(&rig);
    desk.until_shows("no run yet").await;
    desk.press(KeyCode::Char('s'));
    desk.until_shows("run 1 published").await;
    desk.press(KeyCode::Down);
    desk.press(KeyCode::Enter);
    desk.until_shows("a\\u{202e}b").await;
    desk.press(KeyCode::Tab);
    desk.until_shows("console ana@box").await;
    desk.press(KeyCode::Enter);
    desk.until_shows("Run 1").await;
    desk.press(KeyCode::Char('G'));
    desk.until("the record in the run", |screen| screen.contains("Run 1") && screen.contains("a\\u{202e}b")).await;
    let seen = desk.seen.lock().unwrap().clone();
    assert!(!seen.chars().any(|character| character != '\n' && greenroom::text::is_harmful(character)));
}
