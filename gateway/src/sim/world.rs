//! The simulated cluster: a real gateway over a simulated clock, network and disks, and what it was told and acknowledged.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use domicile_compliance::Locator;
use domicile_compliance::audit::{KeyName, LogLimits};
use domicile_node_protocol::{Announcement, NodeCondition, ProtocolVersions};
use domicile_storage_node::admission::{EnrolledGateway, Gateways};
use domicile_types::{
    ControllerId, IdentityKey, NodeId, OperatorId, Party, PartyId, Place, RequestId, TenantId, UnixMillis,
};
use parking_lot::Mutex;
use tempfile::TempDir;

use super::law::{Law, PACK, pack_id};
use super::net::Net;
use super::node::SimNode;
use crate::catalog::{Bucket, Catalog, CatalogConfig};
use crate::clock::{Clock, Simulated};
use crate::config::{EnrolledNode, RawConfig};
use crate::fleet::Locating;
use crate::judging::facts::{self, Facts};
use crate::objects::{Caller, Gateway};
use crate::open::{Assembled, Ground, assemble, log_origin};
use crate::repair::Queue;
use crate::state::{MemoryStore, Owner};
use crate::testing;

/// When every run begins: 2026-11-22T00:00:00Z.
const BEGINNING: UnixMillis = UnixMillis(1_795_305_600_000);
/// How many nodes are enrolled, each of a controller of its own.
pub(super) const NODES: usize = 12;
/// The first so many are of companies of SG.
const OF_STRAITS: usize = 3;
/// How often nodes announce themselves.
const ANNOUNCED_EVERY_MILLIS: u64 = 10_000;
const MIB: u64 = 1 << 20;
/// How often what still runs is given a turn before it is taken to hang.
const TURNS_MAX: usize = 1_000_000;

static LOCATOR: LazyLock<Arc<Locating>> = LazyLock::new(|| {
    let geo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compliance/geo");
    let files: Vec<PathBuf> = ["dbip-country.mmdb", "geo-whois-asn-country.mmdb"].map(|name| geo.join(name)).into();
    let place = |network: &str, place| (network.parse().unwrap(), Place::parse(place).unwrap());
    let overrides = vec![place("127.0.0.0/16", "CN"), place("127.1.0.0/16", "US")];
    Arc::new(Locating::new(Locator::open(&files, overrides, BEGINNING).unwrap()))
});

/// What an observer knows of a node, told by whoever did it and not by the gateway.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Whether it was heard of at all.
    pub(super) joined: bool,
    /// Whether its company is one of SG.
    pub(super) of_straits: bool,
    /// When its company was sold last.
    pub(super) sold: Option<UnixMillis>,
    /// Whether its address is abroad.
    pub(super) abroad: bool,
    /// Since when the gateway was told so.
    pub(super) told_abroad: Option<UnixMillis>,
}

/// An object that the gateway acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) bytes: Vec<u8>,
}

/// The law as the observer knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct InForce {
    pub(super) law: Law,
    pub(super) edition: usize,
}

/// Everything that an upset in the middle of a PUT needs. Cheap to clone.
#[derive(Clone)]
pub(super) struct Handles {
    pub(super) gateway: Gateway,
    pub(super) net: Arc<Net>,
    pub(super) nodes: Arc<Mutex<BTreeMap<NodeId, Known>>>,
    pub(super) law: Arc<Mutex<InForce>>,
    /// What the gateway knows of nodes.
    facts: Arc<Mutex<Facts>>,
    pub(super) simulated: &'static Simulated,
}

/// The cluster.
pub(super) struct World {
    pub(super) handles: Handles,
    pub(super) bucket: Bucket,
    /// Objects by key.
    pub(super) books: BTreeMap<String, Acknowledged>,
    /// What the repair worker of this process remembers.
    pub(super) queue: Queue,
    /// Which nodes it asks for deletions, and when again.
    pub(super) retry: BTreeMap<NodeId, UnixMillis>,
    /// Whether what the process before left behind was found.
    pub(super) reaped: bool,
    /// When nodes announced themselves last.
    announced: UnixMillis,
    /// In the order of their number.
    pub(super) ids: Vec<NodeId>,
    seed: u64,
    store: Arc<MemoryStore>,
    folder: TempDir,
}

/// A folder in memory where the system has one: the log syncs often.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn key(seed: u64, what: u8, index: usize) -> IdentityKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&[what]).update(&index.to_le_bytes());
    IdentityKey::from_seed(hasher.finalize().as_bytes())
}

fn gateway_key(seed: u64) -> IdentityKey {
    key(seed, 0, 0)
}

fn party(index: usize, of_straits: bool) -> Party {
    let seat = Place::parse(if of_straits { "SG" } else { "CN" }).unwrap();
    Party {
        id: PartyId::parse(&format!("p{index}")).unwrap(),
        name: format!("P{index}"),
        incorporated: seat,
        headquartered: seat,
        owners: Vec::new(),
        controlled_by: None,
        certifications: Vec::new(),
    }
}

