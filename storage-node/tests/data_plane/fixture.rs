//! A gateway's half of everything: an audit log, decisions by the shipped packs, tickets, and a client with a pinned key.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use domicile_compliance::audit::{AuditLog, IntentDraft, LogConfig};
use domicile_compliance::{Circumstances, Grounds, Lawbook};
use domicile_node_protocol::{
    DATA_HEADER, NodeStatus, RECEIPT_HEADER, Receipt, Refusal, RefusalCode, STATUS_PATH, SignedReceipt, TICKET_HEADER,
    challenge_path, server_name, shard_path,
};
use domicile_storage_node::identity_tls::client_config;
use domicile_storage_node::{GatewayPeer, NodeConfig, RunningNode, UpkeepConfig, start, system_clock};
use domicile_types::{
    Budget, Classification, Commitment, DataId, EvidenceGrade, IdentityKey, NodeId, OperationKind, OperatorId, PackId,
    Party, PartyId, Place, RequestId, ShardCid, Subject, SubjectFacts, UnixMillis,
};

/// Random-looking bytes that differ by `seed`.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

pub(crate) fn data(number: u8) -> DataId {
    DataId::from_bytes([number; 16])
}

/// What a ticket is asked for; the rest follows.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) operation: OperationKind,
    pub(crate) data: DataId,
    pub(crate) shards: Vec<ShardCid>,
    pub(crate) bytes: u64,
    /// From now; may be negative.
    pub(crate) lifetime_millis: i64,
    pub(crate) epoch: u64,
    /// Where the node is that the decision is about.
    pub(crate) node_place: &'static str,
    /// Who may use it besides the gateway.
    pub(crate) worker: Option<NodeId>,
}

pub(crate) fn wanted(operation: OperationKind) -> Wanted {
    Wanted {
        operation,
        data: data(1),
        shards: Vec::new(),
        bytes: 1 << 30,
        lifetime_millis: 60_000,
        epoch: 0,
        node_place: "CN",
        worker: None,
    }
}

/// A gateway without its S3 side.
pub(crate) struct TestGateway {
    pub(crate) key: IdentityKey,
    pub(crate) origin: String,
    pub(crate) log: AuditLog,
    lawbook: Lawbook,
    requests: AtomicU64,
    _directory: tempfile::TempDir,
}

impl TestGateway {
    pub(crate) fn new(seed: u8, origin: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = IdentityKey::from_seed(&[seed; 32]);
        let config = LogConfig::new(origin, &key, system_clock()).unwrap();
        let (log, _) = AuditLog::open(directory.path(), config).unwrap();
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
        Self {
            key,
            origin: origin.to_owned(),
            log,
            lawbook: Lawbook::load(&policies).unwrap(),
            requests: AtomicU64::new(0),
            _directory: directory,
        }
    }

    pub(crate) fn peer(&self) -> GatewayPeer {
        GatewayPeer { id: self.key.id(), origin: self.origin.clone(), swarm: None }
    }

    pub(crate) fn draft(&self, wanted: &Wanted) -> IntentDraft {
        let now = i64::try_from(system_clock()().0).unwrap();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let place = Place::parse(gateway_place(wanted.node_place)).unwrap();
        IntentDraft {
            request: RequestId::from_bytes(u128::from(number).to_be_bytes()),
            actor: Commitment::from_digest([1; 32]),
            address: Commitment::from_digest([2; 32]),
            bucket: None,
            key: None,
            requester_places: vec![place],
            gateway_place: place,
            data: Some(wanted.data),
            range: None,
            shards: wanted.shards.clone(),
            budget: Budget { node_bytes_max: wanted.bytes },
            expires: UnixMillis(u64::try_from(now + wanted.lifetime_millis).unwrap()),
            epoch: wanted.epoch,
            worker: wanted.worker,
            charge: None,
        }
    }

    /// Decides, logs, and gives the ticket's text.
    pub(crate) fn ticket(&self, wanted: &Wanted) -> String {
        let facts = |subject, place: &str| SubjectFacts {
            subject,
            places: vec![Place::parse(place).unwrap()],
            evidence: EvidenceGrade::Observed,
            party: None,
        };
        let at = gateway_place(wanted.node_place);
        let pack = PackId::parse(if at == "CN" { "cn-data-export" } else { "eu-gdpr" }).unwrap();
        let nodes = [facts(Subject::Node(IdentityKey::from_seed(&[99; 32]).id()), wanted.node_place)];
        let circumstances = Circumstances {
            packs: &[pack],
            classification: &Classification::default(),
            gateway: &facts(Subject::Gateway(self.key.id()), at),
            requester: Some(&facts(Subject::Requester, at)),
            nodes: &nodes,
            now: system_clock()(),
            located_warnings: &[],
            grounds: Grounds::NONE,
        };
        let ruling = self.lawbook.decide(&circumstances.question(wanted.operation));
        let permit = ruling.permit.unwrap_or_else(|| panic!("denied: {:?}", ruling.findings));
        self.log.intent(&permit, self.draft(wanted)).wait().unwrap().ticket().to_string()
    }

    pub(crate) fn client(&self, node: NodeId, address: SocketAddr) -> NodeClient {
        NodeClient::new(&self.key, node, address)
    }
}

fn gateway_place(node_place: &str) -> &'static str {
    if node_place.starts_with("CN") { "CN" } else { "DE" }
}

/// What a node answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: bytes::Bytes,
    node: NodeId,
}

impl Answer {
    pub(crate) fn receipt(&self) -> Receipt {
        let text = self.headers.get(RECEIPT_HEADER).unwrap_or_else(|| panic!("no receipt: {self:?}"));
        SignedReceipt::from_wire(text.to_str().unwrap()).verify(&self.node).unwrap()
    }

