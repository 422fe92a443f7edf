//! Guards, hold, publish, subsets, partial and dry runs on the command line, end to end.

use greenroom::entity::Endpoint;
use serde_json::{Value as Json, json};

use crate::{
    commands::Shell,
    data::Data,
    fake_blue::{Fault, When},
};

/// Data in which an entity has become empty.
fn emptied(seed: u64) -> Data {
    Data::small(seed).with(Endpoint::TalentsSocials, Vec::new())
}

async fn published() -> Shell {
    let shell = Shell::with(&Data::small(1)).await;
    shell.rig.publish().await;
    shell
}

/// One run live, and run 2 held by a guard.
pub(crate) async fn held() -> Shell {
    let shell = published().await;
    shell.rig.blue.send(&emptied(2));
    assert_eq!(shell.rig.sync().await.report.run.outcome, Some(greenroom::report::RunOutcome::Held));
    shell
}

fn list(value: &Json) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_guard_holds_the_run_and_says_how_to_go_on() {
    let shell = published().await;
    let before = shell.rig.picture();
    shell.rig.blue.send(&emptied(2));
    let call = shell.call(&["sync"]).await;
    assert_eq!(call.status, 3, "{}", call.stdout);
    for said in [
        "\nempty guard, talentssocials: had ",
        "\nrun 2 held after ",
        "nothing was switched\nto publish it: greenroom publish 2 --accept talentssocials.empty\n",
        "\nto see its rows: greenroom diff --run 2 --rows\n",
    ] {
        assert!(call.stdout.contains(said), "{said}: {}", call.stdout);
    }
    let call = shell.call(&["sync", "--json"]).await;
    assert_eq!(call.status, 3);
    let report = call.json();
    assert_eq!((&report["run"]["outcome"], &report["hold"]), (&json!("held"), &Json::Null));
    let finding = &report["guards"][0];
    assert_eq!((&finding["guard"], &finding["entity"]), (&json!("empty"), &json!("talentssocials")));
    assert_eq!((&finding["limit"], &finding["value"], &finding["accepted"]), (&json!(0.0), &json!(3.0), &json!(false)));
    assert!(call.stderr.contains("empty guard, talentssocials"), "{}", call.stderr);
    assert_eq!(shell.rig.picture().views, before.views);

    assert_eq!(shell.call(&["status", "--json"]).await.json()["heldRun"]["id"], 3);
    let status = shell.call(&["status"]).await.stdout;
    assert!(
        status.contains("\nheld run     run 3, publish it with: greenroom publish 3 --accept talentssocials.empty\n"),
        "{status}"
    );
    let runs = shell.call(&["runs"]).await.stdout;
    assert!(runs.lines().nth(1).unwrap().contains("  3  held"), "{runs}");
    let run = shell.call(&["runs", "2"]).await.stdout;
    assert!(run.contains("\nempty guard, talentssocials: had "), "{run}");
    shell.rig.check();
}

