//! When to dial which bootstrap peer: a plan without clocks or sockets. `now` is an argument.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use domicile_types::NodeId;

/// The wait after the first failure; it doubles with each further one.
const WAIT_MIN: Duration = Duration::from_millis(250);
/// The longest wait. A gateway that comes back is found within this and a quarter.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Failures after which the wait stays at its maximum: 250 ms x 2^7 > 30 s.
const DOUBLINGS_MAX: u32 = 7;

/// The bootstrap peers and how each stands.
#[derive(Debug, Default)]
pub(crate) struct Redial {
    own: Option<NodeId>,
    peers: BTreeMap<NodeId, Target>,
}

#[derive(Debug)]
struct Target {
    address: SocketAddr,
    /// Failures in a row.
    failures: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { due: Instant },
    Dialing,
    Connected,
}

impl Redial {
    /// A plan for the member `own`, which never dials itself and spreads its waits by its own name, so that a thousand
    /// members do not all come back in the same instant.
    pub(crate) fn new(own: NodeId) -> Self {
        Self { own: Some(own), peers: BTreeMap::new() }
    }

    /// Replaces the peers. Who stays, stays as it is; who is new, is due now (unless `connected` says otherwise).
    pub(crate) fn set(&mut self, peers: &[(NodeId, SocketAddr)], connected: impl Fn(&NodeId) -> bool, now: Instant) {
        let mut kept = std::mem::take(&mut self.peers);
        for (node, address) in peers.iter().filter(|(node, _)| Some(*node) != self.own) {
            let state = if connected(node) { State::Connected } else { State::Waiting { due: now } };
            let fresh = Target { address: *address, failures: 0, state };
            let target = match kept.remove(node) {
                Some(old) if old.address == *address => old,
                _ => fresh,
            };
            self.peers.insert(*node, target);
        }
    }

    /// Whether the peer is one of those to be dialled.
    pub(crate) fn seeks(&self, node: &NodeId) -> bool {
        self.peers.contains_key(node)
    }

    /// The peer is connected, whoever dialled.
    pub(crate) fn connected(&mut self, node: &NodeId) {
        if let Some(target) = self.peers.get_mut(node) {
            target.failures = 0;
            target.state = State::Connected;
        }
    }

    /// The last connection to the peer is gone.
    pub(crate) fn lost(&mut self, node: &NodeId, now: Instant) {
        self.wait(node, now, |state| state == State::Connected);
    }

    /// A dial did not lead to a connection.
    pub(crate) fn failed(&mut self, node: &NodeId, now: Instant) {
        self.wait(node, now, |state| state == State::Dialing);
    }

    fn wait(&mut self, node: &NodeId, now: Instant, from: impl Fn(State) -> bool) {
        let own = self.own;
        if let Some(target) = self.peers.get_mut(node).filter(|target| from(target.state)) {
            let wait = wait_after(target.failures, spread(own, node, target.failures));
            target.failures = target.failures.saturating_add(1);
            target.state = State::Waiting { due: now + wait };
        }
    }

    /// The next peer to dial now, if any; it counts as being dialled from here on.
    pub(crate) fn take_due(&mut self, now: Instant, allowed: &HashSet<NodeId>) -> Option<(NodeId, SocketAddr)> {
        let (node, target) = self.peers.iter_mut().find(|(node, target)| {
            matches!(target.state, State::Waiting { due } if due <= now) && allowed.contains(node)
        })?;
        target.state = State::Dialing;
        Some((*node, target.address))
    }

    /// When [`Redial::take_due`] has something again. `None`: not before something else happens.
    pub(crate) fn next_due(&self, allowed: &HashSet<NodeId>) -> Option<Instant> {
        let waiting = self.peers.iter().filter(|(node, _)| allowed.contains(node));
        let due = waiting.filter_map(|(_, target)| match target.state {
            State::Waiting { due } => Some(due),
            State::Dialing | State::Connected => None,
        });
        due.min()
    }
}

/// The wait after `failures` failures in a row; `spread` of 0..=255 lengthens it by up to a quarter.
fn wait_after(failures: u32, spread: u8) -> Duration {
    let wait = WAIT_MIN.saturating_mul(1 << failures.min(DOUBLINGS_MAX)).min(WAIT_MAX);
    wait + wait.saturating_mul(u32::from(spread)) / (4 * 255)
}

