//! What the handle and the swarm's thread share. State, not messages: the latest order wins, so nothing can queue up.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::task::Waker;

use domicile_types::NodeId;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config::{AnnounceError, SwarmCounts};
use crate::mailbox::{Announcements, Mailbox};

/// Shared between every [`crate::Swarm`] handle and the swarm's thread.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Wakes the behaviour when an order stands.
    orders: AtomicWaker,
    /// Tells the thread to end.
    stop: Notify,
}

#[derive(Debug, Default)]
struct State {
    allowed: HashSet<NodeId>,
    /// What the member says about itself now; handed to everyone who connects.
    announcement: Option<Arc<[u8]>>,
    orders: Orders,
    connected: BTreeSet<NodeId>,
    listening: Vec<SocketAddr>,
    own_protocols: BTreeSet<String>,
    peer_protocols: HashMap<NodeId, Vec<String>>,
    /// The last announcement heard of each source; INVARIANT: sources are on the allow list.
    latest: HashMap<NodeId, Arc<[u8]>>,
    mailboxes: Vec<Weak<Mailbox>>,
    counts: SwarmCounts,
    stopped: bool,
}

/// What the handle asked for and the behaviour has not done yet.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Publish the announcement.
    pub(crate) announce: bool,
    /// The allow list changed: disconnect who is no longer on it.
    pub(crate) allowed: bool,
    /// The new bootstrap peers.
    pub(crate) bootstrap: Option<Vec<(NodeId, SocketAddr)>>,
}

/// The handle's side.
impl Shared {
    pub(crate) fn new(allowed: HashSet<NodeId>) -> Self {
        Self { state: Mutex::new(State { allowed, ..State::default() }), ..Self::default() }
    }

    pub(crate) fn announce(&self, bytes: Vec<u8>, bytes_max: usize) -> Result<(), AnnounceError> {
        if bytes.len() > bytes_max {
            return Err(AnnounceError::TooLarge { bytes: bytes.len(), bytes_max });
        }
        let mut state = self.state.lock();
        if state.stopped {
            return Err(AnnounceError::Stopped);
        }
        state.announcement = Some(Arc::from(bytes));
        state.orders.announce = true;
        drop(state);
        self.orders.wake();
        Ok(())
    }

    /// From the moment this returns, nobody else is let in and nobody else's announcements are read.
    pub(crate) fn set_allowed(&self, allowed: HashSet<NodeId>) {
        let mut state = self.state.lock();
        state.latest.retain(|source, _| allowed.contains(source));
        state.mailboxes.retain(|mailbox| match mailbox.upgrade() {
            Some(mailbox) => {
                mailbox.retain(|source| allowed.contains(source));
                true
            }
            None => false,
        });
        state.allowed = allowed;
        state.orders.allowed = true;
        drop(state);
        self.orders.wake();
    }

    pub(crate) fn set_bootstrap(&self, peers: Vec<(NodeId, SocketAddr)>) {
        self.state.lock().orders.bootstrap = Some(peers);
        self.orders.wake();
    }

    pub(crate) fn subscribe(&self) -> Announcements {
        let mailbox = Arc::new(Mailbox::default());
        let mut state = self.state.lock();
        for (source, bytes) in &state.latest {
            mailbox.put(*source, bytes.clone());
        }
        if state.stopped {
            mailbox.close();
        }
        state.mailboxes.retain(|other| other.strong_count() > 0);
        state.mailboxes.push(Arc::downgrade(&mailbox));
        Announcements::new(mailbox)
    }

    pub(crate) fn connected_peers(&self) -> Vec<NodeId> {
        self.state.lock().connected.iter().copied().collect()
    }

    pub(crate) fn listen_addresses(&self) -> Vec<SocketAddr> {
        self.state.lock().listening.clone()
    }

    pub(crate) fn own_protocols(&self) -> Vec<String> {
        self.state.lock().own_protocols.iter().cloned().collect()
    }

