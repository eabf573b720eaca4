//! Configuration: a TOML file becomes a [`RawConfig`] (form), then a [`Config`] (meaning) once, in `main`.
//!
//! Settings are plain values and never hold components. Everything about trust (who may ask, which nodes exist, where
//! things are) is stated here; nothing is guessed.

mod raw;
mod repair;
mod siem;
mod standing;
mod webhook;
mod witness;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use domicile_storage_node::accounting::Terms;
use domicile_types::{
    CodeProfile, ControllerId, EvidenceGrade, NodeId, OperatorId, PackId, ParseError, Party, Place, RegionName,
    TenantId,
};
use ipnet::IpNet;

pub use raw::{RawConfig, RawCredential, RawListen, RawNode, RawPlaceOverride, RawRegion, RawToken};
pub use repair::RepairSettings;
pub use siem::{RawSiem, Siem, Told};
pub use standing::StandingSettings;
pub use webhook::{RawWebhook, Webhook};
pub use witness::{RawWitness, Witness, WitnessSettings};

/// What a gateway is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// A short name for logs and the console.
    pub name: String,
    /// Where this gateway, its keys, its metadata and its log are.
    pub place: Place,
    /// How well that is evidenced.
    pub evidence: EvidenceGrade,
    /// The legal entity that runs it.
    pub party: Party,
    /// Everything the gateway keeps lies below this folder.
    pub data_dir: PathBuf,
    /// The packs' folder.
    pub policies_dir: PathBuf,
    /// Location databases, at least two; they are compared.
    pub location_databases: Vec<PathBuf>,
    /// Networks whose place is known better than any database does.
    pub place_overrides: Vec<(IpNet, Place)>,
    /// A file of more of these, a line each, which is read again when it changes.
    pub place_overrides_file: Option<PathBuf>,
    /// Databases of networks: which autonomous system an address lies in.
    pub network_databases: Vec<PathBuf>,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where to listen.
    pub listen: Listen,
    /// Residency regions.
    pub regions: Vec<Region>,
    /// The region of buckets created without `LocationConstraint`.
    pub default_region: RegionName,
    /// Who owns objects in buckets that do not say so.
    pub object_ownership: ObjectOwnership,
    /// Domains of the S3 listeners: a host below one of them names a bucket.
    pub domains: Vec<String>,
    /// Who may use S3.
    pub credentials: Vec<Credential>,
    /// Who may use the admin API.
    pub tokens: Vec<Token>,
    /// The enrolled nodes.
    pub nodes: Vec<EnrolledNode>,
    /// Names of the keys that SSE-KMS may ask for. Each stands for a key of its own that derives from the root key.
    pub kms_keys: Vec<String>,
    /// Whether keys of customers (SSE-C) may come over plain HTTP, where everybody on the way can read them.
    pub sse_c_over_http: bool,
    /// How long access log records are gathered before they are written.
    pub access_log_seconds: u64,
    /// Where buckets may send notifications.
    pub webhooks: Vec<Webhook>,
    /// Who is told of exports and incidents.
    pub siems: Vec<Siem>,
    /// Who cosigns this gateway's log.
    pub witnesses: Vec<Witness>,
    /// How they are asked.
    pub witnessing: WitnessSettings,
    /// Limits.
    pub limits: Limits,
    /// What ends by itself, and when.
    pub lifecycle: Lifecycle,
    /// When nodes are suspect, offline, lost; how they are challenged.
    pub standing: StandingSettings,
    /// What repairs are promised by.
    pub repair: RepairSettings,
    /// What operators are paid.
    pub terms: Terms,
    /// How far the accounts of gateway and node may lie apart without being told of, in hundredths of a percent.
    pub reconcile_tolerance_basis_points: u16,
}

/// Who owns an object, and whether access control lists count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectOwnership {
    /// The bucket's owner, always. There are no access control lists.
    #[default]
    BucketOwnerEnforced,
    /// The writer, unless it gives the bucket's owner full control.
    BucketOwnerPreferred,
    /// The writer.
    ObjectWriter,
}

/// Where the gateway listens.
#[derive(Debug, Clone)]
pub struct Listen {
    /// S3 over HTTP.
    pub s3: Option<SocketAddr>,
    /// S3 over TLS.
    pub s3_tls: Option<TlsListen>,
    /// The admin API.
    pub admin: SocketAddr,
    /// The control plane.
    pub swarm: SocketAddr,
    /// The local address that connections to nodes come from; `None` leaves it to the system.
    pub outbound: Option<IpAddr>,
}

/// A TLS listener.
#[derive(Debug, Clone)]
pub struct TlsListen {
    /// Address.
    pub address: SocketAddr,
    /// PEM certificate chain.
    pub certificate: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
}

/// A residency region: what `LocationConstraint` names.
#[derive(Debug, Clone)]
pub struct Region {
    /// Its name.
    pub name: RegionName,
    /// The packs that every bucket in it obeys.
    pub packs: Vec<PackId>,
    /// The code, or `None` for the widest that the eligible controllers allow.
    pub profile: Option<CodeProfile>,
}

