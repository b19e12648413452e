//! Remembers verified tokens until they expire, so that a client that comes back with the same token costs a hash
//! and a look-up. Bounded, and keyed by hash: no token is kept.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::keys::ProviderKeys;
use super::verifier::Verified;

/// How many tokens are remembered at most.
///
/// A remembered token with Clerk's claims takes about 1.5 KiB: 50 MiB when full. Tokens live for a minute and the
/// sessions that hold them share the identity, so a storm of reconnects of this many clients is answered from memory.
const TOKENS_MAX: usize = 32 * 1024;

/// A token as it is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// What was found about a token, and while what it holds.
#[derive(Clone)]
pub(super) struct Remembered {
    pub verified: Verified,
    /// With other keys the token has to be verified again.
    pub keys: Arc<ProviderKeys>,
    /// In seconds: from the first to before the second of these the result is the same.
    pub valid_s: (u64, u64),
}

/// Two generations: new entries go to the young one; when that is full it becomes the old one, and what was old
/// and not asked for since is forgotten. No entry needs to be looked for to make room.
pub(super) struct Memory {
    generations: Mutex<Generations>,
    young_max: usize,
}

#[derive(Default)]
struct Generations {
    young: HashMap<TokenHash, Remembered>,
    old: HashMap<TokenHash, Remembered>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::with_capacity(TOKENS_MAX)
    }
}

impl Memory {
    fn with_capacity(tokens_max: usize) -> Self {
        Self { generations: Mutex::default(), young_max: tokens_max / 2 }
    }

    /// What is known of a token that is valid now.
    pub(super) fn recall(&self, hash: &TokenHash, now_s: u64) -> Option<Remembered> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = generations.young.get(hash) {
            return found.is_valid(now_s).then(|| found.clone());
        }
        let found = generations.old.remove(hash).filter(|found| found.is_valid(now_s))?;
        generations.insert(*hash, found.clone(), self.young_max);
        Some(found)
    }

    /// Remembers a token.
    pub(super) fn remember(&self, hash: TokenHash, found: Remembered) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.insert(hash, found, self.young_max);
    }
}

impl Generations {
    fn insert(&mut self, hash: TokenHash, found: Remembered, young_max: usize) {
        if self.young.len() >= young_max {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(hash, found);
    }
}

impl Remembered {
    fn is_valid(&self, now_s: u64) -> bool {
        (self.valid_s.0..self.valid_s.1).contains(&now_s)
    }
}

#[cfg(test)]
mod tests {
    use super::super::TokenFacts;
    use super::super::UserIdentity;
    use super::super::jwk::KeySet;
    use super::*;

    fn found(valid_s: (u64, u64)) -> Remembered {
        let verified = Verified {
            identity: Arc::new(UserIdentity::default()),
            expires_at_ns: 0,
            provider: 0,
            facts: Arc::new(TokenFacts::default()),
            at_s: 0,
        };
        let keys = Arc::new(ProviderKeys { issuer: None, set: KeySet::default() });
        Remembered { verified, keys, valid_s }
    }

    fn hash(n: usize) -> TokenHash {
        TokenHash::of(&n.to_string())
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let memory = Memory::with_capacity(100);
        for n in 0..10_000 {
            memory.remember(hash(n), found((0, 10)));
            let generations = memory.generations.lock().unwrap();
            assert!(generations.young.len() + generations.old.len() <= 100);
        }
        assert!(memory.recall(&hash(9_999), 5).is_some() && memory.recall(&hash(0), 5).is_none());
    }

    #[test]
    fn what_is_asked_for_stays() {
        let memory = Memory::with_capacity(100);
        memory.remember(hash(0), found((0, 10)));
        for n in 1..10_000 {
            memory.remember(hash(n), found((0, 10)));
            assert!(memory.recall(&hash(0), 5).is_some(), "after {n}");
        }
    }

    #[test]
    fn it_knows_a_token_only_while_the_result_holds() {
        let memory = Memory::with_capacity(4);
        for n in 0..2 {
            memory.remember(hash(n), found((5, 10)));
        }
        memory.remember(hash(2), found((5, 10)));
        for n in 0..3 {
            for (now_s, known) in [(4, false), (10, false)] {
                assert_eq!(memory.recall(&hash(n), now_s).is_some(), known, "{n} at {now_s}");
            }
        }
        assert!(memory.recall(&hash(2), 9).is_some());
    }
}