impl World {
    pub(super) async fn new(seed: u64) -> Self {
        let folder = folder();
        let simulated = Simulated::start(BEGINNING, seed);
        let clock = Clock::simulated(simulated);
        let identity = gateway_key(seed);
        let pack = folder.path().join("policies").join(PACK);
        std::fs::create_dir_all(&pack).unwrap();
        let files = Law::Open.pack(0);
        let texts = [
            ("pack.toml", &files.facts),
            ("rules.cedar", &files.rules),
            ("cases.toml", &files.cases),
            ("SOURCES.md", &files.sources),
        ];
        texts.iter().for_each(|(name, text)| std::fs::write(pack.join(name), text).unwrap());
        let net = Arc::new(Net::new(identity.id(), simulated));
        let origin = KeyName::parse(&log_origin(&identity.id())).unwrap();
        let mut nodes = BTreeMap::new();
        let mut ids = Vec::new();
        for index in 0..NODES {
            let key = key(seed, 1, index);
            let enrolled = EnrolledGateway { id: identity.id(), origin: origin.clone() };
            let gateways = Gateways::new([enrolled], UnixMillis(0)).unwrap();
            ids.push(key.id());
            let of_straits = index < OF_STRAITS;
            let known = Known { joined: false, of_straits, sold: None, abroad: false, told_abroad: None };
            nodes.insert(key.id(), known);
            net.with(|net| net.nodes.insert(key.id(), SimNode::new(key, Place::parse("CN").unwrap(), gateways)));
        }
        let store = Arc::new(MemoryStore::new(Arc::new(move || clock.now())));
        let gateway = open_gateway(folder.path(), clock, seed, &store, &net, enrolled(&ids, &nodes)).await;
        let bucket = testing::bucket(&gateway, "simulated", "tenant-a", "cn").await;
        let law = Arc::new(Mutex::new(InForce { law: Law::Open, edition: 0 }));
        let facts = Arc::new(Mutex::new(Facts::default()));
        let handles = Handles { gateway, net, nodes: Arc::new(Mutex::new(nodes)), law, facts, simulated };
        let mut world = Self {
            handles,
            bucket,
            books: BTreeMap::new(),
            queue: Queue::default(),
            retry: BTreeMap::new(),
            reaped: false,
            announced: UnixMillis(0),
            ids,
            seed,
            store,
            folder,
        };
        // Enough for 4+2 are there from the beginning; the others may join.
        for index in 0..8 {
            world.join(index);
        }
        world.handles.judge_nodes().await;
        world
    }

    /// The gateway's process ends without any care for what it was doing, and another one starts over what it left.
    pub(super) async fn restart(mut self) -> Self {
        let Handles { gateway, net, nodes, law, facts, simulated } = self.handles;
        gateway.log.close();
        let log = Arc::clone(&gateway.log);
        drop(gateway);
        // Threads may have to see yet that what they work for is given up.
        while Arc::strong_count(&log) > 1 {
            tokio::task::yield_now().await;
            std::thread::yield_now();
        }
        drop(log);
        let clock = Clock::simulated(simulated);
        let gateway = {
            let enrolled = enrolled(&self.ids, &nodes.lock());
            open_gateway(self.folder.path(), clock, self.seed, &self.store, &net, enrolled).await
        };
        self.handles = Handles { gateway, net, nodes, law, facts, simulated };
        self.reaped = false;
        self.queue = Queue::default();
        self.retry.clear();
        self.announce();
        self.handles.judge_nodes().await;
        self
    }

    /// A caller at the gateway.
    pub(super) fn caller(&self) -> Caller {
        caller(&self.handles.gateway)
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.handles.gateway.clock.now()
    }

    /// Time goes on, nodes announce themselves, and the gateway does what it does by itself.
    pub(super) async fn pass(&mut self, millis: u64) {
        self.handles.simulated.advance(millis);
        if self.now().millis_since(self.announced) >= ANNOUNCED_EVERY_MILLIS {
            self.announce();
        }
        quiet().await;
        self.handles.judge_nodes().await;
    }

    /// Every node that is there and can be heard announces itself.
    pub(super) fn announce(&mut self) {
        self.announced = self.now();
        for (index, node) in self.ids.iter().enumerate() {
            self.handles.announce(index, *node);
        }
    }

    /// A node is heard of for the first time.
    pub(super) fn join(&mut self, index: usize) {
        let node = self.ids[index];
        self.handles.nodes.lock().get_mut(&node).unwrap().joined = true;
        self.handles.announce(index, node);
    }
}

pub(super) fn caller(gateway: &Gateway) -> Caller {
    let request = RequestId::from_bytes(gateway.clock.random());
    Caller::worker(&TenantId::parse("tenant-a").unwrap(), "AKID", request)
}

