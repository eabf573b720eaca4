//! The node's configuration: what an operator writes ([`RawConfig`], TOML) becomes what the node runs by ([`NodeConfig`]).

use std::net::SocketAddr;
use std::path::PathBuf;

use domicile_compliance::audit::KeyName;
use domicile_types::{NodeId, OperatorId, Party, Place};
use serde::{Deserialize, Serialize};

use crate::accounting::Terms;
use crate::admission::EnrolledGateway;
use crate::upkeep::UpkeepConfig;

/// What a node runs by. Plain values: it can be written down again with [`NodeConfig::to_toml`].
#[derive(Debug, Clone, PartialEq)]
pub struct NodeConfig {
    /// Holds the identity, the segment files and the database. Made if there is none.
    pub data_dir: PathBuf,
    /// Where the data plane listens (HTTPS).
    pub listen: SocketAddr,
    /// Where others reach the data plane, if not at `listen`.
    pub advertise: Option<SocketAddr>,
    /// Where the node is. It refuses every ticket that does not name this place.
    pub place: Place,
    /// Who runs it.
    pub operator: OperatorId,
    /// The legal entity behind the operator.
    pub party: Party,
    /// Bytes it offers.
    pub capacity_bytes: u64,
    /// Length of a segment file, in bytes.
    pub segment_bytes_max: u64,
    /// The gateways it serves, and where their swarm members are.
    pub gateways: Vec<GatewayPeer>,
    /// Where the control plane listens; none: no control plane (tests, and nodes that gateways know by configuration).
    pub swarm_listen: Vec<SocketAddr>,
    /// Other nodes to meet in the swarm.
    pub swarm_peers: Vec<SwarmPeer>,
    /// Threads that serve connections.
    pub workers: usize,
    /// Make the index from the segment files if it is missing.
    pub rebuild_index: bool,
    /// How it looks after what it keeps.
    pub upkeep: UpkeepConfig,
    /// Where the operator's page and the metrics are; none: nowhere. A loopback address.
    pub page: Option<SocketAddr>,
    /// What gateways pay, as was agreed: for the page to say what was earned.
    pub terms: Terms,
}

/// A gateway that the node serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayPeer {
    /// Its identity: its TLS key, its swarm identity, and the key of its log.
    pub id: NodeId,
    /// The origin line of its audit log.
    pub origin: String,
    /// Where its swarm member listens, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<SocketAddr>,
}

/// Another node in the swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwarmPeer {
    /// Its identity.
    pub id: NodeId,
    /// Where its swarm member listens.
    pub swarm: SocketAddr,
}

/// What an operator writes. Every field is named, unknown ones are errors: a typing slip must not be a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// See [`NodeConfig::data_dir`].
    pub data_dir: PathBuf,
    /// See [`NodeConfig::listen`].
    pub listen: SocketAddr,
    /// See [`NodeConfig::advertise`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertise: Option<SocketAddr>,
    /// See [`NodeConfig::place`].
    pub place: Place,
    /// See [`NodeConfig::operator`].
    pub operator: OperatorId,
    /// See [`NodeConfig::capacity_bytes`].
    pub capacity_bytes: u64,
    /// See [`NodeConfig::segment_bytes_max`]; default 1 GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_bytes_max: Option<u64>,
    /// See [`NodeConfig::workers`]; default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// See [`NodeConfig::rebuild_index`].
    #[serde(default)]
    pub rebuild_index: bool,
    /// See [`NodeConfig::page`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<SocketAddr>,
    /// See [`NodeConfig::swarm_listen`].
    #[serde(default)]
    pub swarm_listen: Vec<SocketAddr>,
    /// See [`NodeConfig::terms`].
    #[serde(default)]
    pub terms: Terms,
    /// See [`NodeConfig::party`].
    pub party: Party,
    /// See [`NodeConfig::gateways`].
    pub gateways: Vec<GatewayPeer>,
    /// See [`NodeConfig::swarm_peers`].
    #[serde(default)]
    pub swarm_peers: Vec<SwarmPeer>,
    /// See [`NodeConfig::upkeep`]; each of its fields has a default.
    #[serde(default)]
    pub upkeep: UpkeepConfig,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, or not of this form.
    #[error("the node's configuration does not parse")]
    Toml(#[from] Box<toml::de::Error>),
    /// It cannot be written as TOML.
    #[error("the node's configuration cannot be written")]
    Write(#[from] toml::ser::Error),
    /// A value that cannot work.
    #[error("{field} cannot be {value}: {rule}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
    /// A log origin that is none.
    #[error("the origin of gateway {gateway} is not the name of a log")]
    Origin {
        /// Which gateway.
        gateway: NodeId,
        /// What is wrong with it.
        source: domicile_compliance::audit::NoteError,
    },
}

impl NodeConfig {
    /// The length of a segment file where none is given: 1 GiB.
    pub const SEGMENT_BYTES_DEFAULT: u64 = 1 << 30;
    /// The threads where none are given.
    pub const WORKERS_DEFAULT: usize = 2;
    /// The least capacity that holds anything: one segment's first allocation.
    const CAPACITY_BYTES_MIN: u64 = 16 << 20;
    /// The most threads that make sense.
    const WORKERS_MAX: usize = 256;

    /// Parses what an operator wrote.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let raw: RawConfig = toml::from_str(text).map_err(Box::new)?;
        Self::try_from(raw)
    }

    /// Writes it down, for a node that is started as a process of its own.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        let config = self.clone();
        let raw = RawConfig {
            data_dir: config.data_dir,
            listen: config.listen,
            advertise: config.advertise,
            place: config.place,
            operator: config.operator,
            capacity_bytes: config.capacity_bytes,
            segment_bytes_max: Some(config.segment_bytes_max),
            workers: Some(config.workers),
            rebuild_index: config.rebuild_index,
            page: config.page,
            terms: config.terms,
            swarm_listen: config.swarm_listen,
            party: config.party,
            gateways: config.gateways,
            swarm_peers: config.swarm_peers,
            upkeep: config.upkeep,
        };
        Ok(toml::to_string(&raw)?)
    }

    /// The gateways as admission knows them.
    pub fn enrolled_gateways(&self) -> Result<Vec<EnrolledGateway>, ConfigError> {
        let enrol = |GatewayPeer { id, origin, .. }: &GatewayPeer| {
            let origin = KeyName::parse(origin).map_err(|source| ConfigError::Origin { gateway: *id, source })?;
            Ok(EnrolledGateway { id: *id, origin })
        };
        self.gateways.iter().map(enrol).collect()
    }
}

