//! What a member is told at start, its limits, and how starting and announcing can fail.

use std::net::SocketAddr;
use std::time::Duration;

use domicile_types::NodeId;

/// The gossipsub topic of announcements.
pub const TOPIC: &str = "domicile/announce/1";

/// The protocol by which a member hands its current announcement to a peer that has just connected. One stream is one
/// announcement: its length as a big-endian u32, its bytes, end of stream. There is no answer.
pub const EXCHANGE_PROTOCOL: &str = "/domicile/announce/1";

/// Directives for a `tracing` filter, to stand before the caller's own. The layers below log every refused stranger and
/// every vain dial as an error; this crate logs what matters of it, with the node's name.
pub const LOG_DIRECTIVES: &str = "connexa=off,rust_ipfs=warn,libp2p_gossipsub=error";

/// The largest announcement, in bytes. A signed announcement is about 1 KiB; the rest is room for growth.
pub const ANNOUNCEMENT_BYTES_MAX: usize = 16 * 1024;

/// How many unread announcements of one source a reader keeps; of more, the oldest is dropped and counted. Sources are
/// bounded by the allow list, so one noisy member cannot push out the others.
pub const ANNOUNCEMENTS_PENDING_PER_SOURCE_MAX: usize = 4;

/// Where a member listens, whom it seeks, and whom it lets in.
#[derive(Debug, Clone, Default)]
pub struct SwarmConfig {
    /// Addresses to listen on (TCP). Port 0 takes a free one; see [`crate::Swarm::listen_addresses`].
    pub listen: Vec<SocketAddr>,
    /// Peers to dial and to redial whenever they are lost. Each must be on the allow list; the member itself is skipped.
    pub bootstrap: Vec<(NodeId, SocketAddr)>,
    /// The peers that may connect, and whose announcements are heard. Everybody else is refused at the connection.
    pub allow: Vec<NodeId>,
}

/// Why a member did not start.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// A bootstrap peer that could never be let in.
    #[error("bootstrap peer {0} is not on the allow list: enrol it, or take it off the bootstrap list")]
    BootstrapNotAllowed(NodeId),
    /// The address is taken, or not of this machine.
    #[error("cannot listen on {address}: choose a free address of this machine")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The swarm itself refused to be built.
    #[error("the swarm did not start")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why an announcement was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnnounceError {
    /// Peers would drop it.
    #[error("an announcement of {bytes} bytes is too large: at most {bytes_max} are heard")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The member was shut down, or its thread ended.
    #[error("the swarm has stopped: start it again")]
    Stopped,
}

/// What a member has seen since it started. Only ever grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwarmCounts {
    /// Announcements of members, by gossip or directly; one that repeats the last of its source is not counted.
    pub heard: u64,
    /// Unread announcements dropped because newer ones of the same source came.
    pub dropped: u64,
    /// Gossip whose author is not on the allow list, passed on by a member. Neither heard nor forwarded.
    pub strangers: u64,
    /// Announcements refused for their size or form, by gossip or directly.
    pub refused: u64,
    /// Connections refused because the peer is not on the allow list, in either direction.
    pub connections_denied: u64,
}

/// Times and sizes that only tests change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The largest announcement sent or heard.
    pub(crate) announcement_bytes_max: usize,
    /// A peer that does not answer a ping within `ping_timeout` is disconnected, so that it is redialled.
    pub(crate) ping_interval: Duration,
    /// See `ping_interval`.
    pub(crate) ping_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            announcement_bytes_max: ANNOUNCEMENT_BYTES_MAX,
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(15),
        }
    }
}
