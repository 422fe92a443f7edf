//! The console's operations beyond a plain sync, by their keys: guards, hold, subset, dry run, partial, rollback, diff,
//! quarantine.

use greenroom::{
    blue::Envelope,
    entity::{Endpoint, Entity},
};
use ratatui::crossterm::event::KeyCode;

use crate::{
    data::Data,
    desk::{Desk, staged},
    fake_blue::{Fault, When},
    support::Rig,
};

/// A console on a database that holds the small data of generation 1, with a source that sends generation 2.
async fn before_a_second_run() -> (Rig, Desk) {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.blue.send(&Data::small(2));
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 1 published").await;
    (rig, desk)
}

impl Desk {
    /// Leads the keys to the list of runs, once `newest` is there, and chooses the run that is so far below it.
    async fn choose_run(&mut self, newest: i64, below: usize) {
        self.press(KeyCode::Tab);
        self.until_shows("Detail: ").await;
        self.press(KeyCode::Tab);
        self.until_shows(&format!("\"{newest:>5} 2023-11-")).await;
        for _ in 0..below {
            self.press(KeyCode::Down);
        }
    }
}

#[tokio::test]
async fn a_guard_stops_the_run_until_its_findings_are_accepted() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.publish().await;
    let before = rig.picture();
    rig.blue.send_body(Endpoint::Boards, "[]");
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 1 published").await;
    desk.key('p');
    desk.until_shows("publish: the newest run is neither held nor prepared").await;
    desk.key('s');
    let screen = desk.until_shows("run 2 is held - p shows it: empty guard, boards").await;
    assert_eq!(staged(&screen, "guard"), 3, "boards and the two that refer to it: {screen}");
    desk.until_shows("run 2 held").await;
    assert_eq!(rig.picture().views, before.views);
    for no in [KeyCode::Enter, KeyCode::Esc, KeyCode::Char('y')] {
        desk.key('p');
        let screen = desk.until_shows("Publish run 2").await;
        for figures in
            ["! empty guard, boards: had 3 rows and would have none", "dangling guard, boardstalents", "3 > 0"]
        {
            assert!(screen.contains(figures), "{figures}: {screen}");
        }
        desk.press(no);
        desk.until("no", |screen| screen.contains("nothing was switched") && !screen.contains("Publish run")).await;
        assert_eq!(rig.picture().views, before.views);
    }
    desk.key('p');
    desk.until_shows("Y accept, publish").await;
    desk.key('Y');
    desk.until_shows("run 3 published 1 entity").await;
    assert_eq!(rig.number("SELECT count(*) FROM boards_current"), 0);
    // What was accepted is on record, in the run too.
    desk.choose_run(3, 0).await;
    desk.press(KeyCode::Enter);
    let screen = desk.until_shows("(accepted)").await;
    assert!(screen.contains("replay of run 2"), "{screen}");
    rig.check();
}

#[tokio::test]
async fn an_outdated_held_run_is_prepared_again_before_the_question() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.publish().await;
    rig.blue.send_body(Endpoint::Boards, "[]");
    rig.sync().await;
    rig.publish_data(&Data::marked(2)).await;
    let before = rig.picture();
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 3 published").await;
    desk.choose_run(3, 1).await;
    desk.press(KeyCode::Enter);
    let screen = desk.until_shows("! empty guard, boards").await;
    assert!(screen.contains("p publish") && !screen.contains("b go back"), "{screen}");
    desk.key('p');
    let screen = desk.until_shows("Run 4 is run 2 prepared again").await;
    assert!(screen.contains("empty guard, boards") && screen.contains("talents "), "{screen}");
    assert_eq!(rig.picture().views, before.views);
    desk.key('Y');
    desk.until_shows("run 5 published").await;
    assert_eq!(rig.number("SELECT count(*) FROM boards_current"), 0);
    assert_eq!(rig.number("SELECT count(*) FROM talents_current WHERE bio LIKE '%@1'"), 6);
    rig.check();
}

