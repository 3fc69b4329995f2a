//! How much one token may open in this process. Pure.
//!
//! Without a limit, one client with a valid token could open streams as fast as its connection allows, and each would be read and
//! held. Tokens are counted, not customers: a token need not name a customer, and the backend that makes tokens can limit how
//! many a customer gets. Each process counts for itself, because a shared count would cost a write for each check-in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// Openings are counted for this time, in seconds.
const MINUTE: u64 = 60;

/// The number of tokens whose openings are counted. With more of them within a minute, counting begins anew: then the limit is
/// wider, and no honest page is refused. 100,000 check-ins a minute are more than a process can answer.
const MOST_TOKENS: usize = 10_000;

/// When a client comes back that has too many streams open. A stream is held for a minute by default.
const FULL: Duration = Duration::from_secs(30);

/// `TOKEN_STREAMS`, `TOKEN_OPENINGS`: how much one token may open in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLimits {
    /// The most streams at a time.
    pub streams: u32,
    /// The most responses within a minute.
    pub openings: u32,
}

/// Stands for a token without containing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenKey(u64);

impl TokenKey {
    /// Only of the part that is signed: of an ECDSA signature, anybody can make a second valid one.
    pub(super) fn of(token: &str) -> Self {
        let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        let hash = Sha256::digest(signed.as_bytes());
        let first = hash.iter().take(8);
        Self(first.fold(0, |key, byte| key << 8 | u64::from(*byte)))
    }
}

/// The limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The client comes back after this time.
    pub(crate) rest: Duration,
    /// Nobody was refused in this minute before. Only this refusal is worth a log line: each line costs money.
    pub(crate) is_first: bool,
}

/// What the tokens have opened in this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    /// When the minute began, in seconds since the Unix epoch.
    began: u64,
    /// The openings of this minute.
    openings: HashMap<TokenKey, u32>,
    /// The streams that are open now. There are as many tokens as requests in flight at most.
    streams: HashMap<TokenKey, u32>,
    refused: bool,
}

/// A stream that is open. It is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    usage: Usage,
    token: TokenKey,
}

impl Usage {
    /// Counts an opening. `now` is in seconds since the Unix epoch.
    pub(crate) fn open(
        &self,
        token: TokenKey,
        limits: TokenLimits,
        now: u64,
    ) -> Result<Place, Refusal> {
        let mut counts = self.lock();
        match counts.open(token, limits, now) {
            Ok(()) => Ok(Place {
                usage: self.clone(),
                token,
            }),
            Err(rest) => Err(Refusal {
                rest,
                is_first: !std::mem::replace(&mut counts.refused, true),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn open(&mut self, token: TokenKey, limits: TokenLimits, now: u64) -> Result<(), Duration> {
        let is_full = self.openings.len() >= MOST_TOKENS && !self.openings.contains_key(&token);
        // A clock that was set back begins a minute too.
        let passed = now
            .checked_sub(self.began)
            .filter(|passed| *passed < MINUTE);
        let left = match passed.filter(|_| !is_full) {
            Some(passed) => MINUTE - passed,
            None => {
                self.openings.clear();
                self.refused = false;
                self.began = now;
                MINUTE
            }
        };
        let openings = self.openings.entry(token).or_default();
        if *openings >= limits.openings {
            return Err(Duration::from_secs(left));
        }
        *openings += 1;
        let streams = self.streams.entry(token).or_default();
        if *streams >= limits.streams {
            return Err(FULL);
        }
        *streams += 1;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.usage.lock();
        if let Some(streams) = counts.streams.get_mut(&self.token) {
            *streams -= 1;
            if *streams == 0 {
                counts.streams.remove(&self.token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_369_200;
    const LIMITS: TokenLimits = TokenLimits {
        streams: 2,
        openings: 5,
    };

    /// The rest of a refused opening.
    fn rest(usage: &Usage, token: u64, now: u64) -> Option<u64> {
        let refused = usage.open(TokenKey(token), LIMITS, now).err();
        refused.map(|refused| refused.rest.as_secs())
    }

    #[test]
    fn a_token_may_open_so_many_in_a_minute() {
        let usage = Usage::default();
        for second in 0..5 {
            assert_eq!(rest(&usage, 1, NOW + second), None);
        }
        assert_eq!(rest(&usage, 1, NOW + 5), Some(55));
        assert_eq!(rest(&usage, 1, NOW + 59), Some(1));
        assert_eq!(rest(&usage, 2, NOW + 59), None, "another token");
        assert_eq!(rest(&usage, 1, NOW + 60), None, "the next minute");
    }

    #[test]
    fn a_token_may_have_so_many_streams_at_a_time() {
        let usage = Usage::default();
        let places: Vec<_> = (0..2)
            .map(|_| usage.open(TokenKey(1), LIMITS, NOW))
            .collect();
        assert!(places.iter().all(Result::is_ok));
        assert_eq!(rest(&usage, 1, NOW), Some(30));
        assert_eq!(rest(&usage, 2, NOW), None, "another token");
        drop(places);
        assert_eq!(rest(&usage, 1, NOW), None);
        assert!(usage.lock().streams.is_empty(), "nothing remains");
    }

    #[test]
    fn only_the_first_refusal_of_a_minute_is_worth_a_log_line() {
        let usage = Usage::default();
        for minute in [NOW, NOW + 60] {
            for _ in 0..5 {
                assert_eq!(rest(&usage, 1, minute), None);
            }
            let firsts = [(); 3].map(|()| {
                let refused = usage.open(TokenKey(1), LIMITS, minute).err();
                refused.map(|refused| refused.is_first)
            });
            assert_eq!(firsts, [Some(true), Some(false), Some(false)]);
        }
    }

    #[test]
    fn memory_is_bounded_and_a_flood_of_tokens_refuses_nobody() {
        let usage = Usage::default();
        for token in 0..100_000 {
            assert_eq!(rest(&usage, token, NOW), None);
            assert!(usage.lock().openings.len() <= MOST_TOKENS);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_refuses_nobody() {
        let usage = Usage::default();
        for _ in 0..5 {
            assert_eq!(rest(&usage, 1, NOW), None);
        }
        assert_eq!(rest(&usage, 1, NOW - 3600), None);
    }

    /// Of an ES256 signature `(r, s)`, `(r, n - s)` is valid too.
    #[test]
    fn a_token_with_another_signature_is_the_same_token() {
        assert_eq!(TokenKey::of("a.b.c"), TokenKey::of("a.b.d"));
        assert_ne!(TokenKey::of("a.b.c"), TokenKey::of("a.c.c"));
    }
}
