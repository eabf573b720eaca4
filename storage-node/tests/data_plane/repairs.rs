//! A node that repairs in a gateway's stead, with three others.

use bytes::Bytes;
use domicile_chunker::{BufferPool, reconstruct};
use domicile_node_protocol::{
    REPAIRS_PATH, ReceiptVerb, RefusalCode, RepairDone, RepairJob, RepairShard, SignedReceipt, TICKET_HEADER,
};
use domicile_storage_node::{NodeConfig, RunningNode, start, system_clock};
use domicile_types::{CodeProfile, IdentityKey, NodeId, OperationKind, Place, ShardCid};

use crate::fixture::{Answer, NodeClient, TestGateway, Wanted, bytes, data, node_config, wanted};

/// Four nodes in CN: 0 to 2 hold a segment of 2+1, 3 holds nothing.
struct Territory {
    gateway: TestGateway,
    nodes: Vec<(RunningNode, tempfile::TempDir)>,
    shards: Vec<Bytes>,
}

impl Territory {
    async fn start() -> Self {
        let gateway = TestGateway::new(1, "domicile.example/cn");
        let mut nodes = Vec::new();
        for _ in 0..4 {
            let directory = tempfile::tempdir().unwrap();
            let node = start(node_config(directory.path(), &[&gateway]), system_clock()).await.unwrap();
            nodes.push((node, directory));
        }
        let mut slots = vec![Some(Bytes::from(bytes(1, 300_000))), Some(Bytes::from(bytes(2, 300_000))), None];
        reconstruct(profile(), &mut slots, &[2], &BufferPool::new(1 << 20, 1)).unwrap();
        let this = Self { gateway, nodes, shards: slots.into_iter().flatten().collect() };
        for (number, shard) in this.shards.iter().enumerate() {
            let put = this.gateway.ticket(&wanted(OperationKind::PutObject));
            assert_eq!(this.client(number).put(&put, data(1), shard).await.status, 201);
        }
        this
    }

    fn client(&self, number: usize) -> NodeClient {
        let node = &self.nodes[number].0;
        self.gateway.client(node.id(), node.address())
    }

    fn id(&self, number: usize) -> NodeId {
        self.nodes[number].0.id()
    }

    fn shard(&self, shard: u8, node: usize) -> RepairShard {
        let (id, address) = (self.id(node), self.nodes[node].0.address());
        RepairShard { shard, cid: ShardCid::of(&self.shards[usize::from(shard)]), node: id, address }
    }

    fn ticket(&self, worker: usize) -> String {
        self.gateway.ticket(&Wanted { worker: Some(self.id(worker)), ..wanted(OperationKind::Repair) })
    }

    async fn ask(&self, worker: usize, ticket: &str, job: &RepairJob) -> Answer {
        let client = self.client(worker);
        let request = client.http.post(format!("{}{REPAIRS_PATH}", client.base)).header(TICKET_HEADER, ticket);
        client.send(request.body(serde_json::to_vec(job).unwrap())).await
    }

    async fn repair(&self, worker: usize, job: &RepairJob) -> RepairDone {
        let answer = self.ask(worker, &self.ticket(worker), job).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_slice(&answer.body).unwrap()
    }

    async fn stop(self) {
        for (node, _) in self.nodes {
            node.stop().await.unwrap();
        }
    }
}

fn profile() -> CodeProfile {
    CodeProfile::parse("2+1").unwrap()
}

