//! The TOML form of the configuration. Unknown fields are errors: a misspelt limit must not silently be the default.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use domicile_storage_node::accounting::Terms;
use domicile_types::{
    CodeProfile, ControllerId, EvidenceGrade, NodeId, OperatorId, PackId, Party, Place, RegionName, TenantId,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::siem::{self, RawSiem};
use super::webhook::{self, RawWebhook};
use super::witness::{self, RawWitness, WitnessSettings};
use super::{
    Config, ConfigError, Credential, EnrolledNode, Lifecycle, Limits, Listen, ObjectOwnership, Region, RepairSettings,
    Role, StandingSettings, TlsListen, Token,
};

/// The file as it is written. See [`Config`] for what the fields mean.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// Short name.
    pub name: String,
    /// Place of the gateway, its keys, metadata and log.
    pub place: Place,
    /// Evidence for it; declared unless stated.
    #[serde(default = "declared")]
    pub evidence: EvidenceGrade,
    /// Data folder.
    pub data_dir: PathBuf,
    /// Packs' folder.
    pub policies_dir: PathBuf,
    /// MMDB files.
    pub location_databases: Vec<PathBuf>,
    /// MMDB files of networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_databases: Vec<PathBuf>,
    /// A file of networks and their places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place_overrides_file: Option<PathBuf>,
    /// Networks with trusted `X-Forwarded-For`.
    #[serde(default)]
    pub trusted_proxies: Vec<IpNet>,
    /// Region of buckets without `LocationConstraint`.
    pub default_region: RegionName,
    /// Who owns objects in buckets that do not say so.
    #[serde(default)]
    pub object_ownership: ObjectOwnership,
    /// The legal entity that runs the gateway.
    pub party: Party,
    /// Domains whose subdomains are buckets, such as `s3.example.com`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Listeners.
    pub listen: RawListen,
    /// Names of keys for SSE-KMS.
    #[serde(default)]
    pub kms_keys: Vec<String>,
    /// SSE-C over plain HTTP.
    #[serde(default)]
    pub sse_c_over_http: bool,
    /// Limits.
    #[serde(default, skip_serializing)]
    pub limits: Limits,
    /// `[terms]`
    #[serde(default)]
    pub terms: Terms,
    /// How far accounts may lie apart.
    #[serde(default = "one_percent")]
    pub reconcile_tolerance_basis_points: u16,
    /// `[lifecycle]`
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// `[repair]`
    #[serde(default)]
    pub repair: RepairSettings,
    /// `[standing]`
    #[serde(default)]
    pub standing: StandingSettings,
    /// `[[place_override]]`
    #[serde(default, rename = "place_override")]
    pub place_overrides: Vec<RawPlaceOverride>,
    /// `[[region]]`
    #[serde(rename = "region")]
    pub regions: Vec<RawRegion>,
    /// `[[credential]]`
    #[serde(default, rename = "credential")]
    pub credentials: Vec<RawCredential>,
    /// Seconds that access log records are gathered for.
    #[serde(default = "five_minutes")]
    pub access_log_seconds: u64,
    /// `[[webhook]]`
    #[serde(default, rename = "webhook")]
    pub webhooks: Vec<RawWebhook>,
    /// `[[siem]]`
    #[serde(default, rename = "siem")]
    pub siems: Vec<RawSiem>,
    /// `[[witness]]`
    #[serde(default, rename = "witness")]
    pub witnesses: Vec<RawWitness>,
    /// `[witnessing]`
    #[serde(default)]
    pub witnessing: WitnessSettings,
    /// `[[token]]`
    #[serde(default, rename = "token")]
    pub tokens: Vec<RawToken>,
    /// `[[node]]`
    #[serde(default, rename = "node")]
    pub nodes: Vec<RawNode>,
}

const fn one_percent() -> u16 {
    100
}

const fn five_minutes() -> u64 {
    300
}

const fn declared() -> EvidenceGrade {
    EvidenceGrade::Declared
}

/// `[listen]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawListen {
    /// S3 over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<SocketAddr>,
    /// S3 over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_tls: Option<SocketAddr>,
    /// PEM certificate chain of the TLS listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,
    /// PEM private key of the TLS listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Admin API.
    pub admin: SocketAddr,
    /// Control plane.
    pub swarm: SocketAddr,
    /// Local address of connections to nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<IpAddr>,
}

/// `[[place_override]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPlaceOverride {
    /// CIDR.
    pub network: IpNet,
    /// Its place.
    pub place: Place,
}

/// `[[region]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRegion {
    /// Name.
    pub name: RegionName,
    /// Packs.
    pub packs: Vec<PackId>,
    /// `auto` or a code such as `4+2`.
    #[serde(default = "auto")]
    pub profile: String,
}

fn auto() -> String {
    "auto".to_owned()
}

/// `[[credential]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCredential {
    /// Whose.
    pub tenant: TenantId,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
}

/// `[[token]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawToken {
    /// Role.
    pub role: Role,
    /// Tenant, for uploaders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Secret.
    pub token: String,
}

/// `[[node]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawNode {
    /// Peer id.
    pub id: NodeId,
    /// Operator.
    pub operator: OperatorId,
    /// Controller.
    pub controller: ControllerId,
    /// Declared place.
    pub place: Place,
    /// Address of its control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<SocketAddr>,
    /// Legal entity.
    pub party: Party,
}

/// Room for one segment of 29+51, the widest code, as it is taken in.
const BUFFER_BYTES_MIN: usize = 96 * 1024 * 1024;

