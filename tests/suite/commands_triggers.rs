//! What the commands tell of triggers by other programs.

use greenroom::report::Operator;
use serde_json::Value as Json;

use crate::{
    commands::Shell,
    console_triggers::{announce, promise, serve, trigger_of},
    data::Data,
    support::operations_of,
};

#[tokio::test(flavor = "multi_thread")]
async fn triggers_and_status_tell_who_asked_and_what_came_of_it() {
    let shell = Shell::with(&Data::marked(1)).await;
    let rig = &shell.rig;
    let before = shell.call(&["triggers"]).await;
    assert_eq!((before.status, before.stdout.as_str()), (0, "no triggers yet\n\nserver       none\n"));
    let presence = announce(rig);
    let server = operations_of(rig, Operator { user: "green".into(), host: "box".into(), pid: 812 });
    let first = server.record_trigger(trigger_of("10.0.0.7"), promise(None)).await.unwrap();
    let run = serve(server.clone(), first).await;
    server.record_trigger(trigger_of("10.0.0.8\u{1b}[2J"), promise(Some(run))).await.unwrap();

    let list = shell.call(&["triggers", "--json"]).await.json();
    assert_eq!(list["server"]["address"], "127.0.0.1:8080");
    assert_eq!(list["server"]["everyMs"], 900_000);
    assert_eq!(list["waiting"]["requestedBy"], "10.0.0.8\u{1b}[2J");
    let triggers = list["triggers"].as_array().unwrap();
    let of = |place: usize, key: &str| triggers[place][key].as_str().unwrap_or_default().to_owned();
    assert_eq!((of(0, "answer"), of(1, "answer")), ("waiting".to_owned(), "started".to_owned()), "newest first");
    assert_eq!((of(1, "trigger"), of(1, "idempotencyKey")), ("http".to_owned(), "key-of-10.0.0.7".to_owned()));
    assert_eq!(triggers[0]["promised"]["run"], Json::Null);
    assert_eq!((&triggers[1]["promised"]["run"], of(1, "requestedBy")), (&run.into(), "10.0.0.7".to_owned()));
    assert_eq!(triggers[1]["promised"]["outcome"], "published");
    let newest = shell.call(&["triggers", "--limit", "1", "--json"]).await.json();
    assert_eq!(newest["triggers"].as_array().unwrap()[..], triggers[..1]);

    let text = shell.call(&["triggers"]).await.stdout;
    assert!(
        text.contains("http 10.0.0.7         orchestrate-sync  started  1 published  the run begins (key "),
        "{text}"
    );
    assert!(text.contains("\nwaiting      orchestrate-sync for http 10.0.0.8\\x1b[2J (task 2) since "), "{text}");
    let status = shell.call(&["status"]).await.stdout;
    for line in [
        "\nserver       serve on 127.0.0.1:8080, every 15m by green@box (pid 812) since ",
        "\nwaiting      orchestrate-sync for http 10.0.0.8\\x1b[2J (task 2) since ",
        "\nlast trigger orchestrate-sync by http 10.0.0.8\\x1b[2J, ",
        "\nlast run     run 1 of http 10.0.0.7 published",
    ] {
        assert!(status.contains(line), "{line}\n{status}");
    }
    let runs = shell.call(&["runs"]).await.stdout;
    assert!(runs.contains("  1  published  http ") && runs.trim_end().ends_with("  10.0.0.7"), "{runs}");
    let run = shell.call(&["runs", "1"]).await.stdout;
    assert!(run.contains("by http 10.0.0.7 (in pid 812 of green@box)\n"), "{run}");
    drop(presence);
    let status = shell.call(&["status", "--json"]).await.json();
    assert_eq!((&status["server"], &status["waiting"]["id"]), (&Json::Null, &2.into()));
    assert_eq!(status["lastTrigger"]["answer"], "waiting");

    // A name that is used again leads to the task of its first use, however old that is.
    let again = server.record_trigger(trigger_of("10.0.0.7"), promise(None)).await.unwrap();
    assert_eq!(again.task, Some(1));
    let list = shell.call(&["triggers", "--limit", "1", "--json"]).await.json();
    assert_eq!((&list["triggers"][0]["answer"], &list["triggers"][0]["promised"]["id"]), (&"joined".into(), &1.into()));
}
