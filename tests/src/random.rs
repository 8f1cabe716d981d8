//! Numbers that nobody foresees, and that a seed repeats.

use std::env;
use std::time::{Duration, SystemTime};

/// `$SUBHOST_SEED`, or one of the clock.
pub fn seed() -> u64 {
    let given = env::var("SUBHOST_SEED").ok().and_then(|text| text.parse().ok());
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    given.unwrap_or_else(|| u64::from(clock().subsec_nanos()) | 1)
}

/// xorshift64: any spread will do, if it can be repeated.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One of `count`, from 0; 0 of none.
    pub fn index(&mut self, count: usize) -> usize {
        let count = count.max(1) as u64;
        usize::try_from((self.number() >> 32) % count).unwrap_or(0)
    }

    /// A time up to `limit`.
    pub fn below(&mut self, limit: Duration) -> Duration {
        let part = u32::try_from(self.number() >> 32).unwrap_or(0);
        limit.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_does_not() {
        let some = |seed| {
            let mut random = Random::new(seed);
            std::array::from_fn::<_, 20, _>(|_| random.index(1000))
        };
        assert_eq!(some(7), some(7));
        assert_ne!(some(7), some(9));
        assert!(some(0).iter().any(|number| *number > 0));
    }
}
