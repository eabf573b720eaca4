//! The control plane of Domicile: who is a member, and what members announce about themselves.
//!
//! This is the only crate that names rust-ipfs. Everything stands behind plain functions, so that nobody else
//! recompiles when it does not change (its generic swarm takes minutes to compile).
//!
//! *In scope*: one swarm member per process on a thread of its own ([`start`]); an allow list that decides who may
//! connect at all; announcements, heard by gossip and handed over directly to who has just joined; redialling of
//! bootstrap peers that were lost.
//!
//! *Out of scope*: what an announcement says. Its bytes are opaque here; the reader verifies its signature, its expiry
//! and that its author is who it says. Shards never travel on this plane.
//!
//! What a member speaks on the wire, and nothing else: TCP + noise + yamux, identify, ping, gossipsub on the topic
//! [`TOPIC`], and [`EXCHANGE_PROTOCOL`]. Bitswap, DHT, relay, mDNS, UPnP, QUIC and private-network keys are off: the
//! first two would announce and serve blocks outside any ticket.

mod config;
mod exchange;
mod handle;
mod mailbox;
mod overlay;
mod peer;
mod redial;
mod run;
mod shared;
#[cfg(test)]
mod tests;

pub use crate::config::{
    ANNOUNCEMENT_BYTES_MAX, ANNOUNCEMENTS_PENDING_PER_SOURCE_MAX, AnnounceError, EXCHANGE_PROTOCOL, LOG_DIRECTIVES,
    SwarmConfig, SwarmCounts, SwarmError, TOPIC,
};
pub use crate::handle::{Swarm, start};
pub use crate::mailbox::Announcements;