    /// The code of a refusal, whose HTTP status and message are checked on the way.
    pub(crate) fn refusal(&self) -> RefusalCode {
        let refusal = Refusal::from_body(&self.body).unwrap_or_else(|| panic!("no refusal: {self:?}"));
        assert_eq!(refusal.code.http_status(), self.status);
        assert!(!refusal.message.is_empty());
        refusal.code
    }
}

/// A client of one node, over TLS with both keys pinned.
#[derive(Clone)]
pub(crate) struct NodeClient {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    node: NodeId,
}

impl NodeClient {
    pub(crate) fn new(key: &IdentityKey, node: NodeId, address: SocketAddr) -> Self {
        let name = server_name(&node);
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(client_config(key).unwrap())
            .resolve(&name, address)
            .http1_only()
            .no_proxy()
            .build()
            .unwrap();
        Self { http, base: format!("https://{name}:{}", address.port()), node }
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap(), node: self.node }
    }

    pub(crate) fn url(&self, cid: &ShardCid) -> String {
        format!("{}{}", self.base, shard_path(cid))
    }

    pub(crate) async fn put(&self, ticket: &str, data: DataId, shard: &[u8]) -> Answer {
        self.put_as(ticket, data, &ShardCid::of(shard), shard).await
    }

    pub(crate) async fn put_as(&self, ticket: &str, data: DataId, cid: &ShardCid, body: &[u8]) -> Answer {
        let request = self.http.put(self.url(cid)).header(TICKET_HEADER, ticket);
        self.send(request.header(DATA_HEADER, data.to_string()).body(body.to_vec())).await
    }

    pub(crate) async fn get(&self, ticket: &str, cid: &ShardCid) -> Answer {
        self.send(self.http.get(self.url(cid)).header(TICKET_HEADER, ticket)).await
    }

    pub(crate) async fn get_range(&self, ticket: &str, cid: &ShardCid, range: &str) -> Answer {
        let request = self.http.get(self.url(cid)).header(TICKET_HEADER, ticket);
        self.send(request.header("range", range)).await
    }

    pub(crate) async fn challenge(&self, ticket: &str, cid: &ShardCid, range: &str) -> Answer {
        let request = self.http.get(format!("{}{}", self.base, challenge_path(cid))).header(TICKET_HEADER, ticket);
        self.send(request.header("range", range)).await
    }

    /// A page of JSON.
    pub(crate) async fn page<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.send(self.http.get(format!("{}{path}", self.base))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_slice(&answer.body).unwrap()
    }

    pub(crate) async fn delete(&self, ticket: &str, cid: &ShardCid) -> Answer {
        self.send(self.http.delete(self.url(cid)).header(TICKET_HEADER, ticket)).await
    }

    pub(crate) async fn status(&self) -> NodeStatus {
        let answer = self.send(self.http.get(format!("{}{STATUS_PATH}", self.base))).await;
        serde_json::from_slice(&answer.body).unwrap()
    }
}

pub(crate) fn node_config(directory: &Path, gateways: &[&TestGateway]) -> NodeConfig {
    let place = Place::parse("CN").unwrap();
    NodeConfig {
        data_dir: directory.to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        advertise: None,
        place,
        operator: OperatorId::parse("operator-1").unwrap(),
        party: Party {
            id: PartyId::parse("party-1").unwrap(),
            name: "Storage Ltd".to_owned(),
            incorporated: place,
            headquartered: place,
            owners: Vec::new(),
            controlled_by: None,
            certifications: Vec::new(),
        },
        capacity_bytes: 1 << 30,
        segment_bytes_max: 64 << 20,
        gateways: gateways.iter().map(|gateway| gateway.peer()).collect(),
        swarm_listen: Vec::new(),
        swarm_peers: Vec::new(),
        workers: 2,
        rebuild_index: false,
        upkeep: UpkeepConfig::default(),
        page: None,
        terms: domicile_storage_node::accounting::Terms::default(),
    }
}

/// A node in CN with one gateway, and that gateway's client.
pub(crate) struct Pair {
    pub(crate) gateway: TestGateway,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) node: RunningNode,
    pub(crate) client: NodeClient,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut NodeConfig)) -> Self {
        let gateway = TestGateway::new(1, "domicile.example/cn");
        let directory = tempfile::tempdir().unwrap();
        let mut config = node_config(directory.path(), &[&gateway]);
        change(&mut config);
        let node = start(config, system_clock()).await.unwrap();
        let client = gateway.client(node.id(), node.address());
        Self { gateway, directory, node, client }
    }

    /// Stops the node, lets `meanwhile` at its files, and starts it again.
    pub(crate) async fn restart(self, meanwhile: impl FnOnce(&Path, &mut NodeConfig)) -> Self {
        let Self { gateway, directory, node, .. } = self;
        node.stop().await.unwrap();
        let mut config = node_config(directory.path(), &[&gateway]);
        meanwhile(directory.path(), &mut config);
        let node = start(config, system_clock()).await.unwrap();
        let client = gateway.client(node.id(), node.address());
        Self { gateway, directory, node, client }
    }

    pub(crate) fn ticket(&self, operation: OperationKind) -> String {
        self.gateway.ticket(&wanted(operation))
    }

    /// Stores a shard under data id 1.
    pub(crate) async fn store(&self, shard: &[u8]) -> ShardCid {
        let answer = self.client.put(&self.ticket(OperationKind::PutObject), data(1), shard).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        ShardCid::of(shard)
    }
}
