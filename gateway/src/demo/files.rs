//! Writes what the processes and their clients read: identities, certificates, packs, databases, configurations. What was
//! drawn at random is kept over restarts, so that a folder's data stays readable; what follows from the plan is written
//! anew.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use domicile_storage_node::accounting::Terms;
use domicile_storage_node::{GatewayPeer, NodeConfig, UpkeepConfig};
use domicile_types::{EvidenceGrade, IdentityKey};

use super::embedded;
use super::manifest::{Control, Gateway, MANIFEST_FILE, Manifest, Node, Process};
use super::plan::{GatewayPlan, NodePlan, Plan};
use super::secrets::Secrets;
use crate::clock::Clock;
use crate::config::{
    ObjectOwnership, RawConfig, RawCredential, RawListen, RawNode, RawPlaceOverride, RawRegion, RawToken,
    StandingSettings,
};
use crate::keys::read_secret;
use crate::open::log_origin;

/// Bytes that every node offers, and the length of its segment files.
const NODE_CAPACITY_BYTES: u64 = 8 << 30;
const NODE_SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// What the demo's operators are paid: 4 EUR a month for a TiB kept, 2 for a TiB served.
fn terms() -> Terms {
    Terms { micros_per_tib_hour: 5_479, micros_per_tib_served: 2_000_000, ..Terms::default() }
}

/// Threads of a node's data plane: twenty nodes share this machine.
const NODE_WORKERS: usize = 1;
/// Named keys for SSE-KMS.
const KMS_KEYS: [&str; 2] = ["01234567-89ab-cdef-0123-456789abcdef", "01234567-89ab-cdef-0123-456789abcdee"];
/// The certificate authority of the TLS listeners, in the data folder.
const CA_FILE: &str = "ca.pem";

/// Writes everything below `folder`, which is absolute, and says what there is.
///
/// # Errors
/// When the disk says no, or a kept file is damaged.
pub fn write(plan: &Plan, folder: &Path, clock: Clock) -> anyhow::Result<Manifest> {
    let secrets = Secrets::open(folder, plan, clock)?;
    embedded::write_packs(&folder.join("policies"))?;
    let databases = embedded::write_databases(&folder.join("geo"))?;
    write_certificates(folder)?;
    let manifest = manifest(plan, folder, &secrets, clock)?;
    for (node, planned) in manifest.nodes.iter().zip(&plan.nodes) {
        let config = node_config(node, planned, plan, &manifest)?;
        write_private(&node.process.config_file, config.to_toml()?.as_bytes())?;
    }
    for (gateway, planned) in manifest.gateways.iter().zip(&plan.gateways) {
        let mut config = gateway_config(gateway, planned, plan, &manifest, &secrets)?;
        config.policies_dir = folder.join("policies");
        config.location_databases = databases.iter().map(|name| folder.join("geo").join(name)).collect();
        config.listen.tls_certificate = Some(folder.join("tls/server.pem"));
        config.listen.tls_key = Some(folder.join("tls/server.key"));
        write_private(&gateway.process.config_file, toml::to_string(&config)?.as_bytes())?;
    }
    write_private(&manifest.credentials_file, secrets.credentials_file().as_bytes())?;
    write_private(&manifest.tokens_file, &serde_json::to_vec_pretty(&secrets.tokens_file())?)?;
    write_manifest(folder, &manifest)?;
    Ok(manifest)
}

/// Replaces `demo.json` whole: readers see the old one or the new one.
pub(super) fn write_manifest(folder: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    write_private(&folder.join(MANIFEST_FILE), &serde_json::to_vec_pretty(manifest)?)
}

/// Writes a file that only its owner reads, whole or not at all.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let what = || format!("{} cannot be written", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(what)?;
    let unfinished = path.with_added_extension("new");
    let mut file = fs::OpenOptions::new();
    let mut file = file.write(true).create(true).truncate(true).mode(0o600).open(&unfinished).with_context(what)?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).with_context(what)?;
    file.write_all(bytes).with_context(what)?;
    fs::rename(&unfinished, path).with_context(what)
}

/// A certificate authority for this folder and a certificate for this machine's own names. The authority's key is dropped
/// at once: nobody can ever make another certificate with it.
fn write_certificates(folder: &Path) -> anyhow::Result<()> {
    let (ca_file, server_file, key_file) =
        (folder.join(CA_FILE), folder.join("tls/server.pem"), folder.join("tls/server.key"));
    if ca_file.exists() && server_file.exists() && key_file.exists() {
        return Ok(());
    }
    let mut authority = rcgen::CertificateParams::new(Vec::new())?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name = rcgen::DistinguishedName::new();
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Domicile demo");
    let authority_key = rcgen::KeyPair::generate()?;
    let authority = rcgen::CertifiedIssuer::self_signed(authority, authority_key)?;
    let mut server = rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    server.distinguished_name = rcgen::DistinguishedName::new();
    server.distinguished_name.push(rcgen::DnType::CommonName, "Domicile demo gateway");
    server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let server_key = rcgen::KeyPair::generate()?;
    let certificate = server.signed_by(&server_key, &authority)?;
    write_private(&key_file, server_key.serialize_pem().as_bytes())?;
    write_private(&server_file, certificate.pem().as_bytes())?;
    write_private(&ca_file, authority.pem().as_bytes())
}

