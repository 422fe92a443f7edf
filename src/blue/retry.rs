//! How often and after which delay an endpoint is asked again.

use std::time::{Duration, SystemTime};

/// Attempts and delays. The delays double from `first` to `longest`; jitter is applied after that cap.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts at an endpoint in one run, at least 1.
    pub attempts: u32,
    /// Delay after the first failed attempt.
    pub first: Duration,
    /// Longest delay of our own; `Retry-After` may ask for more.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 3, first: Duration::from_secs(1), longest: Duration::from_secs(10) }
    }
}

impl RetryPolicy {
    /// The wait after the failed attempt number `attempt` (from 1).
    ///
    /// `jitter` in 0..1 adds up to a quarter of the delay, so that many clients do not return at once.
    /// What the server asked for in `Retry-After` is never undercut.
    #[must_use]
    pub fn delay(&self, attempt: u32, jitter: f64, retry_after: Option<Duration>) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
        let own = doubled.min(self.longest).mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0);
        retry_after.map_or(own, |asked| asked.max(own))
    }
}

/// Reads a `Retry-After` header: seconds or an HTTP date (RFC 9110, 10.2.3).
#[must_use]
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_jitter_comes_after_it() {
        let policy = RetryPolicy { attempts: 9, ..RetryPolicy::default() };
        let delay = |attempt, jitter| policy.delay(attempt, jitter, None);
        assert_eq!([1, 2, 3, 4, 5, 40].map(|attempt| delay(attempt, 0.0).as_secs()), [1, 2, 4, 8, 10, 10]);
        assert_eq!(delay(5, 1.0), Duration::from_millis(12_500));
        assert!(delay(5, 0.3) < delay(5, 0.6));
    }

    #[test]
    fn the_server_may_ask_for_longer_but_not_for_shorter() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay(1, 0.5, Some(Duration::from_secs(30))), Duration::from_secs(30));
        assert_eq!(policy.delay(3, 0.0, Some(Duration::ZERO)), Duration::from_secs(4));
    }

    #[test]
    fn retry_after_takes_seconds_and_dates() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        assert_eq!(retry_after("120", now), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:29:30 GMT", now), Some(Duration::from_secs(90)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:27:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-1", now), None);
    }
}