#[tokio::test]
async fn the_hold_is_set_shown_and_asked_about() {
    let (rig, mut desk) = before_a_second_run().await;
    let before = rig.picture();
    desk.key('H');
    desk.until_shows("(set by hand)").await;
    desk.types("bad data");
    desk.until_shows("bad data").await;
    desk.press(KeyCode::Enter);
    desk.until("the banner", |screen| screen.contains("HELD since") && screen.contains("by ana@box: bad data")).await;
    desk.key('?');
    desk.until("the banner over a list", |screen| screen.contains("Keys") && screen.contains("HELD since")).await;
    desk.press(KeyCode::Esc);

    desk.key('s');
    let screen = desk.until_shows("Sync under a hold").await;
    assert!(screen.contains("by ana@box:") && screen.contains("  bad data"), "{screen}");
    desk.press(KeyCode::Enter);
    desk.until_shows("no run was started").await;
    desk.key('s');
    desk.until_shows("Sync under a hold").await;
    desk.key('k');
    desk.until_shows("run 2 is held - p shows it: held by ana@box: bad data").await;
    assert_eq!(rig.picture().views, before.views);
    desk.key('s');
    desk.until_shows("Sync under a hold").await;
    desk.key('u');
    desk.until("a publish without the hold", |screen| {
        screen.contains("run 3 published 10 entities") && !screen.contains("HELD since")
    })
    .await;
    rig.assert_views(&Data::small(2));

    // An empty line takes the default, Esc is no.
    desk.key('H');
    desk.until_shows("Set the hold").await;
    desk.press(KeyCode::Esc);
    desk.until_shows("the hold was not set").await;
    desk.key('H');
    desk.until_shows("Set the hold").await;
    desk.press(KeyCode::Enter);
    desk.until_shows("by ana@box: set by hand").await;
    for no in [KeyCode::Enter, KeyCode::Esc, KeyCode::Char('y')] {
        desk.key('H');
        desk.until_shows("Release the hold").await;
        desk.press(no);
        desk.until_shows("the hold stays").await;
    }
    assert_eq!(rig.number("SELECT count(*) FROM sync_holds WHERE released_at IS NULL"), 1);
    desk.key('H');
    desk.until_shows("Release the hold").await;
    desk.key('Y');
    desk.until("no banner", |screen| screen.contains("hold is released") && !screen.contains("HELD since")).await;
    assert_eq!(rig.number("SELECT count(*) FROM sync_holds WHERE released_at IS NULL"), 0);
    rig.check();
}

#[tokio::test]
async fn a_held_run_is_published_together_with_the_release() {
    let (rig, mut desk) = before_a_second_run().await;
    rig.operations.hold("night".to_owned()).await.unwrap();
    // Somebody else's hold is met by the run and shown from then on.
    desk.key('s');
    desk.until_shows("run 2 is held - p shows it: held by ana@box: night").await;
    desk.until_shows("HELD since").await;
    desk.key('p');
    desk.until_shows("Y releases the hold as well").await;
    desk.key('Y');
    desk.until("the end of it", |screen| screen.contains("run 3 published") && !screen.contains("HELD since")).await;
    rig.assert_views(&Data::small(2));
    rig.check();
}

#[tokio::test]
async fn marked_entities_are_synced_alone() {
    let (rig, mut desk) = before_a_second_run().await;
    desk.key(' ');
    let screen = desk.until_shows("1 marked").await;
    assert!(screen.contains(" ✓talents ") && screen.contains("▸ boards "), "{screen}");
    desk.key(' ');
    desk.until_shows("2 marked").await;
    // A second time takes the mark away.
    desk.key(' ');
    desk.until_shows("3 marked").await;
    desk.press(KeyCode::Up);
    desk.key(' ');
    desk.until_shows("2 marked").await;
    desk.key('S');
    let screen = desk.until_shows("Sync with options").await;
    assert!(screen.contains("2 of 10 entities: talents, boards."), "{screen}");
    assert!(screen.contains("left alone: talentsportfolios"), "{screen}");
    desk.key('w');
    let screen = desk.until_shows("[x] with all that is related").await;
    assert!(!screen.contains("2 of 10"), "{screen}");
    desk.key('w');
    desk.until_shows("2 of 10 entities").await;
    desk.press(KeyCode::Esc);
    desk.until_shows("no run was started").await;
    desk.key('S');
    desk.until_shows("2 of 10 entities").await;
    desk.press(KeyCode::Enter);
    desk.until("no marks", |screen| screen.contains("run 2 published 2 entities") && !screen.contains("marked")).await;
    for entity in Entity::ALL {
        let expected = if matches!(entity, Entity::Talents | Entity::Boards) { (2, 1) } else { (1, 0) };
        assert_eq!(rig.versions(entity), expected, "{entity}");
    }
    desk.choose_run(2, 0).await;
    desk.until_shows("console 2/10 ana@box").await;
    desk.press(KeyCode::Enter);
    desk.until_shows("only talents, boards").await;
    rig.check();
}

#[tokio::test]
async fn a_partial_run_says_what_it_left_behind() {
    let (rig, mut desk) = before_a_second_run().await;
    rig.blue.fault(Endpoint::TalentsSocials, When::Always, Fault::status(404));
    desk.key('S');
    desk.until_shows("All ten entities.").await;
    desk.key('p');
    desk.until_shows("[x] partial").await;
    desk.press(KeyCode::Enter);
    desk.until_shows("run 2 published 9 entities").await;
    assert_eq!(rig.versions(Entity::TalentsSocials), (1, 0));
    assert_eq!(rig.versions(Entity::Talents), (2, 1));
    desk.choose_run(2, 0).await;
    desk.press(KeyCode::Enter);
    desk.until_shows("published in part only: talentsSocials").await;
    rig.check();
}

