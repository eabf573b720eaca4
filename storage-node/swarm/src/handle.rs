//! The handle of a running member.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};

use domicile_types::{IdentityKey, NodeId};
use libp2p::identity::Keypair;
use tokio::sync::watch;

use crate::config::{AnnounceError, Limits, SwarmConfig, SwarmCounts, SwarmError};
use crate::mailbox::Announcements;
use crate::run::Member;
use crate::shared::Shared;

/// A running swarm member. Clones speak to the same one; it ends with [`Swarm::shutdown`] or with its last handle.
///
/// No method blocks: orders are left for the swarm's thread, answers are what it last saw.
#[derive(Debug, Clone)]
pub struct Swarm {
    member: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    node: NodeId,
    announcement_bytes_max: usize,
    shared: Arc<Shared>,
    done: watch::Receiver<bool>,
}

/// Starts a member as `identity` on a thread of its own, and returns when it listens (some milliseconds; blocks).
pub fn start(identity: &IdentityKey, config: SwarmConfig) -> Result<Swarm, SwarmError> {
    start_with(identity, config, Limits::default())
}

pub(crate) fn start_with(identity: &IdentityKey, config: SwarmConfig, limits: Limits) -> Result<Swarm, SwarmError> {
    let node = identity.id();
    let allowed: HashSet<NodeId> = config.allow.iter().copied().collect();
    if let Some((peer, _)) = config.bootstrap.iter().find(|(peer, _)| *peer != node && !allowed.contains(peer)) {
        return Err(SwarmError::BootstrapNotAllowed(*peer));
    }
    let key = Keypair::ed25519_from_bytes(identity.signing_key().to_bytes())
        .map_err(|error| SwarmError::Start(error.into()))?;
    let shared = Arc::new(Shared::new(allowed));
    let member = Member { key, own: node, config, limits, shared: shared.clone() };
    let (ready, started) = mpsc::sync_channel(1);
    let (done_sender, done) = watch::channel(false);
    std::thread::Builder::new()
        .name("domicile-swarm".into())
        .spawn(move || member.run(&ready, &done_sender))
        .map_err(|error| SwarmError::Start(error.into()))?;
    // A thread that dies without a word closes the channel.
    started.recv().map_err(|error| SwarmError::Start(error.into()))??;
    Ok(Swarm {
        member: Arc::new(Running { node, announcement_bytes_max: limits.announcement_bytes_max, shared, done }),
    })
}

impl Swarm {
    /// Who this member is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.member.node
    }

    /// Makes `announcement` (at most [`crate::ANNOUNCEMENT_BYTES_MAX`] bytes) what this member says about itself: told
    /// to all members now, and to each one that connects later, until the next call. Of calls in quick succession the
    /// last one counts.
    pub fn announce(&self, announcement: Vec<u8>) -> Result<(), AnnounceError> {
        self.member.shared.announce(announcement, self.member.announcement_bytes_max)
    }

    /// A reader of what members announce: first the last announcement of each that is known by now, then each one as
    /// it comes. Several readers each see all.
    #[must_use]
    pub fn announcements(&self) -> Announcements {
        self.member.shared.subscribe()
    }

    /// Replaces the allow list. When this returns nobody else is let in and nobody else's announcements are read, not
    /// even those heard before; their connections are closed right after.
    pub fn set_allowed(&self, allow: impl IntoIterator<Item = NodeId>) {
        self.member.shared.set_allowed(allow.into_iter().collect());
    }

    /// Replaces the peers that are dialled, and redialled with growing waits (250 ms to half a minute) while they are
    /// not connected. A peer that is not on the allow list waits until it is.
    pub fn set_bootstrap(&self, peers: impl IntoIterator<Item = (NodeId, SocketAddr)>) {
        self.member.shared.set_bootstrap(peers.into_iter().collect());
    }

    /// The peers connected now, in order.
    #[must_use]
    pub fn connected(&self) -> Vec<NodeId> {
        self.member.shared.connected_peers()
    }

    /// Where this member listens; wildcard addresses are resolved to those of the interfaces, port 0 to the port taken.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<SocketAddr> {
        self.member.shared.listen_addresses()
    }

    /// The protocols that this member has advertised to anyone, sorted. Empty until the first connection.
    #[must_use]
    pub fn protocols(&self) -> Vec<String> {
        self.member.shared.own_protocols()
    }

    /// The protocols that a connected peer advertises, sorted, as it told us by identify.
    #[must_use]
    pub fn protocols_of(&self, peer: &NodeId) -> Option<Vec<String>> {
        self.member.shared.protocols_of(peer)
    }

    /// What this member has seen since it started.
    #[must_use]
    pub fn counts(&self) -> SwarmCounts {
        self.member.shared.counts()
    }

    /// Whether the member still runs. It ends by itself only through a defect; then readers come to their end.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.member.shared.stopped()
    }

    /// Ends the member and waits until its sockets are closed.
    pub async fn shutdown(&self) {
        self.member.shared.stop();
        let mut done = self.member.done.clone();
        // An error means that the thread is gone, which is what is waited for.
        drop(done.wait_for(|done| *done).await);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop();
    }
}
