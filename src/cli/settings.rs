//! Global options and what follows from them and the environment.

use std::{env, path::PathBuf, str::FromStr};

use clap::{ArgAction, Args};
use reqwest::Url;

use super::exit::CliError;
use crate::{
    blue::SourceConfig,
    green::{Database, path_from_url},
    guard::{BadGuard, GuardLimits, GuardSetting},
    ops::{OperationError, Operations},
    report::Operator,
    sync::{Line, OnHangup},
};

/// Options that every command takes, before or after its name.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub struct Settings {
    /// The database: a path, or `file:` and a path as Prisma writes it
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Base address of NowRepBlue, such as `https://blue.example.com`
    #[arg(long, global = true, env = "SOURCE_API_URL", hide_env_values = true, value_name = "URL")]
    pub source_url: Option<String>,
    /// Limit of a guard (empty, shrink, quarantine, dangling), such as `shrink=80%`, `boards.empty=off`
    #[arg(long = "guard", global = true, value_name = "[ENTITY.]GUARD=LIMIT")]
    pub guards: Vec<GuardSettings>,
    /// Limits of a deployment, which `--guard` adds to
    #[arg(long = "guards-of-deployment", global = true, hide = true, env = "GREENROOM_GUARDS")]
    pub deployed_guards: Option<String>,
    /// Print exactly one JSON object on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// What becomes of a run when its terminal is gone (SIGHUP): it goes on to its end, unless this says `cancel`
    #[arg(long, global = true, env = "GREENROOM_ON_HANGUP", value_name = "finish|cancel")]
    pub on_hangup: Option<HangupSetting>,
    /// Write log lines to standard error: -v info, -vv debug, -vvv trace
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// Limits of guards, separated by commas.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardSettings(Vec<GuardSetting>);

impl FromStr for GuardSettings {
    type Err = BadGuard;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        // An empty variable is one that is not set.
        let settings = given.split(',').map(str::trim).filter(|setting| !setting.is_empty());
        settings.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// What becomes of a run when the line to its operator drops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HangupSetting(OnHangup);

/// A word that is no [`HangupSetting`].
#[derive(Debug, thiserror::Error)]
#[error("it is neither `finish` nor `cancel`")]
pub struct BadHangup;

impl FromStr for HangupSetting {
    type Err = BadHangup;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        match given {
            // An empty variable is one that is not set.
            "finish" | "" => Ok(Self(OnHangup::Finish)),
            "cancel" => Ok(Self(OnHangup::Cancel)),
            _ => Err(BadHangup),
        }
    }
}

impl Settings {
    /// A new line to the operator.
    pub(super) fn line(&self) -> Line {
        Line { on_hangup: self.on_hangup.unwrap_or_default().0, ..Line::default() }
    }

    /// What prepared rows are checked against: what the deployment sets, changed by the options.
    pub(super) fn limits(&self) -> Result<GuardLimits, CliError> {
        let deployed = self.deployed_guards.as_deref().unwrap_or_default();
        let deployed: GuardSettings = deployed.parse().map_err(CliError::BadGuards)?;
        let settings = [&deployed].into_iter().chain(&self.guards).flat_map(|GuardSettings(some)| some).copied();
        Ok(GuardLimits::with(&settings.collect::<Vec<_>>()))
    }

    /// Where the database is.
    pub(super) fn database_path(&self) -> Result<PathBuf, CliError> {
        let url = self.database_url.as_deref().filter(|url| !url.is_empty()).ok_or(CliError::NoDatabase)?;
        Ok(path_from_url(url)?)
    }

    /// The source, when one is set.
    pub(super) fn source(&self) -> Result<Option<SourceConfig>, CliError> {
        match self.source_url.as_deref().filter(|url| !url.is_empty()) {
            Some(given) => Ok(Some(SourceConfig::new(source_url(given)?))),
            None => Ok(None),
        }
    }

    /// Operations on a database that must exist. Neither the source nor the guards are looked at, so that a bad setting
    /// hinders no rollback.
    pub(super) fn open(&self) -> Result<Operations, CliError> {
        Ok(Operations::new(Database::open(self.database_path()?)?, None, operator()).with_line(self.line()))
    }

    /// As [`Settings::open`], with the source when one is set.
    pub(super) fn open_with_source(&self) -> Result<Operations, CliError> {
        let (path, source) = (self.database_path()?, self.source()?);
        Ok(Operations::new(Database::open(path)?, source, operator()).with_line(self.line()))
    }

