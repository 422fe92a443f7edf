//! Where the secret of `serve` comes from: the environment or a file, never an argument, which the process list shows.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use blake3::OUT_LEN;
use secrecy::{ExposeSecret, SecretString};

use crate::server::{BadSecret, Secrets};

/// The variable of the secret in use.
const CURRENT: &str = "SYNC_SECRET_KEY";

/// The variable of the secret before, during a rotation.
const PREVIOUS: &str = "SYNC_SECRET_KEY_PREVIOUS";

/// Largest file of secrets, in bytes.
const LARGEST_FILE: u64 = 16 * 1024;

/// Why there is no secret to be used. None of these holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum NoSecret {
    /// Nothing says what it is.
    #[error(
        "no secret is set, without which anybody could trigger runs; give {CURRENT} in the environment, or a file that holds it with --secret-file or SYNC_SECRET_KEY_FILE"
    )]
    Unset,
    /// Two places say what it is.
    #[error("both {CURRENT} and a file of secrets are given; remove one of them, so that it is clear which counts")]
    Twice,
    /// The one that is being rotated out is given, and no other.
    #[error("{PREVIOUS} is given without {CURRENT}; give the secret in use in {CURRENT}")]
    OnlyPrevious,
    /// The secret cannot be used.
    #[error("the secret from {place} cannot be used: {problem}")]
    Bad {
        /// Where it comes from.
        place: String,
        /// What is wrong with it.
        #[source]
        problem: BadSecret,
    },
    /// What a variable or the file holds is no text.
    #[error("the secret from {place} is not UTF-8")]
    NotText {
        /// Where it comes from.
        place: String,
    },
    /// The file cannot be read.
    #[error("cannot read the secret from {}: {source}; check --secret-file and who may read it", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The system gives no random numbers, without which secrets are not compared.
    #[error("the system gives no random numbers: {0}")]
    NoRandom(getrandom::Error),
}

/// The secrets of the environment, or of `file`.
pub(super) fn read(file: Option<&Path>) -> Result<Secrets, NoSecret> {
    // An empty variable is one that is not set.
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    let (place, secrets) = gather(variable(CURRENT), variable(PREVIOUS), file)?;
    let mut key = [0; OUT_LEN];
    getrandom::fill(&mut key).map_err(NoSecret::NoRandom)?;
    Secrets::new(&secrets, key).map_err(|problem| NoSecret::Bad { place, problem })
}

fn gather(
    current: Option<OsString>,
    previous: Option<OsString>,
    file: Option<&Path>,
) -> Result<(String, Vec<SecretString>), NoSecret> {
    let text = |value: OsString, name: &str| match value.into_string() {
        Ok(text) => Ok(SecretString::from(text)),
        Err(_) => Err(NoSecret::NotText { place: name.to_owned() }),
    };
    match (current, previous, file) {
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => Err(NoSecret::Twice),
        (None, None, Some(path)) => Ok((path.display().to_string(), lines(path)?)),
        (Some(current), Some(previous), None) => {
            Ok((format!("{CURRENT} and {PREVIOUS}"), vec![text(current, CURRENT)?, text(previous, PREVIOUS)?]))
        }
        (Some(current), None, None) => Ok((CURRENT.to_owned(), vec![text(current, CURRENT)?])),
        (None, Some(_), None) => Err(NoSecret::OnlyPrevious),
        (None, None, None) => Err(NoSecret::Unset),
    }
}

/// The secrets in a file, one a line.
fn lines(path: &Path) -> Result<Vec<SecretString>, NoSecret> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_string(&mut text));
    let read = read.and_then(|size| {
        let fits = size as u64 <= LARGEST_FILE;
        fits.then_some(()).ok_or_else(|| io::Error::other(format!("it has more than {LARGEST_FILE} bytes")))
    });
    read.map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => NoSecret::NotText { place: path.display().to_string() },
        _ => NoSecret::Unreadable { path: path.to_owned(), source },
    })?;
    let text = SecretString::from(text);
    let lines = text.expose_secret().trim_end_matches(['\r', '\n']).lines();
    Ok(lines.map(SecretString::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(current: &str, previous: &str, file: Option<&[u8]>) -> Result<Vec<String>, NoSecret> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        if let Some(bytes) = file {
            std::fs::write(&path, bytes).unwrap();
        }
        let given = |value: &str| Some(OsString::from(value)).filter(|value| !value.is_empty());
        let (_, secrets) = gather(given(current), given(previous), file.map(|_| path.as_path()))?;
        Ok(secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect())
    }

    #[test]
    fn secrets_come_from_one_place() {
        assert_eq!(gathered("one", "", None).unwrap(), ["one"]);
        assert_eq!(gathered("one", "two", None).unwrap(), ["one", "two"]);
        assert_eq!(gathered("", "", Some(b"one\n")).unwrap(), ["one"]);
        assert_eq!(gathered("", "", Some(b"one\r\ntwo\r\n\r\n")).unwrap(), ["one", "two"]);
        assert_eq!(
            gathered("", "", Some(b" one \n\ntwo")).unwrap(),
            [" one ", "", "two"],
            "nothing is mended silently"
        );
        assert_eq!(gathered("", "", Some(b"\n")).unwrap(), [""; 0]);
        assert!(matches!(gathered("", "", None), Err(NoSecret::Unset)));
        assert!(matches!(gathered("one", "", Some(b"one")), Err(NoSecret::Twice)));
        assert!(matches!(gathered("", "two", None), Err(NoSecret::OnlyPrevious)));
        assert!(matches!(gathered("", "", Some(b"\xff\xfe")), Err(NoSecret::NotText { .. })));
        let missing = gather(None, None, Some(Path::new("/nothing/here")));
        assert!(matches!(missing, Err(NoSecret::Unreadable { .. })));
    }
}
