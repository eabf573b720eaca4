//! The storage node: keeps shards on disk, and hands one out only against proof that the decision is in a gateway's log.
//!
//! *In scope*: the data plane (HTTPS between pinned identities), admission by ticket, the shard store, signed receipts,
//! counters, and the announcements on the control plane.
//!
//! *Out of scope*: law (the gateway decides, the node only checks its own place), keys and plaintext (none ever get here),
//! object names (none ever get here either), and rust-ipfs itself (`domicile-swarm`).

mod database;
pub mod identity_tls;
pub mod store;