fn manifest(plan: &Plan, folder: &Path, secrets: &Secrets, clock: Clock) -> anyhow::Result<Manifest> {
    let process = |name: String, kind: &str, short: &str| Process {
        pid: None,
        config_file: folder.join(kind).join(format!("{short}.toml")),
        data_dir: folder.join(kind).join(short),
        log_file: folder.join("logs").join(format!("{name}.log")),
        name,
    };
    let mut gateways = Vec::new();
    for planned in &plan.gateways {
        let process = process(format!("gateway-{}", planned.name), "gateways", &planned.name);
        let seed = read_secret(&process.data_dir.join("identity.key"), clock)?;
        gateways.push(Gateway {
            id: IdentityKey::from_seed(&seed).id(),
            process,
            place: planned.place,
            default_region: planned.default_region.clone(),
            regions: plan.regions.iter().map(|(region, _)| region.clone()).collect(),
            s3: format!("http://{}", planned.s3),
            s3_tls: format!("https://{}", planned.s3_tls),
            admin: format!("http://{}", planned.admin),
        });
    }
    let mut nodes = Vec::new();
    for planned in &plan.nodes {
        let process = process(planned.name.clone(), "nodes", &planned.name);
        let key = domicile_storage_node::load_or_create(&process.data_dir, &clock.random())?;
        nodes.push(Node {
            id: key.id(),
            process,
            place: planned.place,
            operator: planned.operator.clone(),
            controller: planned.controller.clone(),
            address: planned.data_plane(),
            swarm: planned.swarm(),
        });
    }
    Ok(Manifest {
        admin: gateways.first().map(|gateway: &Gateway| gateway.admin.clone()).unwrap_or_default(),
        token: secrets.token("admin"),
        control: Control { url: format!("http://{}", plan.control), token: secrets.control.clone() },
        ca_file: folder.join(CA_FILE),
        credentials_file: folder.join("credentials"),
        tokens_file: folder.join("tokens.json"),
        gateways,
        nodes,
    })
}

fn node_config(node: &Node, planned: &NodePlan, plan: &Plan, manifest: &Manifest) -> anyhow::Result<NodeConfig> {
    let gateways = manifest.gateways.iter().zip(&plan.gateways);
    let config = NodeConfig {
        data_dir: node.process.data_dir.clone(),
        listen: planned.data_plane(),
        advertise: None,
        place: planned.place,
        operator: planned.operator.clone(),
        party: planned.party.clone(),
        capacity_bytes: NODE_CAPACITY_BYTES,
        segment_bytes_max: NODE_SEGMENT_BYTES_MAX,
        gateways: gateways
            .map(|(gateway, planned)| GatewayPeer {
                id: gateway.id,
                origin: log_origin(&gateway.id),
                swarm: Some(planned.swarm),
            })
            .collect(),
        swarm_listen: vec![planned.swarm()],
        swarm_peers: Vec::new(),
        workers: NODE_WORKERS,
        rebuild_index: false,
        upkeep: UpkeepConfig::default(),
        page: Some(planned.page()),
        terms: terms(),
    };
    Ok(config)
}