#[tokio::test]
async fn a_dry_run_is_published_afterwards() {
    let (rig, mut desk) = before_a_second_run().await;
    let before = rig.picture();
    desk.key('S');
    desk.until_shows("All ten entities.").await;
    desk.key('d');
    desk.until_shows("[x] dry run").await;
    desk.press(KeyCode::Enter);
    desk.until_shows("run 2 is prepared, 10 entities would change").await;
    assert_eq!(rig.picture().views, before.views);
    desk.until_shows("run 2 prepared").await;
    desk.key('p');
    let screen = desk.until_shows("Publish run 2").await;
    assert!(screen.contains("No guard tripped."), "{screen}");
    // The diff lies on the question and gives way to it again.
    desk.key('d');
    let screen = desk.until_shows("Diff of talents: live > run 2 (prepared)").await;
    assert!(!screen.contains("Publish run"), "{screen}");
    desk.until_shows("~ t0").await;
    desk.press(KeyCode::Esc);
    desk.until("the question", |screen| screen.contains("Publish run 2") && !screen.contains("Diff of")).await;
    desk.key('Y');
    desk.until_shows("run 3 published 10 entities").await;
    rig.assert_views(&Data::small(2));
    rig.check();
}

#[tokio::test]
async fn marked_entities_are_rolled_back_with_a_word_on_relations() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 2 published").await;
    desk.key(' ');
    desk.until_shows("1 marked").await;
    desk.key('r');
    let screen = desk.until_shows("Roll back talents").await;
    assert!(screen.contains("5 relations lead from one generation to another then; no more references"), "{screen}");
    assert!(screen.contains("boardstalents.talentId to talents"), "{screen}");
    assert!(screen.contains("The hold is set, or"), "{screen}");
    desk.key('n');
    desk.until_shows("The hold is not set").await;
    desk.key('d');
    desk.until_shows("Diff of talents: live > backup").await;
    desk.press(KeyCode::Esc);
    desk.until_shows("The hold is not set").await;
    desk.key('Y');
    let screen = desk.until_shows("taken back: 1 entity").await;
    assert!(!screen.contains("HELD since") && !screen.contains("marked"), "{screen}");
    for entity in Entity::ALL {
        let expected = if entity == Entity::Talents { (1, 2) } else { (2, 1) };
        assert_eq!(rig.versions(entity), expected, "{entity}");
    }
    rig.check();
}

#[tokio::test]
async fn a_rollback_is_refused_when_something_was_published_since() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 2 published").await;
    desk.key('r');
    desk.until_shows("Roll back").await;
    rig.publish_data(&Data::small(3)).await;
    desk.key('Y');
    let screen = desk.until_shows("Nothing was rolled back").await;
    assert!(screen.contains("publication 3 is the newest, not 2"), "{screen}");
    rig.assert_views(&Data::small(3));
    desk.press(KeyCode::Esc);
    desk.until("the table", |screen| !screen.contains("Nothing was rolled back")).await;
    rig.check();
}

#[tokio::test]
async fn an_older_run_is_gone_back_to() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    for generation in 2..=3 {
        rig.publish_data(&Data::small(generation)).await;
    }
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 3 published").await;
    desk.key('b');
    desk.until_shows("go back: choose a run").await;
    desk.choose_run(3, 2).await;
    desk.key('b');
    let screen = desk.until_shows("Go back to run 1").await;
    assert!(screen.contains("No guard tripped.") && screen.contains("dry run 4"), "{screen}");
    rig.assert_views(&Data::small(3));
    desk.press(KeyCode::Enter);
    desk.until_shows("nothing was switched").await;
    // The dry run was for the question only: there is nothing to publish.
    desk.until_shows("dry replay of 1 ana@box").await;
    let screen = desk.until_shows("run 4 prepared").await;
    assert!(!screen.contains("p shows it"), "{screen}");
    desk.key('b');
    desk.until_shows("dry run 5").await;
    desk.key('Y');
    desk.until_shows("run 6 published 10 entities").await;
    desk.until_shows("by ana@box: went back to run 1").await;
    rig.assert_views(&Data::small(1));
    // Once more there is nothing to change.
    desk.key('b');
    desk.until_shows("there is nothing to go back to").await;
    rig.assert_views(&Data::small(1));
    rig.check();
}