impl TryFrom<RawConfig> for NodeConfig {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        let wrong = |field, value: String, rule| Err(ConfigError::Value { field, value, rule });
        let segment_bytes_max = raw.segment_bytes_max.unwrap_or(Self::SEGMENT_BYTES_DEFAULT);
        let workers = raw.workers.unwrap_or(Self::WORKERS_DEFAULT);
        if raw.capacity_bytes < Self::CAPACITY_BYTES_MIN {
            return wrong("capacity_bytes", raw.capacity_bytes.to_string(), "at least 16 MiB, in bytes");
        }
        if raw.place == Place::Unknown {
            return wrong("place", raw.place.to_string(), "the country, or country and subdivision, where the node is");
        }
        if !(1..=Self::WORKERS_MAX).contains(&workers) {
            return wrong("workers", workers.to_string(), "1 to 256 threads");
        }
        if !(50..=99).contains(&raw.upkeep.high_water_percent) {
            let percent = raw.upkeep.high_water_percent.to_string();
            return wrong(
                "upkeep.high_water_percent",
                percent,
                "50 to 99: what is above it is for deletions and compaction",
            );
        }
        if raw.upkeep.evidence_days < 62 {
            let days = raw.upkeep.evidence_days.to_string();
            return wrong(
                "upkeep.evidence_days",
                days,
                "at least 62 days: the statement of a month needs its receipts",
            );
        }
        if let Some(page) = raw.page.filter(|page| !page.ip().is_loopback()) {
            return wrong("page", page.to_string(), "a loopback address: it asks nobody who they are");
        }
        if raw.gateways.is_empty() {
            return wrong("gateways", "empty".to_owned(), "at least one gateway, or nobody may store anything");
        }
        let config = Self {
            data_dir: raw.data_dir,
            listen: raw.listen,
            advertise: raw.advertise,
            place: raw.place,
            operator: raw.operator,
            party: raw.party,
            capacity_bytes: raw.capacity_bytes,
            segment_bytes_max,
            gateways: raw.gateways,
            swarm_listen: raw.swarm_listen,
            swarm_peers: raw.swarm_peers,
            workers,
            rebuild_index: raw.rebuild_index,
            upkeep: raw.upkeep,
            page: raw.page,
            terms: raw.terms,
        };
        config.enrolled_gateways()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use domicile_types::IdentityKey;

    use super::*;

    fn text() -> String {
        let gateway = IdentityKey::from_seed(&[1; 32]).id();
        format!(
            r#"
            data_dir = "/var/lib/domicile-node"
            listen = "127.10.0.1:7400"
            place = "CN"
            operator = "operator-1"
            capacity_bytes = 1073741824
            swarm_listen = ["127.10.0.1:7401"]

            [party]
            id = "party-1"
            name = "Storage Ltd"
            incorporated = "CN"
            headquartered = "CN"

            [[gateways]]
            id = "{gateway}"
            origin = "domicile.example/cn"
            swarm = "127.0.0.1:7300"
            "#
        )
    }

    #[test]
    fn a_configuration_reads_with_its_defaults_and_survives_being_written() {
        let config = NodeConfig::from_toml(&text()).unwrap();
        assert_eq!(config.segment_bytes_max, NodeConfig::SEGMENT_BYTES_DEFAULT);
        assert_eq!(config.workers, NodeConfig::WORKERS_DEFAULT);
        assert_eq!(config.enrolled_gateways().unwrap().len(), 1);
        assert_eq!(NodeConfig::from_toml(&config.to_toml().unwrap()).unwrap(), config);
    }

    #[test]
    fn slips_are_errors() {
        for (good, bad) in [
            ("capacity_bytes = 1073741824", "capacity_bytes = 1024"),
            ("capacity_bytes = 1073741824", "capacity_byte = 1073741824"),
            ("place = \"CN\"", "place = \"unknown\""),
            ("place = \"CN\"", "place = \"China\""),
            ("origin = \"domicile.example/cn\"", "origin = \"two words\""),
            ("listen = \"127.10.0.1:7400\"", "listen = \"localhost\""),
            ("[party]", "workers = 0\n[party]"),
            ("[party]", "[upkeep]\nhigh_water_percent = 100\n[party]"),
            ("[party]", "[upkeep]\nevidence_days = 1\n[party]"),
            ("[party]", "[upkeep]\nscrub_day = 1\n[party]"),
            ("[party]", "page = \"192.0.2.1:7480\"\n[party]"),
        ] {
            assert!(text().contains(good));
            assert!(NodeConfig::from_toml(&text().replace(good, bad)).is_err(), "{bad}");
        }
    }
}