/// An S3 access key.
#[derive(Clone)]
pub struct Credential {
    /// Whose.
    pub tenant: TenantId,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("tenant", &self.tenant)
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// What a bearer of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sees where its own objects are.
    Uploader,
    /// Reads registers, reports and the log; changes nothing.
    Auditor,
    /// A compliance officer: reads the log, packs and placements; asks for approvals and proposes packs.
    Officer,
    /// The second pair of eyes: decides on what officers ask for, and operates nothing.
    Approver,
    /// Runs the fleet.
    Operator,
    /// Keys, tokens and erasure.
    SecurityAdmin,
    /// The users, keys and roles of one tenant.
    TenantAdmin,
    /// Sets up an installation: what operators, officers and security admins may do, but never an approver's part.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 8] = [
        Self::Uploader,
        Self::TenantAdmin,
        Self::Auditor,
        Self::Officer,
        Self::Approver,
        Self::Operator,
        Self::SecurityAdmin,
        Self::Admin,
    ];

    /// The name that the configuration has for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uploader => "uploader",
            Self::Auditor => "auditor",
            Self::Officer => "officer",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::SecurityAdmin => "security-admin",
            Self::TenantAdmin => "tenant-admin",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A bearer token of the admin API.
#[derive(Clone)]
pub struct Token {
    /// What it allows.
    pub role: Role,
    /// Whose objects an uploader's token shows.
    pub tenant: Option<TenantId>,
    /// Who holds it. Two tokens of one person are one pair of eyes; a token of nobody neither asks for approvals nor decides.
    pub person: Option<String>,
    /// The secret.
    pub token: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("role", &self.role).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// A node that was enrolled: its identity, who is behind it, and where it says it is.
#[derive(Debug, Clone)]
pub struct EnrolledNode {
    /// Identity.
    pub id: NodeId,
    /// Who runs it.
    pub operator: OperatorId,
    /// Who really controls the operator.
    pub controller: ControllerId,
    /// The legal entity.
    pub party: Party,
    /// Declared place.
    pub place: Place,
    /// Where its control plane listens, to dial it first.
    pub swarm: Option<SocketAddr>,
}

/// Bounds on what the gateway takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of plaintext, ciphertext and parity in flight, over all requests.
    pub buffer_bytes_max: usize,
    /// Connections per listener.
    pub connections_max: usize,
    /// Connections of one address, over all listeners; of trusted proxies any number.
    pub connections_per_address_max: usize,
    /// Threads that serve S3.
    pub s3_workers: usize,
    /// How long a ticket is good for, in seconds.
    pub ticket_seconds: u64,
    /// Bytes of audit log before it refuses.
    pub log_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            buffer_bytes_max: 144 * 1024 * 1024,
            connections_max: 10_000,
            connections_per_address_max: 2_500,
            s3_workers: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            ticket_seconds: 120,
            log_bytes_max: 64 * 1024 * 1024 * 1024,
        }
    }
}

/// How lifecycle rules are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lifecycle {
    /// How long a day is to lifecycle rules, in seconds. For tests only: with shorter days objects are deleted earlier than
    /// their owners said.
    pub day_seconds: u64,
    /// The pause between two looks at all buckets, in seconds; never more than a quarter of a day.
    pub interval_seconds: u64,
    /// Uploads that were begun so many (real) days ago and are not completed are given up, whatever the rules of their bucket
    /// say. Zero: never.
    pub upload_days_max: u32,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { day_seconds: 86_400, interval_seconds: 3_600, upload_days_max: 7 }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML of the right form.
    #[error("the configuration {path} is not valid")]
    Form {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value does not parse.
    #[error("in the configuration, {field}")]
    Value {
        /// Which field.
        field: String,
        /// Why.
        #[source]
        source: ParseError,
    },
    /// Values contradict each other.
    #[error("the configuration does not hold together: {0}")]
    Contradiction(String),
}

impl Config {
    /// Reads a TOML file. Relative paths in it are relative to its folder.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let raw: RawConfig = toml::from_str(&text)
            .map_err(|source| ConfigError::Form { path: path.to_owned(), source: Box::new(source) })?;
        raw.into_config(path.parent().unwrap_or(Path::new(".")))
    }

    /// The region of that name.
    #[must_use]
    pub fn region(&self, name: &RegionName) -> Option<&Region> {
        self.regions.iter().find(|region| region.name == *name)
    }

    /// The names of all regions, for error messages.
    #[must_use]
    pub fn region_names(&self) -> String {
        self.regions.iter().map(|region| region.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lifecycle: &str) -> Result<Config, ConfigError> {
        let text = format!(
            r#"
            name = "test"
            place = "CN"
            data_dir = "."
            policies_dir = "."
            location_databases = ["a.mmdb", "b.mmdb"]
            default_region = "cn"
            party = {{ id = "p", name = "P", incorporated = "CN", headquartered = "CN" }}
            listen = {{ s3 = "127.0.0.1:0", admin = "127.0.0.1:0", swarm = "127.0.0.1:0" }}
            region = [{{ name = "cn", packs = ["cn-data-export"] }}]
            {lifecycle}
            "#
        );
        let raw: RawConfig = toml::from_str(&text).unwrap();
        raw.into_config(Path::new("."))
    }

    #[test]
    fn lifecycle_days_are_real_ones_unless_stated_and_never_nothing() {
        assert_eq!(read("").unwrap().lifecycle, Lifecycle::default());
        let stated = read("lifecycle = { day_seconds = 2 }").unwrap().lifecycle;
        assert_eq!((stated.day_seconds, stated.upload_days_max), (2, 7));
        for nothing in ["day_seconds", "interval_seconds"] {
            let refused = read(&format!("lifecycle = {{ {nothing} = 0 }}"));
            assert!(matches!(refused, Err(ConfigError::Contradiction(_))), "{nothing}");
        }
    }
}