#[tokio::test]
async fn what_cannot_be_gone_back_to_is_told_in_full() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    for generation in 2..=6 {
        rig.publish_data(&Data::small(generation)).await;
    }
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 6 published").await;
    desk.choose_run(6, 5).await;
    desk.key('b');
    let screen = desk.until_shows("The run could not begin").await;
    assert!(screen.contains("is not kept any more"), "{screen}");
    assert!(screen.contains("can be done with run 6, 5, 4"), "{screen}");
    desk.press(KeyCode::Esc);
    desk.until("the runs", |screen| !screen.contains("could not begin")).await;
    rig.check();
}

#[tokio::test]
async fn a_long_difference_comes_in_pages() {
    let rig = Rig::new(&Data::large(1, 450, 60)).await;
    rig.publish().await;
    rig.publish_data(&Data::large(2, 450, 60)).await;
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 2 published").await;
    desk.key('d');
    let screen = desk.until_shows("showing 200 of 450").await;
    assert!(screen.contains("Diff of talents: backup > live"), "{screen}");
    assert!(screen.contains("~ t0 ") && screen.contains("bio: \"1 0 ") && screen.contains(" > \"2 0 "), "{screen}");
    desk.key('G');
    desk.until_shows("showing 400 of 450").await;
    desk.key('G');
    desk.until_shows("~450 (450 rows)").await;
    desk.key('G');
    desk.until_shows("~ t449 ").await;
    desk.press(KeyCode::Right);
    desk.until_shows("Diff of talents: snapshot ").await;
    desk.until("another first page", |screen| screen.contains("~ t0 ") && screen.contains("showing 200 of 450")).await;
    desk.press(KeyCode::Left);
    desk.until_shows("Diff of talents: backup > live").await;
    desk.press(KeyCode::Esc);
    desk.until("the table", |screen| !screen.contains("Diff of")).await;
}

#[tokio::test]
async fn quarantine_is_listed_through_the_runs_and_exported() {
    let data = Data::small(1);
    let rig = Rig::new(&data).await;
    let bad = "{\"id\":\"b\u{9b}9\",\n\"title\":7}";
    let good = String::from_utf8(data.body(Endpoint::Boards, Envelope::Array)).unwrap();
    rig.blue.send_body(Endpoint::Boards, good.replacen('[', &format!("[{bad},"), 1));
    rig.publish().await;
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 1 published").await;
    desk.key('u');
    desk.until_shows("Nothing is in quarantine.").await;
    desk.key('a');
    let screen = desk.until_shows("1 entry.").await;
    assert!(screen.contains("Quarantine of all entities"), "{screen}");
    desk.press(KeyCode::Esc);
    desk.press(KeyCode::Down);
    desk.key('u');
    let shown = |screen: &str| screen.contains("Quarantine of boards") && screen.contains("b\\x9b9");
    let screen = desk.until("the record", shown).await;
    assert!(screen.contains("title: expected a text") && screen.contains("first run 1 ("), "{screen}");
    desk.press(KeyCode::Esc);

    rig.publish_data(&Data::small(2)).await;
    desk.key('u');
    desk.until_shows("Nothing is in quarantine.").await;
    desk.key('g');
    let screen = desk.until_shows("gone since run 2").await;
    assert!(screen.contains("last run 1 ("), "{screen}");
    desk.key('e');
    desk.until_shows("1 record is written to").await;
    let files = std::fs::read_dir(rig.path.parent().unwrap()).unwrap().map(|file| file.unwrap().path());
    let exported: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    assert_eq!(exported.len(), 1);
    let name = exported[0].file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("greenroom-quarantine-boards-2023"), "{name}");
    let text = std::fs::read_to_string(&exported[0]).unwrap();
    assert_eq!(text.lines().count(), 1);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["record"], serde_json::json!({"id": "b\u{9b}9", "title": 7}));
    assert_eq!(line["goneSinceRun"], 2);
    // The clock of the test moves by milliseconds: the name is taken, and nothing is overwritten.
    desk.key('e');
    desk.until_shows("nothing was overwritten").await;
    assert_eq!(std::fs::read_to_string(&exported[0]).unwrap(), text);
}

#[tokio::test]
async fn a_publish_is_refused_when_something_else_was_published_since() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.publish().await;
    rig.blue.send_body(Endpoint::Boards, "[]");
    rig.sync().await;
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 2 held").await;
    desk.key('p');
    desk.until_shows("Publish run 2").await;
    rig.publish_data(&Data::marked(2)).await;
    let before = rig.picture();
    desk.key('Y');
    let screen = desk.until_shows("The replay failed").await;
    assert!(screen.contains("publication 2 is the newest, not 1"), "{screen}");
    assert_eq!(rig.picture().views, before.views);
    rig.check();
}