fn job(sources: Vec<RepairShard>, targets: Vec<RepairShard>) -> RepairJob {
    RepairJob { data: data(1), profile: profile(), sources, targets }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_rebuilds_a_lost_shard_for_a_new_holder_which_the_gateway_never_speaks_to() {
    let territory = Territory::start().await;
    // Shard 0 is lost; node 1, which holds shard 1, rebuilds it from its own and node 2's for node 3.
    let sources = vec![territory.shard(1, 1), territory.shard(2, 2)];
    let target = territory.shard(0, 3);
    let done = territory.repair(1, &job(sources, vec![target.clone()])).await;
    assert_eq!((done.fetched_bytes, done.stored_bytes, done.faults.len()), (600_000, 300_000, 0));
    let receipt = SignedReceipt::from_wire(done.shards[0].receipt.as_ref().unwrap()).verify(&territory.id(3)).unwrap();
    assert_eq!((receipt.verb, receipt.cid, receipt.data), (ReceiptVerb::Stored, target.cid, data(1)));
    let get = territory.gateway.ticket(&wanted(OperationKind::GetObject));
    assert_eq!(territory.client(3).get(&get, &target.cid).await.body, territory.shards[0]);
    territory.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_only_moves_is_fetched_and_not_rebuilt() {
    let territory = Territory::start().await;
    let sources = (0..3).map(|number| territory.shard(number, usize::from(number))).collect();
    let done = territory.repair(3, &job(sources, vec![territory.shard(2, 3)])).await;
    assert!(done.shards[0].receipt.is_some(), "{done:?}");
    assert_eq!((done.fetched_bytes, done.stored_bytes), (300_000, 300_000));
    territory.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_fail_are_named_and_others_asked_and_too_few_leave_every_target_unmade() {
    let territory = Territory::start().await;
    let nowhere = RepairShard { address: "127.0.0.1:1".parse().unwrap(), ..territory.shard(0, 0) };
    let sources = vec![nowhere.clone(), territory.shard(1, 1), territory.shard(2, 2)];
    let done = territory.repair(3, &job(sources, vec![territory.shard(0, 3)])).await;
    assert!(done.shards[0].receipt.is_some(), "{done:?}");
    assert_eq!(done.faults.iter().map(|(node, _)| *node).collect::<Vec<_>>(), [territory.id(0)]);

    let other = RepairShard { cid: ShardCid::of(b"another"), ..territory.shard(2, 2) };
    let done =
        territory.repair(1, &job(vec![nowhere, territory.shard(1, 1), other], vec![territory.shard(0, 3)])).await;
    assert_eq!(done.shards[0].receipt, None);
    assert!(done.shards[0].fault.as_ref().unwrap().contains("are needed"), "{done:?}");
    assert_eq!((done.faults.len(), done.stored_bytes), (2, 0));
    territory.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_names_are_not_what_the_sources_make_stores_nothing() {
    let territory = Territory::start().await;
    let wrong = RepairShard { cid: ShardCid::of(b"wrong"), ..territory.shard(0, 3) };
    let done = territory.repair(1, &job(vec![territory.shard(1, 1), territory.shard(2, 2)], vec![wrong])).await;
    assert!(done.shards[0].fault.as_ref().unwrap().contains("is not the shard"), "{done:?}");
    assert_eq!(territory.client(3).status().await.shards, 0);
    territory.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_is_refused_unless_its_ticket_names_this_worker_and_its_place_and_the_job_is_sound() {
    let territory = Territory::start().await;
    let sources = vec![territory.shard(1, 1), territory.shard(2, 2)];
    let sound = job(sources.clone(), vec![territory.shard(0, 3)]);
    let refused =
        async |worker: usize, ticket: String, job: &RepairJob| territory.ask(worker, &ticket, job).await.refusal();
    assert_eq!(refused(1, territory.ticket(2), &sound).await, RefusalCode::NotTheGateway);
    let get = territory.gateway.ticket(&wanted(OperationKind::GetObject));
    assert_eq!(refused(1, get, &sound).await, RefusalCode::WrongOperation);
    let worker = Some(territory.id(1));
    let elsewhere = Wanted { node_place: "CN-GD", worker, ..wanted(OperationKind::Repair) };
    assert_eq!(refused(1, territory.gateway.ticket(&elsewhere), &sound).await, RefusalCode::WrongPlace);
    let other_data = Wanted { data: data(2), worker, ..wanted(OperationKind::Repair) };
    assert_eq!(refused(1, territory.gateway.ticket(&other_data), &sound).await, RefusalCode::WrongShard);
    let listed = Wanted { shards: vec![sources[0].cid], worker, ..wanted(OperationKind::Repair) };
    assert_eq!(refused(1, territory.gateway.ticket(&listed), &sound).await, RefusalCode::WrongShard);
    for unsound in [
        job(sources.clone(), Vec::new()),
        job(sources.clone(), vec![RepairShard { shard: 3, ..territory.shard(0, 3) }]),
        job(vec![sources[0].clone(), sources[0].clone()], vec![territory.shard(0, 3)]),
        job(sources.clone(), vec![territory.shard(0, 2)]),
        job(sources, vec![territory.shard(0, 3), RepairShard { shard: 1, ..territory.shard(0, 3) }]),
    ] {
        assert_eq!(refused(1, territory.ticket(1), &unsound).await, RefusalCode::BadRequest, "{unsound:?}");
    }
    territory.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_fetch_and_store_under_its_ticket_and_nothing_else_and_shares_the_gateways_budget() {
    let territory = Territory::start().await;
    let worker = IdentityKey::from_seed(&[50; 32]);
    let cid = ShardCid::of(&territory.shards[0]);
    let ticket = territory.gateway.ticket(&Wanted {
        worker: Some(worker.id()),
        bytes: 600_000,
        ..wanted(OperationKind::Repair)
    });
    let node = &territory.nodes[0].0;
    let client = NodeClient::new(&worker, node.id(), node.address());
    assert_eq!(client.get(&ticket, &cid).await.status, 200);
    assert_eq!(client.delete(&ticket, &cid).await.refusal(), RefusalCode::NotTheGateway);
    assert_eq!(territory.client(0).get(&ticket, &cid).await.status, 200);
    assert_eq!(client.get(&ticket, &cid).await.refusal(), RefusalCode::ReplayedTicket, "one budget for both");
    let others = territory.ticket(1);
    assert_eq!(client.get(&others, &cid).await.refusal(), RefusalCode::NotTheGateway);
    territory.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_holder_elsewhere_judges_the_ticket_for_its_own_place() {
    let mut territory = Territory::start().await;
    let abroad = tempfile::tempdir().unwrap();
    let config = NodeConfig { place: Place::parse("DE").unwrap(), ..node_config(abroad.path(), &[&territory.gateway]) };
    let node = start(config, system_clock()).await.unwrap();
    territory.nodes.push((node, abroad));
    let sources = vec![territory.shard(1, 1), territory.shard(2, 2)];
    let done = territory.repair(1, &job(sources, vec![territory.shard(0, 4)])).await;
    assert_eq!((done.shards[0].receipt.as_ref(), done.stored_bytes), (None, 0));
    assert!(done.shards[0].fault.as_ref().unwrap().contains("wrong-place"), "{done:?}");
    territory.stop().await;
}
