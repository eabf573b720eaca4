//! Paths, header names, server names and the limits of everything that crosses the wire.

use domicile_types::{NodeId, ParseError, ShardCid};

/// Shards live below this path, each under its CID.
pub const SHARDS_PATH: &str = "/v1/shards/";
/// Where a node tells of itself.
pub const STATUS_PATH: &str = "/v1/status";
/// Where a node tells which checkpoints it saw, so that a forked log has a witness.
pub const CHECKPOINTS_PATH: &str = "/v1/checkpoints";

/// Challenges live below this path, each under the CID of the shard that is to be proved.
pub const CHALLENGES_PATH: &str = "/v1/challenges/";
/// Where a node does a repair in a gateway's stead.
pub const REPAIRS_PATH: &str = "/v1/repairs";
/// Where a node tells what it holds, page by page.
pub const HOLDINGS_PATH: &str = "/v1/holdings";
/// Where a node tells which tickets it kept, page by page.
pub const TICKETS_PATH: &str = "/v1/tickets";
/// Where a node gives its signed statement of a month.
pub const STATEMENTS_PATH: &str = "/v1/statements/";
/// Where a gateway tells a node how it stands.
pub const NOTICES_PATH: &str = "/v1/notices";

/// Request header: the ticket's wire text.
pub const TICKET_HEADER: &str = "domicile-ticket";
/// Request header of a PUT: the data id that the shard is stored under.
pub const DATA_HEADER: &str = "domicile-data";
/// Response header: a [`crate::SignedReceipt`].
pub const RECEIPT_HEADER: &str = "domicile-receipt";

/// The largest shard, in bytes: 64 chunks of 16,384 bytes, each with its 16-byte tag.
pub const SHARD_BYTES_MAX: u64 = 64 * (16_384 + 16);
/// The longest ticket, in bytes of text: an entry of 8 KiB and a proof, both in base64url, with room to spare.
pub const TICKET_BYTES_MAX: usize = 24 * 1024;
/// The longest refusal body, in bytes. A reader stops there.
pub const REFUSAL_BYTES_MAX: usize = 4 * 1024;
/// The longest JSON body, in bytes, of anything that is not a refusal: status, checkpoints, holdings, tickets, repairs. A reader stops there.
pub const STATUS_BYTES_MAX: usize = 1024 * 1024;

/// What follows a peer's DNS label in its TLS server name. `.internal` is reserved for private use (ICANN, 2024-07-29).
pub const SERVER_NAME_SUFFIX: &str = ".domicile.internal";

/// The path of one shard.
#[must_use]
pub fn shard_path(cid: &ShardCid) -> String {
    format!("{SHARDS_PATH}{cid}")
}

/// The path of a challenge of one shard.
#[must_use]
pub fn challenge_path(cid: &ShardCid) -> String {
    format!("{CHALLENGES_PATH}{cid}")
}

/// The TLS server name that stands for a peer: the client pins the key that the name spells.
#[must_use]
pub fn server_name(node: &NodeId) -> String {
    format!("{}{SERVER_NAME_SUFFIX}", node.dns_label())
}

/// The inverse of [`server_name`].
pub fn node_of_server_name(name: &str) -> Result<NodeId, ParseError> {
    match name.strip_suffix(SERVER_NAME_SUFFIX) {
        Some(label) => NodeId::from_dns_label(label),
        None => Err(ParseError::new("server name", name, "<peer label>.domicile.internal")),
    }
}

#[cfg(test)]
mod tests {
    use domicile_types::IdentityKey;

    use super::*;

    #[test]
    fn a_server_name_spells_the_key_it_pins() {
        let node = IdentityKey::from_seed(&[3; 32]).id();
        assert_eq!(node_of_server_name(&server_name(&node)), Ok(node));
        assert!(node_of_server_name(&node.dns_label()).is_err());
        assert!(node_of_server_name("localhost.domicile.internal").is_err());
    }

    #[test]
    fn a_shard_path_ends_in_the_cid() {
        let cid = ShardCid::of(b"shard");
        assert_eq!(shard_path(&cid).strip_prefix(SHARDS_PATH).map(ShardCid::parse), Some(Ok(cid)));
    }
}
