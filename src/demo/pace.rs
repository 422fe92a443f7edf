//! How fast the demo server answers.

use std::{convert::Infallible, time::Duration};

use axum::body::Bytes;
use futures_util::{Stream, stream};

use crate::entity::Endpoint;

/// Pieces in which a body is sent, enough for a progress bar to move evenly.
const PIECES: usize = 24;

/// How the demo server behaves over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Answers at once and never fails, for tests.
    Instant,
    /// Sends each body within 0.3 to 1.6 s, always the same for an endpoint, in every third run first answers 503 at
    /// one endpoint, and in every sixth has lost most boards, for people to watch.
    Lifelike,
}

/// What a pace means in figures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Time from the request to the end of the body.
    pub(super) duration: fn(Endpoint) -> Duration,
    /// Whether some runs meet a 503, and others data that nobody wants to be live.
    pub(super) misbehaves: bool,
}

impl Timing {
    pub(super) const fn of(pace: Pace) -> Self {
        match pace {
            Pace::Instant => Self { duration: |_| Duration::ZERO, misbehaves: false },
            Pace::Lifelike => Self { duration: lifelike, misbehaves: true },
        }
    }

    /// `body` in pieces, each after its share of the endpoint's time.
    pub(super) fn pieces(
        self,
        endpoint: Endpoint,
        body: Bytes,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        let size = body.len().div_ceil(PIECES).max(1);
        let wait = (self.duration)(endpoint) / u32::try_from(body.len().div_ceil(size)).unwrap_or(1).max(1);
        stream::unfold(body, move |mut rest| async move {
            if rest.is_empty() {
                return None;
            }
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            let piece = rest.split_to(size.min(rest.len()));
            Some((Ok(piece), rest))
        })
    }
}

/// The larger the body, the longer.
fn lifelike(endpoint: Endpoint) -> Duration {
    Duration::from_millis(match endpoint {
        Endpoint::Boards => 300,
        Endpoint::BoardsTalents => 450,
        Endpoint::BoardsPortfolios => 550,
        Endpoint::TalentsSocials => 650,
        Endpoint::TalentsMeasurements => 800,
        Endpoint::TalentsPortfolios => 950,
        Endpoint::Talents => 1_100,
        Endpoint::MediaTags => 1_350,
        Endpoint::PortfoliosMedia => 1_600,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures_util::StreamExt;

    use super::*;

    #[test]
    fn lifelike_endpoints_take_0_3_to_1_6_s_and_no_two_the_same() {
        let mut times = Endpoint::ALL.map(Timing::of(Pace::Lifelike).duration);
        times.sort_unstable();
        assert_eq!((times[0], times[8]), (Duration::from_millis(300), Duration::from_millis(1_600)));
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[tokio::test]
    async fn a_body_comes_whole_in_pieces_spread_over_its_time() {
        let time = Duration::from_millis(60);
        let timing = Timing { duration: |_| Duration::from_millis(60), misbehaves: false };
        let body = Bytes::from((0..1_003).map(|number| b'a' + u8::try_from(number % 26).unwrap()).collect::<Vec<_>>());
        let started = Instant::now();
        let pieces: Vec<_> = timing.pieces(Endpoint::Talents, body.clone()).collect().await;
        assert!(started.elapsed() >= time.mul_f64(0.9));
        assert!(pieces.len() > 10);
        assert_eq!(pieces.into_iter().flat_map(Result::unwrap).collect::<Vec<_>>(), body);
    }

    #[tokio::test]
    async fn small_bodies_are_whole_too() {
        for length in [0, 1, 5] {
            let pieces = Timing::of(Pace::Instant).pieces(Endpoint::Boards, Bytes::from(vec![b'x'; length]));
            assert_eq!(
                pieces.map(|piece| piece.unwrap().len()).collect::<Vec<_>>().await.iter().sum::<usize>(),
                length
            );
        }
    }
}
