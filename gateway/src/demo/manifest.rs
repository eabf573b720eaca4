//! `demo.json`: what runs, where, and how to reach it. The tour, the command line and people read it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use domicile_types::{ControllerId, NodeId, OperatorId, Place, RegionName};
use serde::{Deserialize, Serialize};

/// Its name in the data folder.
pub const MANIFEST_FILE: &str = "demo.json";

/// Everything that the demo runs. Holds tokens, so it is for its owner's eyes only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The admin API that commands ask when they are told no other: gateway `cn`'s.
    pub admin: String,
    /// An admin's token for it.
    pub token: String,
    /// How to stop and start single processes.
    pub control: Control,
    /// The certificate authority of the TLS listeners.
    pub ca_file: PathBuf,
    /// AWS shared-credentials file, profiles `uploader-a` and `uploader-b`.
    pub credentials_file: PathBuf,
    /// Bearer tokens by role.
    pub tokens_file: PathBuf,
    /// The gateways.
    pub gateways: Vec<Gateway>,
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// The control endpoint: `POST {url}/processes/{name}/stop|kill|start` with the bearer token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// `http://127.0.0.1:9900`
    pub url: String,
    /// Bearer token.
    pub token: String,
}

/// A process, whether gateway or node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// By which the control endpoint knows it.
    pub name: String,
    /// Its process id; absent while it does not run.
    pub pid: Option<u32>,
    /// Its configuration.
    pub config_file: PathBuf,
    /// What it keeps.
    pub data_dir: PathBuf,
    /// What it says.
    pub log_file: PathBuf,
}

/// A gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Its process, named `gateway-cn`.
    #[serde(flatten)]
    pub process: Process,
    /// Identity.
    pub id: NodeId,
    /// Where it is.
    pub place: Place,
    /// The region of buckets created without `LocationConstraint`.
    pub default_region: RegionName,
    /// All regions.
    pub regions: Vec<RegionName>,
    /// S3 over HTTP.
    pub s3: String,
    /// S3 over TLS.
    pub s3_tls: String,
    /// Admin API.
    pub admin: String,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its process, named `cn-1`.
    #[serde(flatten)]
    pub process: Process,
    /// Identity.
    pub id: NodeId,
    /// Where it is.
    pub place: Place,
    /// Who runs it.
    pub operator: OperatorId,
    /// Who controls the operator.
    pub controller: ControllerId,
    /// Data plane.
    pub address: SocketAddr,
    /// Control plane.
    pub swarm: SocketAddr,
}

impl Manifest {
    /// Reads a `demo.json`.
    ///
    /// # Errors
    /// When it is not there or is not of this form.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is not what the demo writes", path.display()))
    }

    /// Every process: nodes first, as gateways look for them.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.nodes.iter().map(|node| &node.process).chain(self.gateways.iter().map(|gateway| &gateway.process))
    }

    /// Notes that the process `name` has the id `pid`, or none.
    pub fn set_pid(&mut self, name: &str, pid: Option<u32>) {
        let nodes = self.nodes.iter_mut().map(|node| &mut node.process);
        let gateways = self.gateways.iter_mut().map(|gateway| &mut gateway.process);
        for process in nodes.chain(gateways).filter(|process| process.name == name) {
            process.pid = pid;
        }
    }

    /// What a person needs to begin with.
    #[must_use]
    pub fn summary(&self, folder: &Path) -> String {
        let mut text = format!("\nThe demo runs. Everything is below {}\n", folder.display());
        for gateway in &self.gateways {
            let regions: Vec<&str> = gateway.regions.iter().map(RegionName::as_str).collect();
            let Gateway { place, s3, s3_tls, admin, default_region, .. } = gateway;
            let _infallible = write!(
                text,
                "\n  {} in {place}: S3 {s3}, over TLS {s3_tls}, admin {admin}\n    regions {}; buckets created without \
                 LocationConstraint are in region {default_region}\n",
                gateway.process.name,
                regions.join(", "),
            );
        }
        let _infallible = write!(text, "\n  {} storage nodes:", self.nodes.len());
        for node in &self.nodes {
            let _infallible = write!(text, " {} {}", node.process.name, node.address.ip());
        }
        let shown = [
            ("credentials", &self.credentials_file, "export AWS_SHARED_CREDENTIALS_FILE=.. AWS_PROFILE=uploader-a"),
            ("tokens", &self.tokens_file, "officer, operator, admin"),
            ("CA of the TLS listeners", &self.ca_file, "export AWS_CA_BUNDLE=.."),
            ("all of this as JSON", &folder.join(MANIFEST_FILE), ""),
        ];
        text.push_str("\n\n");
        for (what, path, how) in shown {
            let _infallible = writeln!(text, "  {what}: {}  {how}", path.display());
        }
        let _infallible = write!(
            text,
            "  A client speaks from another place by its source address: curl --interface 127.30.0.9 is in Germany.\n  \
             Processes stop and start: POST {}/processes/cn-1/stop (or kill, start) with the bearer token in the JSON.\n\n",
            self.control.url
        );
        text
    }
}
