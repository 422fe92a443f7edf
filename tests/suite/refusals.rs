//! Databases that cannot be used, each refused with what is in the way and what to do: nothing is lost, nothing panics.

use std::{
    fs::{self, File, Permissions},
    os::unix::{
        fs::{FileExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
};

use greenroom::entity::{Endpoint, Entity};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    commands::{Call, Shell},
    data::Data,
};

/// A user who is nobody.
const NOBODY: u32 = 65534;

/// What an operator calls.
pub(crate) const COMMANDS: [&[&str]; 9] = [
    &["status"],
    &["runs"],
    &["sync"],
    &["rollback", "--yes"],
    &["cancel"],
    &["cleanup", "--yes"],
    &["hold"],
    &["release"],
    &["runs", "--follow"],
];

async fn published() -> Shell {
    let shell = Shell::with(&Data::small(1)).await;
    shell.rig.publish().await;
    shell.rig.publish_data(&Data::small(2)).await;
    shell
}

/// A copy of the database in a folder of its own that anybody may enter.
struct Copy {
    folder: TempDir,
    path: PathBuf,
}

impl Copy {
    fn of(shell: &Shell) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("green.db");
        shell.rig.reader().execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
        // A copy that was made so is not in WAL mode.
        Connection::open(&path).unwrap().pragma_update(None, "journal_mode", "wal").unwrap();
        Self { folder, path }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        PathBuf::from(format!("{}{suffix}", self.path.display()))
    }
}

/// Asserts that a call was refused in a way that helps.
fn assert_refused(call: &Call, status: i32, said: &[&str]) {
    assert_eq!(call.status, status, "{said:?} {} {}", call.stdout, call.stderr);
    let told = call.stderr.lines().last().unwrap();
    assert!(told.starts_with("greenroom: ") && said.iter().all(|part| told.contains(part)), "{told}");
    assert!(!call.stderr.contains("panicked"), "{}", call.stderr);
}

