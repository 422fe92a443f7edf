//! Ways back, comparisons and the quarantine on the command line, end to end.

use std::{process::Stdio, time::Duration};

use greenroom::entity::{Endpoint, Entity};
use serde_json::{Value as Json, json};

use crate::{commands::Shell, data::Data};

async fn published(generations: u64) -> Shell {
    let shell = Shell::with(&Data::small(1)).await;
    for generation in 1..=generations {
        shell.rig.publish_data(&Data::small(generation)).await;
    }
    shell
}

fn names(entities: &Json) -> Vec<&str> {
    entities.as_array().unwrap().iter().map(|one| one["entity"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn rollback_sets_the_hold_and_undoing_it_releases_it() {
    let shell = published(2).await;
    let call = shell.call(&["rollback", "--yes", "--reason", "bad prices"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    assert!(call.stdout.contains("\nthe hold is set: held by "), "{}", call.stdout);
    assert!(call.stdout.contains(": bad prices (since "), "{}", call.stdout);
    shell.rig.assert_views(&Data::small(1));
    shell.rig.blue.send(&Data::small(3));
    assert_eq!(shell.call(&["sync"]).await.status, 3);

    let shown = shell.call(&["rollback"]).await;
    assert_eq!(shown.status, 5);
    assert!(
        shown.stderr.starts_with("would undo a rollback: what publication 2 had made live comes back live\n"),
        "{}",
        shown.stderr
    );
    assert!(shown.stderr.contains("\nreleases the hold"), "{}", shown.stderr);
    let undone = shell.call(&["rollback", "--yes", "--json"]).await.json();
    assert_eq!((&undone["holdEffect"], &undone["hold"]), (&json!("released"), &Json::Null));
    shell.rig.assert_views(&Data::small(2));

    assert_eq!(shell.call(&["sync"]).await.status, 0);
    shell.rig.assert_views(&Data::small(3));
    assert!(shell.call(&["rollback", "--no-hold"]).await.stderr.contains("\nsets no hold: "));
    let without = shell.call(&["rollback", "--yes", "--no-hold", "--json"]).await.json();
    assert_eq!((&without["holdEffect"], &without["hold"]), (&json!("kept"), &Json::Null));
    assert_eq!(shell.call(&["sync"]).await.status, 0);
    shell.rig.check();
}

#[tokio::test]
async fn rollback_of_entities_or_of_a_publication() {
    let shell = published(2).await;
    let shown = shell.call(&["rollback", "boards"]).await;
    assert_eq!(shown.status, 5);
    assert!(shown.stderr.contains("would take back only boards, each to"), "{}", shown.stderr);
    assert!(shown.stderr.contains("\nboardstalents.boardId     boards "), "{}", shown.stderr);
    let call = shell.call(&["rollback", "boards", "--yes", "--no-hold", "--json"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    let report = call.json();
    assert_eq!(names(&report["entities"]), ["boards"]);
    assert_eq!(names(&report["crossing"]), ["boardstalents", "boardsportfolios"]);
    assert_eq!(report["crossing"][0]["danglingAfter"], 0);
    shell.rig.assert_views(&Data::small(2).with_endpoint_of(Endpoint::Boards, &Data::small(1)));
    let status = shell.call(&["status"]).await.stdout;
    assert!(status.contains("publication 3, a rollback of some entities, by "), "{status}");

    let refused = shell.call(&["rollback", "--publication", "2", "--yes"]).await;
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("boards was switched by publication 3"), "{}", refused.stderr);
    let call = shell.call(&["rollback", "--publication", "3", "--yes", "--json"]).await;
    assert_eq!((call.status, &call.json()["publication"]["undoes"]), (0, &json!(3)));
    shell.rig.assert_views(&Data::small(2));
    assert_eq!(shell.call(&["rollback", "boards", "--to", "1", "--yes"]).await.status, 2);
}

#[tokio::test]
async fn rollback_to_a_run_while_its_snapshots_are_kept() {
    let shell = published(3).await;
    for arguments in [&["rollback", "--to", "1"][..], &["rollback", "--to", "1", "--json"]] {
        assert_eq!(shell.call(arguments).await.status, 5, "{arguments:?}");
    }
    shell.rig.assert_views(&Data::small(3));
    let call = shell.call(&["rollback", "--to", "1", "--yes"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    assert!(call.stdout.contains("\nthe hold is set: held by "), "{}", call.stdout);
    assert!(call.stdout.contains(": went back to run 1 (since"), "{}", call.stdout);
    shell.rig.assert_views(&Data::small(1));
    let status = shell.call(&["status"]).await.stdout;
    assert!(status.contains(", a rollback to run 1, by "), "{status}");
    let call = shell.call(&["rollback", "--to", "2", "--yes", "--no-hold", "--json"]).await;
    assert_eq!((call.status, &call.json()["run"]["replayOf"]), (0, &json!(2)));
    shell.rig.assert_views(&Data::small(2));

    shell.call(&["release"]).await;
    for generation in 4..=6 {
        shell.rig.publish_data(&Data::small(generation)).await;
    }
    assert_eq!(shell.call(&["cleanup", "--yes"]).await.status, 0);
    let gone = shell.call(&["rollback", "--to", "1", "--yes", "--json"]).await;
    assert_eq!(gone.status, 1);
    let message = gone.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("is not kept any more; it can be done with run "), "{message}");
    assert_eq!(shell.call(&["rollback", "--to", "99", "--yes"]).await.status, 1);
    shell.rig.assert_views(&Data::small(6));
}

#[tokio::test]
async fn rollback_to_a_run_asks_the_guards() {
    let empty = Data::small(1).with(Endpoint::TalentsSocials, Vec::new());
    let shell = Shell::with(&empty).await;
    shell.rig.publish().await;
    shell.rig.publish_data(&Data::small(2)).await;
    let call = shell.call(&["rollback", "--to", "1", "--yes"]).await;
    assert_eq!(call.status, 3, "{}", call.stdout);
    assert!(
        call.stdout.contains("\nto publish it: greenroom rollback --to 1 --accept talentssocials.empty\n"),
        "{}",
        call.stdout
    );
    shell.rig.assert_views(&Data::small(2));
    assert_eq!(shell.call(&["rollback", "--to", "1", "--accept", "empty", "--yes"]).await.status, 0);
    assert_eq!(shell.rig.number("SELECT count(*) FROM talentssocials_current"), 0);
    shell.rig.check();
}

#[tokio::test]
async fn diff_compares_snapshots_of_one_endpoint() {
    let shell = published(2).await;
    let of = |endpoint: &str| {
        let sql = format!(
            "SELECT group_concat(id, ' ') FROM (SELECT id FROM sync_snapshots WHERE endpoint = '{endpoint}' ORDER BY id)"
        );
        let ids: String = shell.rig.reader().query_row(&sql, [], |row| row.get(0)).unwrap();
        ids.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let (tags, boards) = (of("mediaTags"), of("boards"));
    let diff = shell.call(&["diff", "--snapshots", &tags[0], &tags[1], "--json"]).await.json();
    assert_eq!(names(&diff["entities"]), ["mediatags", "mediatags_junction"]);
    assert_eq!(diff["entities"][0]["from"]["snapshot"].to_string(), tags[0]);
    assert!(diff["entities"][0]["changed"].as_u64().unwrap() > 0);

    let text = shell.call(&["diff", "--snapshots", &boards[0], &boards[1], "--rows", "--offset", "1"]).await.stdout;
    let heading = format!("boards, from snapshot {} to snapshot {}, 2 to 3 of 3 rows\n", boards[0], boards[1]);
    assert!(text.contains(&heading), "{text}");
    let page = ["diff", "boards", "--rows", "--limit", "1", "--offset", "1", "--json"];
    let page = shell.call(&page).await.json();
    let all = shell.call(&["diff", "boards", "--rows", "--json"]).await.json();
    assert_eq!(page["entities"][0]["rows"], json!([all["entities"][0]["rows"][1]]));

    let other = shell.call(&["diff", "--snapshots", &boards[0], &tags[0]]).await;
    assert_eq!(other.status, 2);
    assert!(other.stderr.contains("only snapshots of one endpoint"), "{}", other.stderr);
    let unknown = shell.call(&["diff", "--snapshots", &boards[0], "999"]).await;
    assert_eq!(unknown.status, 1);
    assert!(unknown.stderr.contains("there is no snapshot 999"), "{}", unknown.stderr);
    assert_eq!(shell.call(&["diff", "--run", "99"]).await.status, 1);
}

#[tokio::test]
async fn a_signal_stops_a_long_diff() {
    let shell = published(2).await;
    // A backup whose rows never end.
    let endless = "DROP TABLE boards_v1; CREATE VIEW boards_v1 AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 \
                   FROM n) SELECT i AS rowid, 'x' || i AS id, '' AS title, '' AS description, '' AS coverImage FROM n";
    shell.rig.writer().execute_batch(endless).unwrap();
    let mut command = shell.command(&["diff", "boards", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let path = format!("/proc/{}/status", child.id());
    // Until it looks after its signals itself; the comparison may have begun or not.
    loop {
        let status = std::fs::read_to_string(&path).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        if u64::from_str_radix(mask.trim(), 16).unwrap() & 2 == 2 {
            break;
        }
        tokio::task::yield_now().await;
    }
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let Ok(output) = tokio::time::timeout(Duration::from_mins(1), ended).await else {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        panic!("it went on and on");
    };
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(130));
    let answer: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["error"]["message"], "stopped by SIGINT; nothing was changed");
}

#[tokio::test]
async fn quarantine_is_listed_and_exported_as_it_came() {
    let shell = published(1).await;
    let bad = "{\n \"id\": null, \"number\": 12345678901234567890123, \"text\": \"a\\u202eb\"}";
    shell.rig.blue.send_body(
        Endpoint::Talents,
        format!("[{{\"id\": \"t0\", \"firstName\": \"A\", \"lastName\": \"B\", \"talentUserNumber\": 1}}, {bad}]"),
    );
    assert_eq!(shell.call(&["sync", "--accept", "all"]).await.status, 0);

    let list = shell.call(&["quarantine", "--json"]).await.json();
    assert_eq!(list["total"], 1);
    let record = &list["records"][0];
    assert_eq!(
        (&record["entity"], &record["firstRun"], &record["goneSinceRun"]),
        (&json!("talents"), &json!(2), &Json::Null)
    );
    assert_eq!(record["record"], bad);
    assert_eq!(shell.call(&["quarantine", "mediaTags", "boards", "--json"]).await.json()["total"], 0);
    assert_eq!(shell.call(&["quarantine", "talents", "--json"]).await.json()["total"], 1);

    let lines = shell.call(&["quarantine", "--json-lines"]).await;
    assert_eq!((lines.status, lines.stdout.lines().count()), (0, 1));
    assert!(lines.stdout.contains(&format!("\"record\":{}}}", bad.replace('\n', " "))), "{}", lines.stdout);
    let line: Json = serde_json::from_str(&lines.stdout).unwrap();
    assert_eq!(
        (&line["endpoint"], &line["record"]["id"], &line["position"]),
        (&json!("talents"), &Json::Null, &Json::Null)
    );
    assert_eq!(shell.call(&["quarantine", "--json", "--json-lines"]).await.status, 2);

    let of_run = shell.call(&["quarantine", "--run", "2"]).await.stdout;
    let row = of_run.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row[..4], ["talents", "1", "id:", "missing"], "{of_run}");
    assert_eq!(shell.call(&["quarantine", "--run", "1"]).await.stdout, "nothing is in quarantine\n");
    assert_eq!(shell.call(&["quarantine", "--run", "99"]).await.status, 1);

    shell.rig.blue.send(&Data::small(2));
    assert_eq!(shell.call(&["sync", "--accept", "all"]).await.status, 0);
    assert_eq!(shell.call(&["quarantine"]).await.stdout, "nothing is in quarantine\n");
    let gone = shell.call(&["quarantine", "--gone"]).await.stdout;
    assert!(gone.contains("  run 3  ") && gone.contains("run 2, "), "{gone}");
    assert_eq!(shell.call(&["quarantine", "--gone", "--json"]).await.json()["records"][0]["goneSinceRun"], 3);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_was_done_is_said_also_when_its_report_cannot_be_written() {
    let shell = published(2).await;
    for (arguments, done) in [
        (
            &["rollback", "--yes", "--no-hold"][..],
            "publication 3 is made, the rollback is done, but its report could not",
        ),
        (&["sync", "--json"], "1 entity switched, publication 4, but its report could not"),
        (&["hold"], "the hold is set, but its report could not"),
    ] {
        if arguments[0] == "sync" {
            shell.rig.blue.send(&Data::small(1).with_endpoint_of(Endpoint::Boards, &Data::small(3)));
        }
        let mut command = shell.command(arguments);
        command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(done), "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(1));
    }
    shell.rig.assert_view(Entity::Boards, Data::small(3).rows(Entity::Boards));
}