impl Handles {
    /// What the node says of itself now, if it can be heard.
    pub(super) fn announce(&self, index: usize, node: NodeId) {
        let known = self.nodes.lock()[&node].clone();
        let unheard = self.net.with(|net| net.cut.contains(&node) || net.nodes[&node].faults.down);
        if !known.joined || unheard {
            return;
        }
        let full = self.net.with(|net| net.nodes[&node].faults.full);
        let network = u8::from(known.abroad);
        let host = u8::try_from(index + 1).unwrap();
        let now = self.gateway.clock.now();
        self.gateway.directory.hear(Announcement {
            v: Announcement::VERSION,
            node,
            operator: OperatorId::parse(&format!("op-{index}")).unwrap(),
            party: party(index, known.of_straits),
            place: Place::parse("CN").unwrap(),
            data_plane: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, network, host, 1)), 9000),
            capacity_bytes: 1024 * MIB,
            free_bytes: if full { 0 } else { 1024 * MIB },
            condition: NodeCondition::Serving,
            speaks: ProtocolVersions::SPOKEN,
            software: "simulated".to_owned(),
            issued: now,
            expires: now.plus_millis(Announcement::LIFETIME_MILLIS),
        });
        let mut nodes = self.nodes.lock();
        let told = &mut nodes.get_mut(&node).unwrap().told_abroad;
        *told = known.abroad.then(|| told.unwrap_or(now));
    }

    /// A node's company is sold: from CN to SG, or back. The records of the fleet say so at once.
    pub(super) fn sell(&self, node: NodeId, ids: &[NodeId]) {
        let mut nodes = self.nodes.lock();
        let known = nodes.get_mut(&node).unwrap();
        known.of_straits = !known.of_straits;
        known.sold = Some(self.gateway.clock.now());
        self.gateway.directory.enrol(enrolled(ids, &nodes));
    }

    /// The gateway judges nodes by what it heard of them.
    pub(super) async fn judge_nodes(&self) {
        self.gateway.warden.step().await.unwrap();
        let mut known = std::mem::take(&mut *self.facts.lock());
        facts::look(&self.gateway, &mut known).await.unwrap();
        *self.facts.lock() = known;
    }

    /// Another law comes into force.
    pub(super) async fn publish(&self, law: Law) {
        let edition = self.law.lock().edition + 1;
        self.gateway.publish_pack(&caller(&self.gateway), pack_id(), law.pack(edition)).await.unwrap();
        *self.law.lock() = InForce { law, edition };
    }
}

/// Ends when nothing that a use case left running runs any more: the next step finds it done, in every run of a seed.
async fn quiet() {
    let runtime = tokio::runtime::Handle::current();
    for _ in 0..TURNS_MAX {
        if runtime.metrics().num_alive_tasks() == 0 {
            return;
        }
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
    panic!("a use case left something running that does not end");
}

/// The nodes as their enrolment has them.
fn enrolled(ids: &[NodeId], nodes: &BTreeMap<NodeId, Known>) -> Vec<EnrolledNode> {
    let node = |(index, id): (usize, &NodeId)| EnrolledNode {
        id: *id,
        operator: OperatorId::parse(&format!("op-{index}")).unwrap(),
        controller: ControllerId::parse(&format!("c-{index}")).unwrap(),
        party: party(index, nodes[id].of_straits),
        place: Place::parse("CN").unwrap(),
        swarm: None,
    };
    ids.iter().enumerate().map(node).collect()
}

async fn open_gateway(
    folder: &Path,
    clock: Clock,
    seed: u64,
    store: &Arc<MemoryStore>,
    net: &Arc<Net>,
    enrolled: Vec<EnrolledNode>,
) -> Gateway {
    let text = format!(
        r#"
        name = "simulated"
        place = "CN"
        data_dir = "{data}"
        policies_dir = "{data}/policies"
        location_databases = ["a", "b"]
        default_region = "cn"
        party = {{ id = "p", name = "P", incorporated = "CN", headquartered = "CN" }}
        listen = {{ s3 = "127.0.0.1:0", admin = "127.0.0.1:0", swarm = "127.0.0.1:0" }}
        region = [{{ name = "cn", packs = ["{PACK}"] }}]
        "#,
        data = folder.display(),
    );
    let raw: RawConfig = toml::from_str(&text).unwrap();
    let mut config = raw.into_config(folder).unwrap();
    config.nodes = enrolled;
    let settings = CatalogConfig { token_key: [7; 32], process: Owner(clock.random()), sweep_grace_millis: 60_000 };
    let catalog = Catalog::new(Arc::clone(store) as _, settings);
    let log = LogLimits {
        segment_bytes: 1 << 20,
        log_bytes_max: 256 << 20,
        reserve_bytes: 64 << 10,
        publish_millis_min: 60_000,
        ..LogLimits::default()
    };
    let ground = Ground { clock, identity: gateway_key(seed), locator: Arc::clone(&LOCATOR), catalog, log };
    let net: Arc<Net> = Arc::clone(net);
    let Assembled { gateway, .. } = assemble(config, &ground, |nodes| nodes.over(net)).await.unwrap();
    gateway
}