#[tokio::test]
async fn damaged_files_are_refused_and_left_alone() {
    let shell = published().await;
    let page = |copy: &Copy, first: u64, bytes: &[u8]| {
        File::options().write(true).open(&copy.path).unwrap().write_all_at(bytes, first).unwrap();
    };
    let noise: Vec<u8> = (0..40 * 4096_u32).map(|place| place.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let damaged = ["the database is damaged, found while", "restore a copy"];
    let header = ["is not an SQLite database, or its first page is damaged", "restore a copy"];
    let cases = [
        ("magic", 0, &b"XXXXXXXX"[..], 2, header),
        ("page size", 16, &[0xff, 0xff], 2, header),
        ("schema", 100, &noise[..3000], 1, damaged),
        ("the middle", 4096, &noise, 1, damaged),
    ];
    for (what, place, bytes, status, said) in cases {
        let copy = Copy::of(&shell);
        page(&copy, place, bytes);
        let before = fs::read(&copy.path).unwrap();
        // What does not read the damaged pages is not hindered by them.
        let commands = if place == 4096 { &COMMANDS[..4] } else { &COMMANDS[..] };
        for arguments in commands {
            assert_refused(&shell.call_on(&copy.path, arguments).await, status, &said);
        }
        assert!(fs::read(&copy.path).unwrap() == before, "{what}");
    }
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_named() {
    let shell = published().await;
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "a text\n".repeat(1000)).unwrap();
    let newer = Copy::of(&shell);
    Connection::open(&newer.path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let long = folder.path().join("x".repeat(300));
    let deep = folder.path().join("x/".repeat(2500)).join("green.db");
    let nowhere = folder.path().join("no/green.db");
    let (in_file, as_folder) = (text.join("green.db"), folder.path().to_owned());
    for (path, said) in [
        (&text, ["is not an SQLite database", "check --database-url"]),
        (&newer.path, ["bookkeeping of version 99", "use a newer greenroom"]),
        (&long, ["File name too long", "check --database-url"]),
        (&deep, ["File name too long", "check --database-url"]),
        (&in_file, ["Not a directory", "check --database-url"]),
        (&as_folder, ["it is a folder", "check --database-url"]),
    ] {
        for arguments in COMMANDS {
            assert_refused(&shell.call_on(path, arguments).await, 2, &said);
        }
    }
    assert_refused(&shell.call_on(&nowhere, &["sync"]).await, 2, &["there is no folder ", "/no; check"]);
    assert_refused(&shell.call_on(&nowhere, &["status"]).await, 2, &["there is no database at", "`greenroom sync`"]);
}

/// Calls the binary as somebody who is not root on a copy of the database that is theirs, as `spoil` leaves it.
async fn as_nobody(shell: &Shell, binary: &Path, spoil: impl Fn(&Copy), arguments: &[&str]) -> Call {
    let copy = Copy::of(shell);
    for path in [&copy.path, &copy.beside("-run.lock"), &copy.beside("-wal"), &copy.beside("-shm")] {
        File::options().create(true).append(true).open(path).unwrap();
    }
    fs::set_permissions(copy.folder.path(), Permissions::from_mode(0o755)).unwrap();
    let is_root = rustix::process::getuid().is_root();
    if is_root {
        for path in fs::read_dir(copy.folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        chown(copy.folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    spoil(&copy);
    let prepared = shell.command_on(&copy.path, arguments);
    let mut command = std::process::Command::new(binary);
    command.args(arguments).env_clear().current_dir("/");
    command.envs(prepared.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let call = Shell::end(command).await;
    // The folder can be removed again.
    fs::set_permissions(copy.folder.path(), Permissions::from_mode(0o755)).unwrap();
    call
}

/// A copy of the binary that everybody may run, in a folder that goes with the answer.
fn binary_for_all() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("greenroom");
    fs::copy(env!("CARGO_BIN_EXE_greenroom"), &binary).unwrap();
    for path in [folder.path(), &binary] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    (folder, binary)
}

#[tokio::test]
async fn files_that_may_not_be_used_are_named() {
    let shell = published().await;
    let (_folder, binary) = binary_for_all();
    let binary = &binary;
    let mode = |path: PathBuf, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let well = as_nobody(&shell, binary, |_| {}, &["sync"]).await;
    assert_eq!(well.status, 0, "{}", well.stderr);

    let read_only = ["the database is read-only while", "check the permissions"];
    for arguments in [&["sync"][..], &["rollback", "--yes"], &["hold"], &["release"]] {
        let call = as_nobody(&shell, binary, |copy| mode(copy.path.clone(), 0o444), arguments).await;
        assert_refused(&call, 1, &read_only);
    }
    assert_eq!(as_nobody(&shell, binary, |copy| mode(copy.path.clone(), 0o444), &["status"]).await.status, 0);
    let without_log = |copy: &Copy| {
        fs::remove_file(copy.beside("-wal")).unwrap();
        fs::remove_file(copy.beside("-shm")).unwrap();
        mode(copy.folder.path().to_owned(), 0o555);
    };
    let call = as_nobody(&shell, binary, without_log, &["sync"]).await;
    assert_refused(&call, 1, &read_only);

    let refused = |suffix: &'static str| move |copy: &Copy| mode(copy.beside(suffix), 0o000);
    for arguments in [&["status"][..], &["sync"], &["rollback", "--yes"]] {
        let call = as_nobody(&shell, binary, refused(""), arguments).await;
        assert_refused(&call, 2, &["green.db: Permission denied", "who may read and write"]);
        let call = as_nobody(&shell, binary, refused("-wal"), arguments).await;
        assert_refused(&call, 2, &["green.db-wal: Permission denied", "who may read and write"]);
        let call = as_nobody(&shell, binary, |copy| mode(copy.folder.path().to_owned(), 0o000), arguments).await;
        assert_refused(&call, 2, &["Permission denied", "who may read and write"]);
    }
    for arguments in [&["sync"][..], &["rollback", "--to", "1", "--yes"]] {
        let call = as_nobody(&shell, binary, refused("-run.lock"), arguments).await;
        assert_refused(&call, 1, &["green.db-run.lock: Permission denied", "check who owns it"]);
    }
    for arguments in [&["status"][..], &["runs"], &["rollback", "--yes"], &["hold"]] {
        let call = as_nobody(&shell, binary, refused("-run.lock"), arguments).await;
        assert_eq!(call.status, 0, "{arguments:?} needs no lock: {}", call.stderr);
    }
    let no_lock = |copy: &Copy| {
        fs::remove_file(copy.beside("-run.lock")).unwrap();
        fs::create_dir(copy.beside("-run.lock")).unwrap();
    };
    let call = as_nobody(&shell, binary, no_lock, &["sync"]).await;
    assert_refused(&call, 1, &["green.db-run.lock: Is a directory", "check who owns it"]);
}

#[tokio::test]
async fn a_run_behind_a_lock_file_that_may_not_be_read_is_not_taken_for_dead() {
    let shell = published().await;
    let (_folder, binary) = binary_for_all();
    let unreadable = |copy: &Copy| {
        let sql = "INSERT INTO sync_runs (trigger_kind, source, operator_user, operator_host, operator_pid, started_at) \
                   VALUES ('cli', 'http://x/', 'ben', 'box', 12, 1700000000000)";
        Connection::open(&copy.path).unwrap().execute_batch(sql).unwrap();
        for suffix in ["", "-wal", "-shm"].iter().filter(|suffix| copy.beside(suffix).exists()) {
            fs::set_permissions(copy.beside(suffix), Permissions::from_mode(0o666)).unwrap();
        }
        fs::set_permissions(copy.folder.path(), Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(copy.beside("-run.lock"), Permissions::from_mode(0o000)).unwrap();
    };
    let status = as_nobody(&shell, &binary, unreadable, &["status"]).await;
    assert_eq!(status.status, 0, "{}", status.stderr);
    assert!(status.stdout.contains("\nrunning      run 3 by ben@box"), "{}", status.stdout);
    let call = as_nobody(&shell, &binary, unreadable, &["cancel"]).await;
    assert_refused(&call, 1, &["green.db-run.lock: Permission denied", "check who owns it"]);
}

#[tokio::test]
async fn a_dropped_table_or_view_is_named_and_the_next_sync_mends_it() {
    for (sql, name) in [
        ("DROP VIEW boards_current", "boards_current"),
        ("DROP TABLE boards_v2", "boards_v2"),
        ("DROP TABLE boards_v1", "boards_v1"),
        ("DROP VIEW boards_current; DROP TABLE boards_v1; DROP TABLE boards_v2", "boards_v1"),
        ("DROP TABLE boards_json", "boards_json"),
    ] {
        let shell = published().await;
        shell.rig.assert_versions((2, 1));
        shell.rig.writer().execute_batch(sql).unwrap();
        for arguments in [&["status"][..], &["rollback", "--yes", "--no-hold"]] {
            let call = shell.call(arguments).await;
            let says = |part| call.stderr.contains(part);
            // Its backup is as good as ever, and of what was staged nothing is needed.
            if (arguments[0] == "rollback" && name == "boards_v2") || name == "boards_json" {
                assert_eq!(call.status, 0, "{sql} {arguments:?} {}", call.stderr);
                continue;
            }
            assert_eq!(call.status, 1, "{sql} {arguments:?} {}", call.stderr);
            if arguments == ["status"] {
                assert_refused(&call, 1, &[name, "is missing, found while", "`greenroom sync` makes it again"]);
            } else {
                assert!(says("boards_v1 is missing") || says("puts it right"), "{sql} {}", call.stderr);
            }
        }
        shell.rig.blue.send(&Data::small(2));
        let call = shell.call(&["sync"]).await;
        assert_eq!(call.status, 0, "{sql} {} {}", call.stdout, call.stderr);
        shell.rig.assert_views(&Data::small(2));
        assert_eq!(shell.call(&["status"]).await.status, 0);
        shell.rig.blue.send(&Data::small(3));
        assert_eq!(shell.call(&["sync"]).await.status, 0);
        shell.rig.assert_views(&Data::small(3));
        assert_eq!(shell.call(&["rollback", "--yes"]).await.status, 0);
        shell.rig.assert_views(&Data::small(2));
        shell.rig.check();
    }
    let shell = published().await;
    shell.rig.writer().execute_batch("DROP TABLE sync_holds").unwrap();
    for arguments in [&["status"][..], &["release"], &["hold"]] {
        assert_refused(&shell.call(arguments).await, 1, &["sync_holds is missing", "Restore a copy"]);
    }
}

#[tokio::test]
async fn a_run_that_fails_after_a_mend_leaves_it_to_the_next_one() {
    let shell = published().await;
    shell.rig.writer().execute_batch("DROP TABLE boards_v2").unwrap();
    shell.rig.blue.fault(Endpoint::Talents, crate::fake_blue::When::Always, crate::fake_blue::Fault::status(404));
    assert_eq!(shell.call(&["sync"]).await.status, 1);
    // Until then visitors see the backup.
    shell.rig.assert_view(Entity::Boards, Data::small(1).rows(Entity::Boards));
    shell.rig.blue.behave();
    assert_eq!(shell.call(&["sync"]).await.status, 0);
    shell.rig.assert_views(&Data::small(2));
    shell.rig.check();
}
