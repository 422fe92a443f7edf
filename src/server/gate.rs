//! How often an address may fail to know the secret: a bucket of tries for each, filled again over time.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use tokio::time::Instant;

/// Tries of an address that was not seen for long.
const TRIES: f64 = 50.0;

/// Tries that come back in a second.
const REFILL: f64 = 1.0;

/// Addresses that are remembered at once.
const LONGEST_MEMORY: usize = 10_000;

/// How often the log tells of one address.
const TELL_INTERVAL: Duration = Duration::from_mins(1);

/// Who tries: an IPv4 address, or the network of 64 bits that an IPv6 address is in, as one client has all of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Source(IpAddr);

impl Source {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
            address @ IpAddr::V4(_) => address,
        })
    }
}

#[derive(Debug)]
struct Bucket {
    tries: f64,
    at: Instant,
    told: Option<Instant>,
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        self.tries = (self.tries + now.duration_since(self.at).as_secs_f64() * REFILL).min(TRIES);
        self.at = now;
    }
}

/// What becomes of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The secret was right.
    Granted,
    /// It was not.
    Refused {
        /// Whether the log should tell of it.
        tell: bool,
    },
    /// The secret was not even looked at.
    Limited {
        /// Until when no try of the address is looked at.
        wait: Duration,
    },
}

/// Remembers who failed.
#[derive(Debug, Default)]
pub(super) struct Gate {
    buckets: HashMap<Source, Bucket>,
}

impl Gate {
    /// Lets `address` in when it has a try left and `knows` the secret.
    pub(super) fn admit(&mut self, address: IpAddr, now: Instant, knows: impl FnOnce() -> bool) -> Entry {
        let source = Source::of(address);
        if let Some(bucket) = self.buckets.get_mut(&source) {
            bucket.refill(now);
            if bucket.tries < 1.0 {
                return Entry::Limited { wait: Duration::from_secs_f64((1.0 - bucket.tries) / REFILL) };
            }
        }
        if knows() {
            return Entry::Granted;
        }
        if !self.buckets.contains_key(&source) {
            self.make_room(now);
        }
        let bucket = self.buckets.entry(source).or_insert(Bucket { tries: TRIES, at: now, told: None });
        bucket.tries -= 1.0;
        let tell = bucket.told.is_none_or(|told| now.duration_since(told) >= TELL_INTERVAL);
        if tell {
            bucket.told = Some(now);
        }
        Entry::Refused { tell }
    }

    /// Forgets who has all tries again, and where that is not enough who has most of them.
    fn make_room(&mut self, now: Instant) {
        if self.buckets.len() < LONGEST_MEMORY {
            return;
        }
        self.buckets.retain(|_, bucket| {
            bucket.refill(now);
            bucket.tries < TRIES
        });
        if self.buckets.len() < LONGEST_MEMORY {
            return;
        }
        let most = self.buckets.iter().max_by(|one, other| one.1.tries.total_cmp(&other.1.tries));
        if let Some(source) = most.map(|(source, _)| *source) {
            self.buckets.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fail(gate: &mut Gate, from: &str, now: Instant) -> Entry {
        gate.admit(address(from), now, || false)
    }

    #[test]
    fn failures_use_tries_up_and_time_brings_them_back() {
        let (mut gate, begun) = (Gate::default(), Instant::now());
        for failure in 0..50 {
            assert_eq!(fail(&mut gate, "192.0.2.1", begun), Entry::Refused { tell: failure == 0 });
        }
        let wait = Duration::from_secs(1);
        assert_eq!(fail(&mut gate, "192.0.2.1", begun), Entry::Limited { wait });
        let looked =
            |gate: &mut Gate, now| gate.admit(address("192.0.2.1"), now, || panic!("it is not even looked at"));
        assert_eq!(looked(&mut gate, begun), Entry::Limited { wait });
        let later = begun + Duration::from_millis(750);
        assert_eq!(looked(&mut gate, later), Entry::Limited { wait: Duration::from_millis(250) });
        assert_eq!(gate.admit(address("192.0.2.2"), begun, || true), Entry::Granted, "others are not affected");
        let later = begun + Duration::from_secs(1);
        assert_eq!(gate.admit(address("192.0.2.1"), later, || true), Entry::Granted, "the right one uses no try up");
        assert_eq!(fail(&mut gate, "192.0.2.1", later), Entry::Refused { tell: false });
        assert!(matches!(fail(&mut gate, "192.0.2.1", later), Entry::Limited { .. }));
        let much_later = begun + Duration::from_hours(1);
        assert_eq!(fail(&mut gate, "192.0.2.1", much_later), Entry::Refused { tell: true });
        assert_eq!(
            (1..60).filter(|_| matches!(fail(&mut gate, "192.0.2.1", much_later), Entry::Refused { .. })).count(),
            49
        );
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        for host in 0..50 {
            assert!(matches!(fail(&mut gate, &format!("2001:db8:1:1::{host}"), now), Entry::Refused { .. }));
        }
        assert!(matches!(fail(&mut gate, "2001:db8:1:1:ffff::1", now), Entry::Limited { .. }));
        assert!(matches!(fail(&mut gate, "2001:db8:1:2::1", now), Entry::Refused { .. }));
        // However an IPv4 address is written, it is that address.
        for _ in 0..50 {
            fail(&mut gate, "::ffff:192.0.2.1", now);
        }
        assert!(matches!(fail(&mut gate, "192.0.2.1", now), Entry::Limited { .. }));
        assert!(matches!(fail(&mut gate, "::ffff:192.0.2.2", now), Entry::Refused { .. }));
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_who_failed_most() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        for _ in 0..50 {
            fail(&mut gate, "192.0.2.1", now);
        }
        for number in 0..12_000_u32 {
            gate.admit(IpAddr::V4((0x0a00_0000 + number).into()), now, || false);
        }
        assert_eq!(gate.buckets.len(), LONGEST_MEMORY);
        assert!(matches!(fail(&mut gate, "192.0.2.1", now), Entry::Limited { .. }));
        fail(&mut gate, "192.0.2.9", now + Duration::from_mins(2));
        assert_eq!(gate.buckets.len(), 1, "who has all tries again is forgotten");
    }
}
