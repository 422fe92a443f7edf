//! The secret that triggers have to know: what it may be, and the comparison that tells nothing about it.

use std::fmt;

use blake3::OUT_LEN;
use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq};

/// Fewest bytes of a secret.
pub const SHORTEST: usize = 16;

/// Bytes from which on a secret is worth its name.
pub const ADVISABLE: usize = 32;

/// Why a secret cannot be used. None of these holds any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// There is none.
    #[error("there is none")]
    Missing,
    /// It is too short to be one.
    #[error("it has {length} bytes, and fewer than {SHORTEST} can be guessed; `openssl rand -hex 32` makes a good one")]
    Short {
        /// Its bytes.
        length: usize,
    },
    /// No client could ever send it.
    #[error("it has a control character in it, which no HTTP header can carry")]
    ControlCharacter,
    /// No client could ever send it.
    #[error("it begins or ends with white space, which is no part of an HTTP header's value")]
    OuterSpace,
    /// The one during whose rotation both are valid is the same.
    #[error("the previous one is the same as the one in use, so that nothing is rotated; remove the previous one")]
    SameAsPrevious,
    /// There are more than can be told apart in a rotation.
    #[error("there are {found} of them; the one in use and the previous one are all there can be")]
    TooMany {
        /// How many there are.
        found: usize,
    },
}

/// The secrets that are valid, the one in use and the one before during a rotation. Of each only a hash is kept, with a key
/// that nobody knows outside this process.
#[derive(Clone)]
pub struct Secrets {
    key: [u8; OUT_LEN],
    hashes: Vec<[u8; OUT_LEN]>,
    is_short: bool,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// The secrets `given`, with the random `key` for their comparison.
    ///
    /// # Errors
    /// When there is none, more than two, or one that is too short or that no client could send.
    pub fn new(given: &[SecretString], key: [u8; OUT_LEN]) -> Result<Self, BadSecret> {
        match given {
            [] => return Err(BadSecret::Missing),
            [_] | [_, _] => {}
            more => return Err(BadSecret::TooMany { found: more.len() }),
        }
        given.iter().try_for_each(|secret| check(secret.expose_secret()))?;
        let hashes: Vec<_> = given.iter().map(|secret| hash(&key, secret.expose_secret().as_bytes())).collect();
        if let [one, previous] = hashes.as_slice()
            && one == previous
        {
            return Err(BadSecret::SameAsPrevious);
        }
        let is_short = given.iter().any(|secret| secret.expose_secret().len() < ADVISABLE);
        Ok(Self { key, hashes, is_short })
    }

    /// Whether one of them is shorter than [`ADVISABLE`].
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.is_short
    }

    /// Whether any of `candidates` is a valid secret. How long that takes depends on their number and lengths only.
    #[must_use]
    pub fn match_any<'a>(&self, candidates: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let mut matches = Choice::from(0);
        for candidate in candidates {
            let candidate = hash(&self.key, candidate);
            for secret in &self.hashes {
                matches |= candidate.ct_eq(secret);
            }
        }
        matches.into()
    }
}

fn hash(key: &[u8; OUT_LEN], secret: &[u8]) -> [u8; OUT_LEN] {
    *blake3::keyed_hash(key, secret).as_bytes()
}

fn check(secret: &str) -> Result<(), BadSecret> {
    if secret.is_empty() {
        Err(BadSecret::Missing)
    } else if secret.chars().any(char::is_control) {
        Err(BadSecret::ControlCharacter)
    } else if secret.trim() != secret {
        Err(BadSecret::OuterSpace)
    } else if secret.len() < SHORTEST {
        Err(BadSecret::Short { length: secret.len() })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; OUT_LEN] = [7; OUT_LEN];

    fn secrets(given: &[&str]) -> Result<Secrets, BadSecret> {
        Secrets::new(&given.iter().copied().map(SecretString::from).collect::<Vec<_>>(), KEY)
    }

    #[test]
    fn what_could_never_match_or_be_guessed_is_refused() {
        for (given, problem) in [
            (&[][..], BadSecret::Missing),
            (&[""], BadSecret::Missing),
            (&["fifteen bytes.."], BadSecret::Short { length: 15 }),
            (&["sixteen bytes..\n"], BadSecret::ControlCharacter),
            (&["a secret with a \u{7f} in it"], BadSecret::ControlCharacter),
            (&[" begins with a space"], BadSecret::OuterSpace),
            (&["ends with a no-break space\u{a0}"], BadSecret::OuterSpace),
            (&["the same one as ever", "the same one as ever"], BadSecret::SameAsPrevious),
            (&["the one that is in use", "short"], BadSecret::Short { length: 5 }),
            (&["number one of three", "number two of three", "number three of three"], BadSecret::TooMany { found: 3 }),
        ] {
            let error = secrets(given).unwrap_err();
            assert_eq!(error, problem, "{given:?}");
            assert!(given.iter().all(|secret| secret.is_empty() || !error.to_string().contains(secret)), "{error}");
        }
        assert!(secrets(&["sixteen bytes..."]).unwrap().is_short());
        assert!(!secrets(&["thirty-two bytes, as is advisable"]).unwrap().is_short());
    }

    #[test]
    fn one_of_several_values_has_to_be_one_of_the_secrets() {
        let secrets = secrets(&["the one that is in use", "the one before, żółw"]).unwrap();
        let matches = |given: &[&str]| secrets.match_any(given.iter().map(|one| one.as_bytes()));
        assert!(matches(&["the one that is in use"]));
        assert!(matches(&["the one before, żółw"]));
        assert!(matches(&["wrong", "the one before, żółw", ""]));
        for wrong in
            [&[][..], &[""], &["The one that is in use"], &["the one that is in us"], &["the one that is in use "]]
        {
            assert!(!matches(wrong), "{wrong:?}");
        }
        assert!(!format!("{secrets:?}").contains("in use"));
        let hashes: Vec<_> = secrets.hashes.iter().map(|hash| format!("{hash:?}")).collect();
        assert!(hashes.iter().all(|hash| !format!("{secrets:?}").contains(hash)));
    }
}