impl RawConfig {
    /// Checks that the values hold together and makes paths absolute or relative to `folder`.
    pub fn into_config(self, folder: &Path) -> Result<Config, ConfigError> {
        let regions = self.regions.iter().map(RawRegion::parse).collect::<Result<Vec<_>, _>>()?;
        if !regions.iter().any(|region| region.name == self.default_region) {
            return Err(ConfigError::Contradiction(format!(
                "default_region = \"{}\" is not among the [[region]] names",
                self.default_region
            )));
        }
        if self.location_databases.len() < 2 {
            return Err(ConfigError::Contradiction(
                "location_databases needs at least two files: one database alone is wrong too often".to_owned(),
            ));
        }
        if self.limits.buffer_bytes_max < BUFFER_BYTES_MIN {
            return Err(ConfigError::Contradiction(format!(
                "limits.buffer_bytes_max is {}; one segment of the widest code takes {BUFFER_BYTES_MIN}",
                self.limits.buffer_bytes_max
            )));
        }
        if self.lifecycle.day_seconds == 0 || self.lifecycle.interval_seconds == 0 {
            return Err(ConfigError::Contradiction(
                "lifecycle.day_seconds and lifecycle.interval_seconds are at least 1".to_owned(),
            ));
        }
        if let Some(fault) = self.standing.fault() {
            return Err(ConfigError::Contradiction(fault.to_owned()));
        }
        if let Some(fault) = self.repair.fault() {
            return Err(ConfigError::Contradiction(fault));
        }
        let mut access_keys: Vec<&str> = self.credentials.iter().map(|c| c.access_key.as_str()).collect();
        access_keys.sort_unstable();
        if let Some(twice) = access_keys.windows(2).find(|pair| pair.first() == pair.last()) {
            return Err(ConfigError::Contradiction(format!("access key {:?} is given twice", twice.first())));
        }
        // They go out in headers as they are.
        if let Some(name) =
            self.kms_keys.iter().find(|name| name.is_empty() || name.bytes().any(|b| !b.is_ascii_graphic()))
        {
            return Err(ConfigError::Contradiction(format!("kms_keys: {name:?} is not a name of printable ASCII")));
        }
        Ok(Config {
            kms_keys: self.kms_keys,
            access_log_seconds: self.access_log_seconds,
            webhooks: webhook::parse_all(self.webhooks, folder)?,
            siems: siem::parse_all(self.siems, folder)?,
            witnesses: witness::parse_all(self.witnesses, self.witnessing)?,
            witnessing: self.witnessing,
            sse_c_over_http: self.sse_c_over_http,
            place: self.place,
            evidence: self.evidence,
            party: self.party,
            data_dir: folder.join(self.data_dir),
            policies_dir: folder.join(self.policies_dir),
            location_databases: self.location_databases.iter().map(|file| folder.join(file)).collect(),
            place_overrides: self.place_overrides.iter().map(|o| (o.network, o.place)).collect(),
            network_databases: self.network_databases.iter().map(|file| folder.join(file)).collect(),
            place_overrides_file: self.place_overrides_file.map(|file| folder.join(file)),
            trusted_proxies: self.trusted_proxies,
            listen: self.listen.parse(folder)?,
            default_region: self.default_region,
            object_ownership: self.object_ownership,
            domains: self.domains,
            credentials: self.credentials.into_iter().map(RawCredential::into_credential).collect(),
            tokens: self.tokens.into_iter().map(RawToken::into_token).collect(),
            nodes: self.nodes.into_iter().map(RawNode::into_node).collect(),
            limits: self.limits,
            lifecycle: self.lifecycle,
            repair: self.repair,
            standing: self.standing,
            terms: self.terms,
            reconcile_tolerance_basis_points: self.reconcile_tolerance_basis_points,
            name: self.name,
            regions,
        })
    }
}

impl RawListen {
    fn parse(self, folder: &Path) -> Result<Listen, ConfigError> {
        let s3_tls = match (self.s3_tls, self.tls_certificate, self.tls_key) {
            (Some(address), Some(certificate), Some(key)) => {
                Some(TlsListen { address, certificate: folder.join(certificate), key: folder.join(key) })
            }
            (None, None, None) => None,
            _ => {
                return Err(ConfigError::Contradiction(
                    "listen.s3_tls, listen.tls_certificate and listen.tls_key belong together".to_owned(),
                ));
            }
        };
        if self.s3.is_none() && s3_tls.is_none() {
            return Err(ConfigError::Contradiction("neither listen.s3 nor listen.s3_tls is given".to_owned()));
        }
        Ok(Listen { s3: self.s3, s3_tls, admin: self.admin, swarm: self.swarm, outbound: self.outbound })
    }
}

impl RawRegion {
    fn parse(&self) -> Result<Region, ConfigError> {
        let profile = match self.profile.as_str() {
            "auto" => None,
            text => Some(
                CodeProfile::parse(text)
                    .map_err(|source| ConfigError::Value { field: format!("region {}: profile", self.name), source })?,
            ),
        };
        if self.packs.is_empty() {
            return Err(ConfigError::Contradiction(format!(
                "region {} names no packs; a region without law is not a residency region",
                self.name
            )));
        }
        Ok(Region { name: self.name.clone(), packs: self.packs.clone(), profile })
    }
}

impl RawCredential {
    fn into_credential(self) -> Credential {
        Credential { tenant: self.tenant, access_key: self.access_key, secret_key: self.secret_key }
    }
}

impl RawToken {
    fn into_token(self) -> Token {
        Token { role: self.role, tenant: self.tenant, person: self.person, token: self.token }
    }
}

impl RawNode {
    fn into_node(self) -> EnrolledNode {
        EnrolledNode {
            id: self.id,
            operator: self.operator,
            controller: self.controller,
            party: self.party,
            place: self.place,
            swarm: self.swarm,
        }
    }
}