fn gateway_config(
    gateway: &Gateway,
    planned: &GatewayPlan,
    plan: &Plan,
    manifest: &Manifest,
    secrets: &Secrets,
) -> anyhow::Result<RawConfig> {
    let region = |(name, pack): &(_, domicile_types::PackId)| RawRegion {
        name: Clone::clone(name),
        packs: vec![pack.clone()],
        profile: "auto".to_owned(),
    };
    let credential = |uploader: &super::secrets::Uploader| {
        Ok(RawCredential {
            tenant: uploader.tenant.parse()?,
            access_key: uploader.access_key.clone(),
            secret_key: uploader.secret_key.clone(),
        })
    };
    let token = |token: &super::secrets::BearerToken| {
        Ok(RawToken {
            role: token.role,
            tenant: token.tenant.as_ref().map(|tenant| tenant.parse()).transpose()?,
            person: Some(token.name.clone()),
            token: token.token.clone(),
        })
    };
    let node = |(node, planned): (&Node, &NodePlan)| RawNode {
        id: node.id,
        operator: planned.operator.clone(),
        controller: planned.controller.clone(),
        place: planned.place,
        swarm: Some(planned.swarm()),
        party: planned.party.clone(),
    };
    let overrides = planned.place_overrides(plan).into_iter();
    Ok(RawConfig {
        name: planned.name.clone(),
        place: planned.place,
        evidence: EvidenceGrade::Observed,
        data_dir: gateway.process.data_dir.clone(),
        policies_dir: PathBuf::new(),
        location_databases: Vec::new(),
        network_databases: Vec::new(),
        place_overrides_file: None,
        trusted_proxies: Vec::new(),
        terms: terms(),
        reconcile_tolerance_basis_points: 100,
        default_region: planned.default_region.clone(),
        // A demo shows everything, access control lists among it; a gateway of one's own has none unless told so.
        object_ownership: ObjectOwnership::ObjectWriter,
        party: planned.party.clone(),
        domains: Vec::new(),
        listen: RawListen {
            s3: Some(planned.s3),
            s3_tls: Some(planned.s3_tls),
            tls_certificate: None,
            tls_key: None,
            admin: planned.admin,
            swarm: planned.swarm,
            outbound: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        },
        kms_keys: KMS_KEYS.map(str::to_owned).to_vec(),
        // Whoever tries it out does not want to wait.
        access_log_seconds: 5,
        webhooks: Vec::new(),
        siems: Vec::new(),
        witnesses: Vec::new(),
        witnessing: Default::default(),
        // Demo clients speak from loopback addresses, where nobody listens in between.
        sse_c_over_http: true,
        limits: crate::config::Limits::default(),
        lifecycle: plan.lifecycle,
        repair: crate::config::RepairSettings::default(),
        standing: StandingSettings::default(),
        place_overrides: overrides.map(|(network, place)| RawPlaceOverride { network, place }).collect(),
        regions: plan.regions.iter().map(region).collect(),
        credentials: secrets.uploaders.iter().map(credential).collect::<anyhow::Result<_>>()?,
        tokens: secrets.tokens.iter().map(token).collect::<anyhow::Result<_>>()?,
        nodes: manifest.nodes.iter().zip(&plan.nodes).map(node).collect(),
    })
}

/// The identity of a gateway, for asking nodes in its name.
pub(super) fn gateway_key(gateway: &Gateway, clock: Clock) -> anyhow::Result<IdentityKey> {
    let seed = read_secret(&gateway.process.data_dir.join("identity.key"), clock)?;
    Ok(IdentityKey::from_seed(&seed))
}

#[cfg(test)]
mod tests {
    use domicile_types::NodeId;

    use super::*;
    use crate::config::Config;

    #[test]
    fn both_gateways_and_all_nodes_can_read_what_is_written_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::of_the_demo();
        let manifest = write(&plan, folder.path(), Clock).unwrap();
        for (gateway, planned) in manifest.gateways.iter().zip(&plan.gateways) {
            let config = Config::read(&gateway.process.config_file).unwrap();
            assert_eq!((config.place, config.nodes.len(), config.credentials.len()), (planned.place, 20, 2));
            assert!(config.location_databases.iter().all(|file| file.exists()));
            assert!(config.policies_dir.join("cn-data-export/rules.cedar").exists());
            assert_eq!(config.listen.s3_tls.unwrap().address, planned.s3_tls);
        }
        let ids: Vec<NodeId> = manifest.gateways.iter().map(|gateway| gateway.id).collect();
        for node in &manifest.nodes {
            let config = NodeConfig::from_toml(&fs::read_to_string(&node.process.config_file).unwrap()).unwrap();
            assert_eq!(config.gateways.iter().map(|gateway| gateway.id).collect::<Vec<_>>(), ids);
            assert_eq!(config.place, node.place);
        }
    }

    #[test]
    fn a_second_start_keeps_identities_passwords_and_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::of_the_demo();
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        let first = write(&plan, folder.path(), Clock).unwrap();
        let before = ["credentials", "tokens.json", "ca.pem", "tls/server.pem"].map(read);
        let second = write(&plan, folder.path(), Clock).unwrap();
        assert_eq!(first, second);
        assert_eq!(before, ["credentials", "tokens.json", "ca.pem", "tls/server.pem"].map(read));
    }

    #[test]
    fn what_opens_something_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        write(&Plan::of_the_demo(), folder.path(), Clock).unwrap();
        for name in ["credentials", "tokens.json", "demo.json", "secrets.json", "tls/server.key", "gateways/cn.toml"] {
            let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{name}");
        }
    }

    #[test]
    fn the_manifest_reads_back_as_the_command_line_and_the_tour_need_it() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = write(&Plan::of_the_demo(), folder.path(), Clock).unwrap();
        assert_eq!(Manifest::read(&folder.path().join(MANIFEST_FILE)).unwrap(), manifest);
        assert_eq!(manifest.admin, "http://127.0.0.1:9001");
        assert_eq!(manifest.processes().count(), 22);
        assert!(manifest.summary(folder.path()).contains("without LocationConstraint are in region cn"));
    }
}