#[tokio::test]
async fn publish_takes_exactly_what_is_accepted() {
    let shell = held().await;
    let before = shell.rig.picture();
    for (arguments, status, said) in [
        (&["publish", "2"][..], 5, "pass --yes to confirm"),
        (&["publish", "2", "--json"], 5, "pass --yes to confirm"),
        (&["publish", "2", "--yes", "--json"], 3, "empty guard, talentssocials"),
        (&["publish", "2", "--accept", "shrink", "--json"], 3, "empty guard, talentssocials"),
        (&["publish", "2", "--accept", "boards.empty", "--json"], 3, "empty guard, talentssocials"),
        (&["publish", "1", "--yes"], 1, "run 1 has nothing to publish: it is published"),
        (&["publish", "99", "--yes"], 1, "no run 99"),
    ] {
        let call = shell.call(arguments).await;
        assert_eq!(call.status, status, "{arguments:?}: {}", call.stderr);
        assert!(call.stderr.contains(said), "{arguments:?}: {}", call.stderr);
        assert_eq!(shell.rig.picture().views, before.views);
    }
    let shown = shell.call(&["publish", "2"]).await.stderr;
    assert!(shown.contains("would publish run 2 (held) by ana@box") && shown.contains("\nempty guard"), "{shown}");
    let refused = shell.call(&["publish", "2", "--yes"]).await;
    assert_eq!(refused.status, 3);
    assert!(refused.stdout.contains(" --accept talentssocials.empty\n"), "{}", refused.stdout);

    let asked = shell.rig.blue.requests().len();
    let call = shell.call(&["publish", "2", "--accept", "empty", "--json"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    let report = call.json();
    assert_eq!((&report["run"]["trigger"], &report["run"]["replayOf"]), (&json!("replay"), &json!(2)));
    assert_eq!(report["guards"][0]["accepted"], true);
    assert_eq!(shell.rig.blue.requests().len(), asked, "it is made from what was staged");
    assert_eq!(shell.rig.number("SELECT count(*) FROM talentssocials_current"), 0);
    let status = shell.call(&["status"]).await.stdout;
    assert!(status.contains(", a replay of run 2, accepting talentssocials.empty, by "), "{status}");
    assert!(shell.call(&["runs"]).await.stdout.contains(", replay of 2\n"));
    let again = shell.call(&["publish", "2", "--yes"]).await;
    assert_eq!(again.status, 0, "{}", again.stdout);
    assert!(again.stdout.ends_with(": the same rows are live already\n"), "{}", again.stdout);
    shell.rig.check();
}

#[tokio::test]
async fn what_was_accepted_is_not_taken_for_what_nobody_saw() {
    let shell = held().await;
    shell.rig.publish_data(&Data::small(3)).await;
    let before = shell.rig.picture();
    let refused = shell.call(&["publish", "2", "--accept", "all"]).await;
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("something was published since run 2 was prepared"), "{}", refused.stderr);
    assert_eq!(shell.rig.picture(), before);
    let call = shell.call(&["publish", "2", "--accept", "all", "--yes"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    assert_ne!(shell.rig.picture().views, before.views);
}

#[tokio::test]
async fn limits_and_acceptances_come_from_options_and_environment() {
    let shell = published().await;
    shell.rig.blue.send(&emptied(2));
    for guards in ["boards.empty=off", "empty=on", ""] {
        assert_eq!(shell.call(&["sync", "--dry-run", "--guard", guards]).await.status, 3, "{guards}");
    }
    let bad = shell.call(&["sync", "--guard", "shrunk=1"]).await;
    assert_eq!(bad.status, 2);
    assert!(bad.stderr.contains("the guards are: empty"), "{}", bad.stderr);
    let dry = shell.call(&["--guard", "shrink=off,talentssocials.empty=off", "sync", "--dry-run", "--json"]).await;
    assert_eq!((dry.status, &dry.json()["guards"]), (0, &json!([])));
    let deployed = async |guards: &str, arguments: &[&str]| {
        let mut command = shell.command(arguments);
        command.env("GREENROOM_GUARDS", guards);
        Shell::end(command).await
    };
    assert_eq!(deployed("empty=off,shrink=off", &["sync", "--dry-run"]).await.status, 0);
    let adding = deployed("empty=off", &["sync", "--dry-run", "--guard", "shrink=off"]).await;
    assert_eq!(adding.status, 0, "an option adds to the environment");
    let changing = deployed("empty=off,shrink=off", &["sync", "--dry-run", "--guard", "empty=on"]).await;
    assert_eq!(changing.status, 3, "and wins over it");
    let bad = deployed("shrunk=1", &["sync"]).await;
    assert_eq!(bad.status, 2);
    assert!(bad.stderr.contains("GREENROOM_GUARDS: `shrunk` is not a guard; the guards are:"), "{}", bad.stderr);
    assert_eq!(deployed("shrunk=1", &["hold"]).await.status, 0, "it hinders nothing that needs no guards");
    assert_eq!(shell.call(&["release"]).await.status, 0);

    assert_eq!(shell.call(&["sync", "--accept", "boards.empty"]).await.status, 3);
    assert_eq!(shell.call(&["sync", "--accept", "nothing"]).await.status, 2);
    let call = shell.call(&["sync", "--accept", "shrink,talentssocials.empty"]).await;
    assert_eq!(call.status, 0, "{}", call.stdout);
    assert!(call.stdout.contains("and would have none (accepted)\nrun "), "{}", call.stdout);
    assert_eq!(shell.rig.number("SELECT count(*) FROM talentssocials_current"), 0);
}

#[tokio::test]
async fn the_hold_is_set_met_and_released() {
    let shell = published().await;
    let set = shell.call(&["hold", "--reason", "bad prices", "--json"]).await;
    assert_eq!(set.status, 0);
    assert_eq!((&set.json()["changed"], &set.json()["hold"]["reason"]), (&json!(true), &json!("bad prices")));
    let again = shell.call(&["hold", "--json"]).await;
    assert_eq!((again.status, &again.json()["changed"]), (0, &json!(false)));
    let again = shell.call(&["hold"]).await.stdout;
    assert!(again.starts_with("the hold was set already") && again.contains(": bad prices (since 20"), "{again}");

    shell.rig.blue.send(&Data::small(2));
    let text = shell.call(&["sync"]).await;
    assert_eq!(text.status, 3);
    assert!(text.stdout.contains(": bad prices (since 20"), "{}", text.stdout);
    assert!(text.stdout.contains("\nto publish it: greenroom publish 2 --release\n"), "{}", text.stdout);
    let call = shell.call(&["sync", "--json"]).await;
    assert_eq!((call.status, &call.json()["hold"]["reason"]), (3, &json!("bad prices")));
    assert!(shell.call(&["status"]).await.stdout.contains("\nhold         held by "));
    shell.rig.assert_views(&Data::small(1));

    let refused = shell.call(&["publish", "2", "--yes"]).await;
    assert_eq!(refused.status, 3);
    assert!(refused.stderr.contains("bad prices (since 20"), "{}", refused.stderr);
    assert!(refused.stderr.contains("`greenroom publish 2 --release`"), "{}", refused.stderr);
    let refused = shell.call(&["publish", "2", "--accept", "all", "--json"]).await;
    assert_eq!((refused.status, &refused.json()["error"]["exitStatus"]), (3, &json!(3)));
    shell.rig.assert_views(&Data::small(1));

    // A guard that trips first does not hide that the hold is in the way, too.
    shell.rig.blue.send(&emptied(2));
    let guarded = shell.call(&["sync", "--dry-run"]).await.stdout;
    assert!(guarded.contains(" --accept talentssocials.empty --release\n"), "{guarded}");

    let call = shell.call(&["publish", "2", "--release", "--yes"]).await;
    assert_eq!(call.status, 0, "{}", call.stdout);
    assert!(call.stdout.contains("\nthe hold is released; it was held by "), "{}", call.stdout);
    shell.rig.assert_views(&Data::small(2));
    let none = shell.call(&["release"]).await;
    assert_eq!((none.status, none.stdout.as_str()), (0, "there was no hold; runs publish\n"));
    shell.call(&["hold"]).await;
    let released = shell.call(&["release", "--json"]).await.json();
    assert_eq!((&released["changed"], &released["released"]["reason"]), (&json!(true), &json!("set by hand")));
    assert_eq!(shell.call(&["status", "--json"]).await.json()["hold"], Json::Null);
}

#[tokio::test]
async fn a_subset_says_what_it_leaves_alone() {
    let shell = published().await;
    shell.rig.blue.send(&Data::small(2));
    let asked = shell.rig.blue.asked(Endpoint::BoardsTalents);
    let call = shell.call(&["sync", "boards", "--dry-run"]).await;
    assert_eq!(call.status, 0, "{}", call.stdout);
    assert!(call.stdout.contains("\nleft alone though related: boardstalents, boardsportfolios ("), "{}", call.stdout);
    let call = shell.call(&["sync", "boards", "--json"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    let report = call.json();
    assert_eq!(list(&report["run"]["scope"]), ["boards"]);
    assert_eq!(list(&report["leftAlone"]), ["boardstalents", "boardsportfolios"]);
    assert_eq!(shell.rig.blue.asked(Endpoint::BoardsTalents), asked);
    assert!(shell.call(&["runs"]).await.stdout.contains(", only boards\n"));

    let related = shell.call(&["sync", "boardstalents", "--with-related", "--json"]).await.json();
    assert_eq!(list(&related["run"]["scope"]), ["talents", "boards", "boardstalents"]);
    assert_eq!(shell.rig.blue.asked(Endpoint::BoardsTalents), asked + 1);
    assert_eq!(shell.call(&["sync", "people"]).await.status, 2);
}

#[tokio::test]
async fn a_dry_run_shows_what_a_publish_of_it_does() {
    let shell = published().await;
    shell.rig.blue.send(&Data::small(2));
    let before = shell.rig.picture();
    let call = shell.call(&["sync", "--dry-run"]).await;
    assert_eq!(call.status, 0, "{}", call.stdout);
    assert!(call.stdout.contains("\nrun 2 (dry run) prepared after "), "{}", call.stdout);
    assert!(call.stdout.contains("\nto publish it: greenroom publish 2\n"), "{}", call.stdout);
    assert_eq!(shell.rig.picture().views, before.views);
    assert!(shell.call(&["runs"]).await.stdout.contains(", dry run\n"));
    let diff = shell.call(&["diff", "boards", "--run", "2", "--rows", "--json"]).await.json();
    let boards = &diff["entities"][0];
    assert_eq!(boards["from"]["version"], 1);
    assert!(boards["to"]["snapshot"].is_u64());
    assert!(boards["changed"].as_u64().unwrap() > 0 && !boards["rows"].as_array().unwrap().is_empty(), "{boards}");
    assert_eq!(shell.call(&["publish", "2", "--yes"]).await.status, 0);
    shell.rig.assert_views(&Data::small(2));
}

#[tokio::test]
async fn a_partial_publish_names_what_stayed_behind() {
    let shell = published().await;
    shell.rig.blue.send(&Data::small(2));
    shell.rig.blue.fault(Endpoint::TalentsSocials, When::Always, Fault::status(404));
    assert_eq!(shell.call(&["sync"]).await.status, 1);
    shell.rig.assert_views(&Data::small(1));
    let call = shell.call(&["sync", "--partial"]).await;
    assert_eq!(call.status, 1);
    assert!(call.stdout.ends_with("; left behind: talentssocials\n"), "{}", call.stdout);
    assert!(call.stdout.contains("published after"), "{}", call.stdout);
    let expected = Data::small(2).with_endpoint_of(Endpoint::TalentsSocials, &Data::small(1));
    shell.rig.assert_views(&expected);
    assert!(shell.call(&["runs"]).await.stdout.contains(", partial: talentsSocials"));

    shell.rig.blue.send(&Data::small(3));
    let call = shell.call(&["sync", "--partial", "--json"]).await;
    assert_eq!(call.status, 1);
    assert_eq!(call.json()["run"]["outcome"], "published");
    assert!(call.json()["run"]["error"].as_str().unwrap().contains("404"));
    assert!(call.stderr.contains("left behind: talentssocials"), "{}", call.stderr);
}