    pub(crate) fn protocols_of(&self, node: &NodeId) -> Option<Vec<String>> {
        self.state.lock().peer_protocols.get(node).cloned()
    }

    pub(crate) fn counts(&self) -> SwarmCounts {
        self.state.lock().counts
    }

    pub(crate) fn stopped(&self) -> bool {
        self.state.lock().stopped
    }

    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    /// Waits for [`Shared::stop`].
    pub(crate) async fn asked_to_stop(&self) {
        self.stop.notified().await;
    }
}

/// The behaviour's side.
impl Shared {
    pub(crate) fn listen_for_orders(&self, waker: &Waker) {
        self.orders.register(waker);
    }

    pub(crate) fn take_orders(&self) -> Orders {
        std::mem::take(&mut self.state.lock().orders)
    }

    pub(crate) fn announcement(&self) -> Option<Arc<[u8]>> {
        self.state.lock().announcement.clone()
    }

    pub(crate) fn is_allowed(&self, node: &NodeId) -> bool {
        self.state.lock().allowed.contains(node)
    }

    /// Runs `read` with the allow list, under the lock: it must be short.
    pub(crate) fn with_allowed<T>(&self, read: impl FnOnce(&HashSet<NodeId>) -> T) -> T {
        read(&self.state.lock().allowed)
    }

    /// Gives an announcement to every reader, unless it repeats the last one of its source: it comes by gossip and
    /// directly. False, and nothing done, if the source is not on the allow list.
    pub(crate) fn deliver(&self, source: NodeId, bytes: Vec<u8>) -> bool {
        let mut state = self.state.lock();
        if !state.allowed.contains(&source) {
            state.counts.strangers += 1;
            return false;
        }
        if state.latest.get(&source).is_some_and(|last| **last == *bytes) {
            return true;
        }
        let bytes: Arc<[u8]> = Arc::from(bytes);
        state.latest.insert(source, bytes.clone());
        let mut dropped = 0;
        state.mailboxes.retain(|mailbox| match mailbox.upgrade() {
            Some(mailbox) => {
                dropped += u64::from(mailbox.put(source, bytes.clone()));
                true
            }
            None => false,
        });
        state.counts.heard += 1;
        state.counts.dropped += dropped;
        true
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut SwarmCounts)) {
        change(&mut self.state.lock().counts);
    }

    pub(crate) fn set_connected(&self, node: NodeId) {
        self.state.lock().connected.insert(node);
    }

    pub(crate) fn set_lost(&self, node: &NodeId) {
        let mut state = self.state.lock();
        state.connected.remove(node);
        state.peer_protocols.remove(node);
    }

    pub(crate) fn is_connected(&self, node: &NodeId) -> bool {
        self.state.lock().connected.contains(node)
    }

    pub(crate) fn set_listening(&self, address: SocketAddr, listening: bool) {
        let mut state = self.state.lock();
        state.listening.retain(|known| *known != address);
        if listening {
            state.listening.push(address);
        }
    }

    /// Connections may differ: a protocol that the peer does not speak is withdrawn on its connection.
    pub(crate) fn add_own_protocols(&self, protocols: Vec<String>) {
        self.state.lock().own_protocols.extend(protocols);
    }

    pub(crate) fn set_peer_protocols(&self, node: NodeId, protocols: Vec<String>) {
        let mut state = self.state.lock();
        if state.connected.contains(&node) {
            state.peer_protocols.insert(node, protocols);
        }
    }

    /// The swarm is gone: readers come to their end, and the thread too.
    pub(crate) fn ended(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        state.connected.clear();
        state.listening.clear();
        state.peer_protocols.clear();
        for mailbox in state.mailboxes.drain(..) {
            if let Some(mailbox) = mailbox.upgrade() {
                mailbox.close();
            }
        }
        drop(state);
        self.stop.notify_one();
    }
}
