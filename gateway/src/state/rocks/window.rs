//! What was committed lately: enough to tell whether a transaction's reads still hold.

use std::collections::{BTreeMap, VecDeque};

use crate::state::store::Reads;

/// Keys remembered at the most. A transaction that is older than what is remembered runs again.
const KEYS_MAX: usize = 65_536;

/// The keys that recent commits wrote.
#[derive(Default)]
pub(super) struct Window {
    /// The last commit that wrote each key.
    last_write: BTreeMap<Vec<u8>, u64>,
    /// Commits in order, with their keys.
    commits: VecDeque<(u64, Vec<Vec<u8>>)>,
    /// Commits up to this one are forgotten.
    floor: u64,
}

impl Window {
    /// A window that knows nothing of commits up to `floor`, and need not: no session began before.
    pub(super) fn starting_after(floor: u64) -> Self {
        Self { floor, ..Self::default() }
    }

    /// Whether anything in `reads` was, or may have been, written after commit `began_at`.
    pub(super) fn conflicts(&self, began_at: u64, reads: &Reads) -> bool {
        if began_at < self.floor {
            return true;
        }
        let newer = |commit: &u64| *commit > began_at;
        reads.keys.iter().any(|key| self.last_write.get(key).is_some_and(newer))
            || reads
                .ranges
                .iter()
                .filter_map(|range| range.bounds())
                .any(|bounds| self.last_write.range::<[u8], _>(bounds).any(|(_, commit)| newer(commit)))
    }

    /// Remembers what `commit`, later than all before it, wrote.
    pub(super) fn record(&mut self, commit: u64, keys: Vec<Vec<u8>>) {
        for key in &keys {
            self.last_write.insert(key.clone(), commit);
        }
        self.commits.push_back((commit, keys));
        while self.last_write.len() > KEYS_MAX {
            self.forget_oldest();
        }
    }

    /// Forgets commits up to `oldest`, the commit at which the oldest open session began.
    pub(super) fn prune(&mut self, oldest: u64) {
        while self.commits.front().is_some_and(|(commit, _)| *commit <= oldest) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((commit, keys)) = self.commits.pop_front() else { return };
        self.floor = commit;
        for key in keys {
            if self.last_write.get(&key) == Some(&commit) {
                self.last_write.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::KeyRange;

    fn reads(keys: &[&str], ranges: &[(&str, &str)]) -> Reads {
        Reads {
            keys: keys.iter().map(|key| key.as_bytes().to_vec()).collect(),
            ranges: ranges.iter().map(|(start, end)| KeyRange::new(*start, *end)).collect(),
        }
    }

    fn window() -> Window {
        let mut window = Window::starting_after(10);
        window.record(11, vec![b"a".to_vec(), b"m".to_vec()]);
        window.record(12, vec![b"m".to_vec()]);
        window
    }

    #[test]
    fn only_later_writes_to_what_was_read_conflict() {
        let window = window();
        assert!(window.conflicts(10, &reads(&["a"], &[])));
        assert!(!window.conflicts(11, &reads(&["a"], &[])));
        assert!(window.conflicts(11, &reads(&["m"], &[])));
        assert!(!window.conflicts(10, &reads(&["b"], &[("b", "m")])));
        assert!(window.conflicts(11, &reads(&[], &[("b", "n")])));
    }

    #[test]
    fn a_key_written_again_is_still_known_when_its_first_write_is_forgotten() {
        let mut window = window();
        window.prune(11);
        assert!(window.conflicts(11, &reads(&["m"], &[])));
        assert!(!window.conflicts(11, &reads(&["a"], &[])));
    }

    #[test]
    fn a_session_older_than_the_window_conflicts_whatever_it_read() {
        let mut window = window();
        window.prune(12);
        assert!(window.conflicts(11, &reads(&["zebra"], &[])));
        assert!(!window.conflicts(12, &reads(&["a", "m"], &[])));
    }

    #[test]
    fn the_window_is_bounded() {
        let mut window = Window::starting_after(0);
        for commit in 1..=70_000_u64 {
            window.record(commit, vec![commit.to_be_bytes().to_vec()]);
        }
        assert_eq!(window.last_write.len(), KEYS_MAX);
        assert!(window.conflicts(100, &reads(&["zebra"], &[])));
    }
}
