//! The questions of the command line, asked in a real pseudo-terminal.

use crate::{commands::Shell, commands_guards::held, data::Data, pty::Session};

/// The end of every question.
const ASKED: &str = "anything else changes nothing:";

/// Calls the binary on a terminal, types `answer` once it asks, and waits for its end.
fn asked(shell: &Shell, arguments: &[&str], answer: &str) -> (u32, String) {
    let path = shell.rig.path.display().to_string();
    // Tall enough for the question and the answer.
    let mut session = Session::sized(arguments, &[("DATABASE_URL", &path)], 80, 60);
    session.until_shows(ASKED);
    session.press(answer);
    let status = session.end().exit_code();
    (status, String::from_utf8(session.raw()).unwrap().replace("\r\n", "\n"))
}

fn publications(shell: &Shell) -> i64 {
    shell.rig.number("SELECT count(*) FROM sync_publications")
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_asks_and_takes_only_a_capital_y() {
    let shell = held().await;
    let before = shell.rig.picture();
    for answer in ["y\n", "\n", "yes\n", "Yes\n"] {
        let (status, shown) = asked(&shell, &["publish", "2"], answer);
        assert_eq!(status, 5, "{shown}");
        assert!(shown.contains("not confirmed; nothing was changed"), "{shown}");
        assert_eq!(shell.rig.picture(), before, "{answer:?}");
    }
    let (status, shown) = asked(&shell, &["publish", "2"], "Y\n");
    assert_eq!(status, 0, "{shown}");
    for said in ["would publish run 2 (held)", "\nempty guard, talentssocials: had", "Y accepts the 1 finding above"] {
        assert!(shown.contains(said), "{shown}");
    }
    assert!(!shown.contains("something was published since"), "{shown}");
    assert_eq!(shell.rig.number("SELECT count(*) FROM talentssocials_current"), 0);
    let sql = "SELECT count(*) FROM sync_publication_guards WHERE guard = 'empty' AND entity = 'talentssocials'";
    assert_eq!(shell.rig.number(sql), 1);
    shell.rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outdated_run_is_tried_before_the_question() {
    let shell = held().await;
    shell.rig.publish_data(&Data::small(3)).await;
    assert_eq!(shell.call(&["hold"]).await.status, 0);
    assert_eq!(shell.call(&["publish", "2"]).await.status, 3, "under the hold there is nothing to ask");
    let before = shell.rig.picture();
    let (status, shown) = asked(&shell, &["publish", "2", "--release"], "\x03");
    assert_eq!(status, 130, "{shown}");
    assert!(shown.contains("stopped by SIGINT; nothing was changed"), "{shown}");
    assert_eq!(shell.rig.picture().views, before.views);
    assert_eq!(
        (publications(&shell), shell.rig.number("SELECT count(*) FROM sync_holds WHERE released_at IS NULL")),
        (2, 1)
    );

    let (status, shown) = asked(&shell, &["publish", "2", "--release"], "Y\n");
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains("something was published since; these are the figures of now"), "{shown}");
    assert!(shown.contains("Y also releases the hold: held by"), "{shown}");
    assert!(shown.contains("the hold is released; it was held by"), "{shown}");
    assert_eq!(shell.rig.number("SELECT count(*) FROM talentssocials_current"), 0);
    assert_eq!(
        (publications(&shell), shell.rig.number("SELECT count(*) FROM sync_holds WHERE released_at IS NULL")),
        (3, 0)
    );
    shell.rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_asks_and_takes_only_a_capital_y() {
    let shell = Shell::with(&Data::small(1)).await;
    shell.rig.publish().await;
    shell.rig.publish_data(&Data::small(2)).await;
    let before = shell.rig.picture();
    for answer in ["n\n", "y\n", "\n"] {
        let (status, shown) = asked(&shell, &["rollback"], answer);
        assert_eq!((status, shell.rig.picture() == before), (5, true), "{shown}");
    }
    let (status, shown) = asked(&shell, &["rollback"], "Y\n");
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains("v2 > v1") && shown.contains("sets the hold, so that"), "{shown}");
    shell.rig.assert_views(&Data::small(1));
    let (status, shown) = asked(&shell, &["rollback"], "Y\n");
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains("would undo a rollback: what publication 2 had made live comes back live"), "{shown}");
    shell.rig.assert_views(&Data::small(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_to_a_run_shows_what_guards_find() {
    let empty = Data::small(1).with(greenroom::entity::Endpoint::TalentsSocials, Vec::new());
    let shell = Shell::with(&empty).await;
    shell.rig.publish().await;
    shell.rig.publish_data(&Data::small(2)).await;
    let before = shell.rig.picture();
    let (status, shown) = asked(&shell, &["rollback", "--to", "1"], "y\n");
    assert_eq!(status, 5, "{shown}");
    assert_eq!((shell.rig.picture().views, publications(&shell)), (before.views, 2));
    let (status, shown) = asked(&shell, &["rollback", "--to", "1"], "Y\n");
    assert_eq!(status, 0, "{shown}");
    for said in
        ["would go back to what was live after run 1", "\nempty guard, talentssocials: had", "sets the hold, so that"]
    {
        assert!(shown.contains(said), "{shown}");
    }
    assert_eq!(shell.rig.number("SELECT count(*) FROM talentssocials_current"), 0);
    assert_eq!(shell.rig.number("SELECT count(*) FROM sync_holds WHERE released_at IS NULL"), 1);
    shell.rig.check();
}
