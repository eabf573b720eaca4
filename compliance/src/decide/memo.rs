//! Answers already given: a PUT asks the same of the same twenty nodes as the PUT before it.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use domicile_types::{Obligation, RuleRef, UnixMillis, Verdict};
use lru::LruCache;

use crate::place::Window;

/// How many answers are kept: some 300 bytes each.
const ANSWERS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16 * 1024 - 1);

/// What one pack says to one ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    /// On a deny, those that denied; on an allow, those that permitted.
    pub(crate) rules: Vec<RuleRef>,
    pub(crate) obligations: Vec<Obligation>,
    /// When this is the answer.
    pub(crate) window: Window,
}

/// BLAKE3 over everything an answer depends on, except time, which is the answer's window.
pub(crate) type AnswerKey = [u8; 32];

/// A bounded memory of answers. It changes how long `decide` takes, never what it says.
pub(crate) struct Memo(Mutex<LruCache<AnswerKey, Arc<Answer>>>);

impl Default for Memo {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(ANSWERS_MAX)))
    }
}

impl Memo {
    /// The answer given before, if it still is the answer at `now`.
    pub(crate) fn recall(&self, key: &AnswerKey, now: UnixMillis) -> Option<Arc<Answer>> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(key).filter(|answer| answer.window.contains(now)).cloned()
    }

    pub(crate) fn remember(&self, key: AnswerKey, answer: Arc<Answer>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, answer);
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}
