//! What packaging says of the program, against the program: commands, settings, limits of time.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use clap::{Command, CommandFactory, Parser};
use greenroom::{
    cli::{Cli, ExitStatus},
    green::path_from_url,
};
use jiff::SignedDuration;

/// Settings of `serve` that are secret, and so no options.
const SECRETS: [&str; 2] = ["SYNC_SECRET_KEY", "SYNC_SECRET_KEY_PREVIOUS"];

fn read(path: &str) -> String {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&whole).unwrap_or_else(|error| panic!("{}: {error}", whole.display()))
}

/// Name and value of each line `NAME = VALUE` of a section; comments and other sections are left out.
fn section(text: &str, name: &str) -> Vec<(String, String)> {
    let mut within = name.is_empty();
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            within = line.trim_matches(['[', ']']) == name;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| within) {
            found.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    assert!(!found.is_empty(), "[{name}]");
    found
}

/// The values of `key`.
fn all<'a>(settings: &'a [(String, String)], key: &str) -> Vec<&'a str> {
    settings.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).collect()
}

/// The one value of `key`, without quotation marks.
fn one<'a>(settings: &'a [(String, String)], key: &str) -> &'a str {
    let values = all(settings, key);
    assert_eq!(values.len(), 1, "{key}: {values:?}");
    values[0].trim_matches('"')
}

fn serve() -> Command {
    Cli::command().find_subcommand("serve").unwrap().clone()
}

/// The option of `serve`, or of all commands, that the variable `name` stands for.
fn option_of(name: &str) -> Option<clap::Arg> {
    let (all, serve) = (Cli::command(), serve());
    all.get_arguments().chain(serve.get_arguments()).find(|one| one.get_env().is_some_and(|env| env == name)).cloned()
}

/// Asserts that the program knows these variables and understands their values.
fn assert_known(settings: &[(String, String)]) {
    let help = serve().render_long_help().to_string();
    for (name, value) in settings {
        if SECRETS.contains(&name.as_str()) {
            assert!(help.contains(name), "{name} is none of the settings of serve");
            continue;
        }
        let option = option_of(name).unwrap_or_else(|| panic!("nothing reads {name}"));
        let long = option.get_long().unwrap();
        let line = if option.get_action().takes_values() { format!("--{long}={value}") } else { format!("--{long}") };
        Cli::try_parse_from(["greenroom", "serve", &line]).unwrap_or_else(|error| panic!("{name}={value}: {error}"));
    }
}