    /// Operations of a service and their database. One that is read-only needs no source and creates nothing.
    pub(super) fn serve(&self, read_only: bool) -> Result<(Operations, Database), CliError> {
        let (path, source, limits) = (self.database_path()?, self.source()?, self.limits()?);
        if source.is_none() && !read_only {
            return Err(OperationError::NoSource.into());
        }
        let database = if read_only { Database::open(path)? } else { Database::create_or_open(path)? };
        Ok((Operations::new(database.clone(), source, operator()).with_limits(limits), database))
    }

    /// Operations from a source, which must be set, into a database that is created as needed.
    pub(super) fn create(&self) -> Result<Operations, CliError> {
        let (path, source) = (self.database_path()?, self.source()?.ok_or(OperationError::NoSource)?);
        let limits = self.limits()?;
        let operations = Operations::new(Database::create_or_open(path)?, Some(source), operator());
        Ok(operations.with_limits(limits).with_line(self.line()))
    }
}

/// The address in a `SOURCE_API_URL`.
fn source_url(given: &str) -> Result<Url, CliError> {
    let bad = |why: String| CliError::BadSource { given: given.to_owned(), why };
    let url = Url::parse(given).map_err(|error| bad(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad(format!("it begins with `{}:`, not with http:// or https://", url.scheme())));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad("it names no host".to_owned()));
    }
    Ok(url)
}

/// Who runs this process.
pub(super) fn operator() -> Operator {
    let named = ["USER", "LOGNAME"].into_iter().find_map(|name| env::var(name).ok().filter(|user| !user.is_empty()));
    let user = named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Operator { user, host, pid: std::process::id() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_http_addresses_with_a_host() {
        for good in ["http://127.0.0.1:8080", "https://blue.example.com/base/", "HTTP://[::1]:80"] {
            source_url(good).unwrap();
        }
        for (bad, why) in [
            ("blue.example.com", "relative URL without a base"),
            ("localhost:3000", "it begins with `localhost:`"),
            ("ftp://blue.example.com", "it begins with `ftp:`"),
            ("file:///data", "it begins with `file:`"),
            ("http://", "empty host"),
            ("http://blue:port", "invalid port"),
        ] {
            let error = source_url(bad).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(error.status().code(), 2);
        }
    }

    #[test]
    fn limits_of_guards_come_in_lists() {
        let given = ["shrink=0.8, boards.empty=off,", "boards.shrink=off", ""];
        let guards = given.map(|given| given.parse().unwrap()).to_vec();
        let settings = Settings { guards, ..Settings::default() };
        let single = ["shrink=0.8", "boards.empty=off", "boards.shrink=off"].map(|one| one.parse().unwrap());
        assert_eq!(settings.limits().unwrap(), GuardLimits::with(&single));
        assert_eq!(Settings::default().limits().unwrap(), GuardLimits::default());
        assert!("shrink=0.8,shrunk=1".parse::<GuardSettings>().unwrap_err().to_string().contains("`shrunk`"));
    }

    #[test]
    fn a_run_finishes_without_its_terminal_unless_told_otherwise() {
        let line = |given: Option<&str>| {
            let on_hangup = given.map(|given| given.parse().unwrap());
            Settings { on_hangup, ..Settings::default() }.line().on_hangup
        };
        assert_eq!([None, Some("finish"), Some("")].map(line), [OnHangup::Finish; 3]);
        assert_eq!(line(Some("cancel")), OnHangup::Cancel);
        assert!("stay".parse::<HangupSetting>().is_err());
    }

    #[test]
    fn empty_settings_are_missing_ones() {
        let settings =
            Settings { database_url: Some(String::new()), source_url: Some(String::new()), ..Settings::default() };
        assert!(matches!(settings.database_path(), Err(CliError::NoDatabase)));
        assert!(settings.source().unwrap().is_none());
        assert_eq!(settings.create().unwrap_err().status().code(), 2);
    }

    #[test]
    fn a_sync_without_a_source_makes_no_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("green.db");
        let settings = Settings { database_url: Some(path.display().to_string()), ..Settings::default() };
        assert!(matches!(settings.create(), Err(CliError::Operation(OperationError::NoSource))));
        assert!(!path.exists());
    }
}
