//! Spans of time as they are given: `90s`, `15m`, `1h30m`.

use std::{str::FromStr, time::Duration};

use jiff::SignedDuration;

/// The longest span that makes sense anywhere.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);

/// A span of time, or none where an empty variable says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lasting(Option<Duration>);

/// What is no span of time, or none that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLasting {
    /// It is not written as one.
    #[error("it is no span of time such as 90s, 15m or 1h30m")]
    Unreadable,
    /// It is negative.
    #[error("a span of time cannot be negative")]
    Negative,
    /// It is longer than anybody means.
    #[error("it is longer than a year")]
    TooLong,
    /// It is shorter than makes sense for this option.
    #[error("it has to be at least a second")]
    TooShort,
}

impl Lasting {
    /// The span, when one is given.
    #[must_use]
    pub fn given(self) -> Option<Duration> {
        self.0
    }

    /// Reads one of at least a second.
    ///
    /// # Errors
    /// When it is none, or shorter or longer than makes sense.
    pub fn at_least_a_second(given: &str) -> Result<Self, BadLasting> {
        let lasting: Self = given.parse()?;
        match lasting.0 {
            Some(span) if span < Duration::from_secs(1) => Err(BadLasting::TooShort),
            _ => Ok(lasting),
        }
    }
}

impl FromStr for Lasting {
    type Err = BadLasting;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        if given.is_empty() {
            return Ok(Self(None));
        }
        let span: SignedDuration = given.parse().map_err(|_| BadLasting::Unreadable)?;
        if span.is_negative() {
            return Err(BadLasting::Negative);
        }
        if span > LONGEST {
            return Err(BadLasting::TooLong);
        }
        Duration::try_from(span).map(|span| Self(Some(span))).map_err(|_| BadLasting::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (given, milliseconds) in
            [("90s", 90_000), ("15m", 900_000), ("1h30m", 5_400_000), ("250ms", 250), ("0s", 0), ("1h 5m", 3_900_000)]
        {
            assert_eq!(given.parse::<Lasting>().unwrap().given(), Some(Duration::from_millis(milliseconds)), "{given}");
        }
        assert_eq!("".parse::<Lasting>().unwrap().given(), None, "an empty variable is one that is not set");
        for (given, problem) in [
            ("15", BadLasting::Unreadable),
            ("soon", BadLasting::Unreadable),
            ("-5m", BadLasting::Negative),
            ("5m ago", BadLasting::Negative),
            ("90000h", BadLasting::TooLong),
        ] {
            assert_eq!(given.parse::<Lasting>(), Err(problem), "{given}");
        }
        assert_eq!(Lasting::at_least_a_second("0s"), Err(BadLasting::TooShort));
        assert_eq!(Lasting::at_least_a_second("999ms"), Err(BadLasting::TooShort));
        assert_eq!(Lasting::at_least_a_second("1s").unwrap().given(), Some(Duration::from_secs(1)));
    }
}