/// Asserts that these words start the server.
fn assert_serves(words: &[&str]) {
    let parsed = Cli::command().try_get_matches_from(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    assert_eq!(parsed.subcommand_name(), Some("serve"), "{words:?}");
}

fn seconds(given: &str) -> Duration {
    let number: u64 = given.trim_end_matches('s').parse().unwrap_or_else(|_| panic!("{given} is no number of seconds"));
    Duration::from_secs(number)
}

/// How long a run may go on after the signal that ends the server, by what its help says of it.
fn grace() -> Duration {
    let option = option_of("GREENROOM_GRACE").unwrap();
    let help = option.get_help().unwrap().to_string();
    let default = help.split_once("[default: ").unwrap().1.split_once(']').unwrap().0;
    default.parse::<SignedDuration>().unwrap().unsigned_abs()
}

fn port(address: &str) -> &str {
    address.rsplit_once(':').unwrap().1
}

#[test]
fn the_unit_starts_the_server_and_lets_a_run_end() {
    let unit = read("assets/systemd/greenroom.service");
    let service = section(&unit, "Service");
    let words: Vec<_> = one(&service, "ExecStart").split_whitespace().collect();
    assert_eq!(words[0], "/usr/bin/greenroom");
    assert_serves(&words);
    assert!(seconds(one(&service, "TimeoutStopSec")) > grace());
    let set: Vec<_> = all(&service, "Environment")
        .into_iter()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_known(&set);
    let (credential, _) = one(&service, "LoadCredential").split_once(':').unwrap();
    assert_eq!(one(&set, "SYNC_SECRET_KEY_FILE"), format!("%d/{credential}"));
    // What is touched is the database, in the folder that the service may write.
    let database = path_from_url(one(&set, "DATABASE_URL")).unwrap();
    assert_eq!(database.parent().unwrap(), Path::new("/var/lib").join(one(&service, "StateDirectory")));
    assert!(one(&service, "ExecStartPre").ends_with(&format!(" {}", database.display())));
    let hopeless = [ExitStatus::Usage, ExitStatus::Locked].map(|status| status.code().to_string());
    assert_eq!(one(&service, "RestartPreventExitStatus"), hopeless.join(" "));
    // By what it shows the status names readers of the write-ahead log.
    assert_eq!((one(&service, "ProcSubset"), one(&service, "ProtectProc")), ("all", "default"));
}

#[test]
fn the_sample_of_settings_names_all_of_them() {
    let sample = read("assets/systemd/greenroom.env");
    // Those that are commented out as well: a sentence has a blank after its sign.
    let lines = sample.lines().map(|line| line.strip_prefix('#').unwrap_or(line)).filter(|line| !line.starts_with(' '));
    let lines = lines.filter_map(|line| line.split_once('='));
    let set: Vec<_> = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_known(&set);
    let named: BTreeSet<_> = set.iter().map(|(name, _)| name.as_str()).collect();
    let serve = serve();
    let own = serve.get_arguments().filter_map(|option| option.get_env()).map(|name| name.to_str().unwrap());
    // That one the unit gives.
    let missing: Vec<_> = own.filter(|name| *name != "SYNC_SECRET_KEY_FILE" && !named.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The instructions of a Dockerfile: each its name and the rest, continued lines put together.
fn instructions(text: &str) -> Vec<(String, String)> {
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let whole = lines.join("\n").replace("\\\n", " ");
    let split =
        |line: &str| line.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.trim().to_owned())).unwrap();
    whole.lines().map(split).collect()
}

#[test]
fn the_image_starts_the_server_of_this_version() {
    let file = instructions(&read("assets/docker/Dockerfile"));
    let exec = |name: &str| -> Vec<String> { serde_json::from_str(one(&file, name)).unwrap() };
    let words: Vec<_> = exec("ENTRYPOINT").into_iter().chain(exec("CMD")).collect();
    assert_serves(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let (_, check) = one(&file, "HEALTHCHECK").split_once("CMD ").unwrap();
    let check: Vec<String> = serde_json::from_str(check).unwrap();
    Cli::try_parse_from(check).unwrap();
    let set: Vec<_> = one(&file, "ENV")
        .split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .filter(|(name, _)| *name != "USER")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_known(&set);
    assert_eq!(port(one(&set, "GREENROOM_LISTEN")), one(&file, "EXPOSE"));
    let database = path_from_url(one(&set, "DATABASE_URL")).unwrap();
    assert_eq!(database.parent(), Some(Path::new(one(&file, "VOLUME"))));
    assert!(!matches!(one(&file, "USER").split(':').next(), None | Some("root" | "0")));
    let images = all(&file, "FROM");
    assert!(images[0].starts_with(&format!("rust:{}-", env!("CARGO_PKG_RUST_VERSION"))), "{images:?}");
    assert!(all(&file, "RUN")[0].contains("--profile dist --locked"));
    assert!(read("Cargo.toml").contains("\n[profile.dist]\n"));
    // Nothing but what is copied comes along, and that is there.
    let copied = all(&file, "COPY").into_iter().filter(|line| !line.starts_with("--from"));
    let copied: BTreeSet<_> = copied
        .flat_map(|line| line.rsplit_once(' ').unwrap().0.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let ignored = read(".dockerignore");
    let passed: BTreeSet<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).map(str::to_owned).collect();
    assert_eq!(copied, passed);
    for path in passed {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path).exists(), "{path}");
    }
}

#[test]
fn the_machine_starts_the_server_and_lets_a_run_end() {
    let file = read("assets/fly/fly.toml");
    let head: Vec<_> = section(&file, "");
    assert_eq!(one(&head, "kill_signal"), "SIGTERM");
    assert!(seconds(one(&head, "kill_timeout")) > grace());
    let command = section(&file, "processes");
    let words = ["greenroom"].into_iter().chain(one(&command, "app").split_whitespace());
    assert_serves(&words.collect::<Vec<_>>());
    let set = section(&file, "env");
    let bare: Vec<_> = set.iter().map(|(name, value)| (name.clone(), value.trim_matches('"').to_owned())).collect();
    assert_known(&bare);
    let port = port(one(&set, "GREENROOM_LISTEN"));
    assert_eq!(one(&section(&file, "http_service"), "internal_port"), port);
    assert_eq!(one(&section(&file, "http_service"), "auto_stop_machines"), "off");
    let check = section(&file, "checks.health");
    assert_eq!((one(&check, "port"), one(&check, "path")), (port, "/healthz"));
    let database = path_from_url(one(&set, "DATABASE_URL")).unwrap();
    assert_eq!(database.parent(), Some(Path::new(one(&section(&file, "mounts"), "destination"))));
}

#[test]
fn variables_in_their_comments_are_known() {
    for path in [
        "assets/systemd/greenroom.service",
        "assets/systemd/greenroom.env",
        "assets/docker/Dockerfile",
        "assets/fly/fly.toml",
    ] {
        let text = read(path);
        let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
        let names = words.filter(|word| {
            ["GREENROOM_", "SYNC_"].iter().any(|start| word.starts_with(start))
                || matches!(*word, "DATABASE_URL" | "SOURCE_API_URL")
        });
        for name in names {
            assert!(SECRETS.contains(&name) || option_of(name).is_some(), "{path}: nothing reads {name}");
        }
    }
}
