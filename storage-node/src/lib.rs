//! The storage node: keeps shards on disk, and hands one out only against proof that the decision is in a gateway's log.
//!
//! *In scope*: the data plane (HTTPS between pinned identities), admission by ticket, the shard store, signed receipts,
//! counters, and the announcements on the control plane.
//!
//! *Out of scope*: law (the gateway decides, the node only checks its own place), keys and plaintext (none ever get here),
//! object names (none ever get here either), and rust-ipfs itself (`domicile-swarm`).
//!
//! The way of a request: `http` reads it, `node` leads it, [`admission`] judges its ticket, `ledger` charges and keeps the
//! ticket, [`store`] does the work, and a signed receipt goes back.

pub mod accounting;
pub mod admission;
mod binding;
mod clock;
mod config;
mod daemon;
mod database;
mod health;
mod http;
mod identity;
pub mod identity_tls;
mod ledger;
mod local;
mod node;
mod notices;
pub mod proof;
mod repair;
mod run_marker;
pub mod store;
mod upkeep;

// The fixture of the tests names the crate as everybody else does.
#[cfg(test)]
extern crate self as domicile_storage_node;
#[cfg(test)]
mod tests;

pub use crate::clock::system_clock;
pub use crate::config::{ConfigError, GatewayPeer, NodeConfig, RawConfig, SwarmPeer};
pub use crate::daemon::{NodeError, NodeFileError, RunningNode, run, run_file, start};
pub use crate::database::DatabaseError;
pub use crate::identity::{IDENTITY_FILE, IdentityError, load_or_create};
pub use crate::local::{GatewayView, LOCAL_STATUS_PATH, LocalView};
pub use crate::node::SOFTWARE;
pub use crate::repair::ClientError;
pub use crate::upkeep::UpkeepConfig;
