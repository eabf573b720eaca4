//! What a gateway and a storage node say to each other.
//!
//! *In scope*: the paths and headers of the data plane, byte ranges, signed receipts, refusals, a node's status, the
//! checkpoints it saw, and the signed announcements of the control plane: their limits, their one encoding, how they are
//! signed and verified.
//!
//! *Out of scope*: sockets, clocks, disks, TLS, the swarm, and every decision. `now` and bytes are arguments.
//!
//! | verb | path | headers of the request | answer |
//! |---|---|---|---|
//! | PUT | `/v1/shards/{cid}` | `domicile-ticket`, `domicile-data`, `content-length` | 201, `domicile-receipt` (stored) |
//! | GET | `/v1/shards/{cid}` | `domicile-ticket`, optional `range` | 200 or 206, `domicile-receipt` (served) |
//! | DELETE | `/v1/shards/{cid}` | `domicile-ticket` | 200, `domicile-receipt` (deleted) |
//! | GET | `/v1/challenges/{cid}` | `domicile-ticket`, `range` | 200, a BLAKE3 slice of the range, `domicile-receipt` (proved) |
//! | POST | `/v1/repairs` | `domicile-ticket`, [`RepairJob`] | [`RepairDone`] as JSON |
//! | GET | `/v1/holdings?after=` | | [`Holdings`] as JSON: what is stored under the asking gateway's tickets |
//! | GET | `/v1/tickets?after=` | | [`KeptTickets`] as JSON |
//! | GET | `/v1/statements/{YYYY-MM}` | | [`SignedStatement`] as text |
//! | POST | `/v1/notices` | [`Notice`] | 204 |
//! | GET | `/v1/status` | | [`NodeStatus`] as JSON |
//! | GET | `/v1/checkpoints` | | [`CheckpointsSeen`] as JSON |
//!
//! Every 4xx and 5xx carries a [`Refusal`] as JSON. All of it runs over TLS 1.3 between two pinned Ed25519 identities.

mod announcement;
mod holdings;
mod leaf;
mod notice;
mod range;
mod receipt;
mod refusal;
mod repair;
mod signed;
mod statement;
mod status;
mod wire;

pub use crate::announcement::{Announcement, AnnouncementError, NodeCondition, ProtocolVersions, SignedAnnouncement};
pub use crate::holdings::{Holding, Holdings, KeptTicket, KeptTickets, PAGE_ROWS_MAX};
pub use crate::leaf::LeafHash;
pub use crate::notice::{AuditFailure, EvidenceLine, Notice};
pub use crate::range::{ByteRange, ContentRange, RangeError, ResolvedRange};
pub use crate::receipt::{Receipt, ReceiptError, ReceiptVerb, SignedReceipt};
pub use crate::refusal::{Refusal, RefusalCode};
pub use crate::repair::{RepairDone, RepairJob, RepairShard, RepairedShard};
pub use crate::signed::SignedTextError;
pub use crate::statement::{SignedStatement, Statement};
pub use crate::status::{CheckpointSeen, CheckpointsSeen, NodeStatus, VerbCount};
pub use crate::wire::{
    CHALLENGES_PATH, CHECKPOINTS_PATH, DATA_HEADER, HOLDINGS_PATH, NOTICES_PATH, RECEIPT_HEADER, REFUSAL_BYTES_MAX,
    REPAIRS_PATH, SERVER_NAME_SUFFIX, SHARD_BYTES_MAX, SHARDS_PATH, STATEMENTS_PATH, STATUS_BYTES_MAX, STATUS_PATH,
    TICKET_BYTES_MAX, TICKET_HEADER, TICKETS_PATH, challenge_path, node_of_server_name, server_name, shard_path,
};