/// A number that differs between members and between attempts, and needs no source of randomness.
fn spread(own: Option<NodeId>, peer: &NodeId, failures: u32) -> u8 {
    let mut hasher = DefaultHasher::new();
    (own, peer, failures).hash(&mut hasher);
    let [byte, ..] = hasher.finish().to_le_bytes();
    byte
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant is opaque: a test can only start from the real one")]
mod tests {
    use domicile_types::IdentityKey;

    use super::*;

    fn node(seed: u8) -> NodeId {
        IdentityKey::from_seed(&[seed; 32]).id()
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_lost_peer_is_dialled_again_with_waits_that_double_up_to_half_a_minute() {
        let (me, peer, start) = (node(1), node(2), Instant::now());
        let allowed = HashSet::from([peer]);
        let mut redial = Redial::new(me);
        redial.set(&[(peer, at(1))], |_| false, start);
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert_eq!(redial.take_due(now, &allowed), Some((peer, at(1))));
            assert_eq!(redial.take_due(now, &allowed), None, "one dial at a time");
            redial.failed(&peer, now);
            let due = redial.next_due(&allowed).unwrap();
            waits.push(due - now);
            assert_eq!(redial.take_due(due - Duration::from_millis(1), &allowed), None);
            now = due;
        }
        assert!(waits[0] >= WAIT_MIN && waits[0] <= WAIT_MIN * 5 / 4);
        assert!(waits.windows(2).take(5).all(|pair| pair[1] > pair[0]), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= WAIT_MAX * 5 / 4), "{waits:?}");
        assert!(waits[11] >= WAIT_MAX);

        assert!(redial.take_due(now, &allowed).is_some());
        redial.connected(&peer);
        assert_eq!(redial.next_due(&allowed), None, "nothing to do while connected");
        redial.lost(&peer, now);
        assert!(redial.next_due(&allowed).unwrap() - now <= WAIT_MIN * 5 / 4, "a connection clears the failures");
    }

    #[test]
    fn a_peer_is_not_dialled_while_it_is_not_allowed_nor_is_the_member_itself() {
        let (me, peer, now) = (node(1), node(2), Instant::now());
        let mut redial = Redial::new(me);
        redial.set(&[(me, at(1)), (peer, at(2))], |_| false, now);
        assert_eq!(redial.take_due(now, &HashSet::from([me])), None);
        assert_eq!(redial.next_due(&HashSet::from([me])), None);
        assert_eq!(redial.take_due(now, &HashSet::from([me, peer])), Some((peer, at(2))));
    }

    #[test]
    fn a_failed_dial_says_nothing_about_a_peer_that_connected_by_itself() {
        let (peer, now) = (node(2), Instant::now());
        let allowed = HashSet::from([peer]);
        let mut redial = Redial::new(node(1));
        redial.set(&[(peer, at(2))], |_| false, now);
        assert!(redial.take_due(now, &allowed).is_some());
        redial.connected(&peer);
        redial.failed(&peer, now);
        assert_eq!(redial.next_due(&allowed), None);
    }

    #[test]
    fn a_new_list_keeps_who_stays_and_forgets_who_goes() {
        let (kept, gone, new, now) = (node(2), node(3), node(4), Instant::now());
        let allowed = HashSet::from([kept, gone, new]);
        let mut redial = Redial::new(node(1));
        redial.set(&[(kept, at(2)), (gone, at(3))], |_| false, now);
        assert!(redial.take_due(now, &allowed).is_some() && redial.take_due(now, &allowed).is_some());
        redial.set(&[(kept, at(2)), (new, at(4))], |_| false, now);
        assert_eq!(redial.take_due(now, &allowed), Some((new, at(4))), "the kept one is still being dialled");
        assert_eq!(redial.take_due(now, &allowed), None);
    }

    #[test]
    fn members_that_lost_the_same_peer_come_back_at_different_times() {
        let (peer, now) = (node(2), Instant::now());
        let allowed = HashSet::from([peer]);
        let due: HashSet<Instant> = (10..30)
            .filter_map(|own| {
                let mut redial = Redial::new(node(own));
                redial.set(&[(peer, at(2))], |_| true, now);
                redial.lost(&peer, now);
                redial.next_due(&allowed)
            })
            .collect();
        assert!(due.len() > 10, "{due:?}");
    }
}
