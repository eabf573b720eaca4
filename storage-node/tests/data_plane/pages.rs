//! What a node holds for whom, and which tickets it kept.

use std::collections::BTreeSet;

use domicile_node_protocol::{
    HOLDINGS_PATH, Holdings, KeptTickets, LeafHash, PAGE_ROWS_MAX, RefusalCode, TICKETS_PATH,
};
use domicile_storage_node::{NodeConfig, start, system_clock};
use domicile_types::{OperationKind, ShardCid};

use crate::fixture::{NodeClient, Pair, TestGateway, Wanted, bytes, data, node_config, wanted};

async fn holdings(client: &NodeClient) -> Vec<domicile_node_protocol::Holding> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page: Holdings = client.page(&format!("{HOLDINGS_PATH}{after}")).await;
        assert!(page.holdings.len() <= PAGE_ROWS_MAX);
        all.extend(page.holdings);
        let Some(next) = page.next else { return all };
        after = format!("?after={next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_tells_each_gateway_what_it_holds_for_it_also_from_a_rebuilt_index() {
    let (one, other) = (TestGateway::new(1, "domicile.example/cn"), TestGateway::new(2, "domicile.example/cn-2"));
    let directory = tempfile::tempdir().unwrap();
    let config = node_config(directory.path(), &[&one, &other]);
    let node = start(config.clone(), system_clock()).await.unwrap();
    let (ones, others) = (one.client(node.id(), node.address()), other.client(node.id(), node.address()));
    let put = one.ticket(&wanted(OperationKind::PutObject));
    let mut stored = BTreeSet::new();
    for seed in 0..5 {
        let shard = bytes(seed, 1_000);
        let receipt = ones.put(&put, data(1), &shard).await.receipt();
        stored.insert((receipt.cid, receipt.data, receipt.bytes, receipt.ticket));
    }
    let shared = bytes(0, 1_000);
    let theirs = other.ticket(&Wanted { data: data(2), ..wanted(OperationKind::PutObject) });
    assert_eq!(others.put(&theirs, data(2), &shared).await.status, 201);

    let told = |held: Vec<domicile_node_protocol::Holding>| -> BTreeSet<_> {
        assert!(held.iter().all(|holding| !holding.corrupt && holding.since.0 > 0));
        held.into_iter().map(|held| (held.cid, held.data, held.bytes, held.ticket)).collect()
    };
    assert_eq!(told(holdings(&ones).await), stored);
    let theirs = holdings(&others).await;
    assert_eq!((theirs.len(), theirs[0].cid, theirs[0].data), (1, ShardCid::of(&shared), data(2)));
    let odd = format!("{}{HOLDINGS_PATH}?after=here", ones.base);
    assert_eq!(ones.send(ones.http.get(odd)).await.refusal(), RefusalCode::BadRequest);

    node.stop().await.unwrap();
    std::fs::remove_dir_all(directory.path().join("index")).unwrap();
    let node = start(NodeConfig { rebuild_index: true, ..config }, system_clock()).await.unwrap();
    let ones = one.client(node.id(), node.address());
    assert_eq!(told(holdings(&ones).await), stored, "the segment files say whose shards they hold");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_full_and_the_next_one_goes_on_behind_it() {
    let pair = Pair::start().await;
    let put = pair.ticket(OperationKind::PutObject);
    let count = PAGE_ROWS_MAX + 3;
    let shards: Vec<Vec<u8>> = (0..count as u64).map(|seed| bytes(seed, 40)).collect();
    let stored = futures::future::join_all(shards.iter().map(|shard| pair.client.put(&put, data(1), shard))).await;
    assert!(stored.iter().all(|answer| answer.status == 201));
    let first: Holdings = pair.client.page(HOLDINGS_PATH).await;
    assert_eq!(first.holdings.len(), PAGE_ROWS_MAX);
    let all: BTreeSet<ShardCid> = holdings(&pair.client).await.into_iter().map(|held| held.cid).collect();
    assert_eq!(all, shards.iter().map(|shard| ShardCid::of(shard)).collect());
    pair.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_tells_which_tickets_it_kept_and_what_was_spent_of_them() {
    let pair = Pair::start().await;
    let cid = pair.store(&bytes(1, 1_000)).await;
    let get = pair.ticket(OperationKind::GetObject);
    for _ in 0..3 {
        assert_eq!(pair.client.get(&get, &cid).await.status, 200);
    }
    let unused = pair.ticket(OperationKind::GetObject);
    let kept: KeptTickets = pair.client.page(TICKETS_PATH).await;
    let leaf = |text: &str| {
        let ticket = domicile_compliance::audit::Ticket::parse(text).unwrap();
        LeafHash::from_digest(*ticket.leaf_hash().digest())
    };
    assert_eq!((kept.tickets.len(), kept.next), (2, None));
    assert_eq!(kept.tickets.iter().map(|ticket| ticket.spent_bytes).collect::<Vec<_>>(), [1_000, 3_000]);
    assert_eq!(kept.tickets[1].leaf, leaf(&get));
    assert!(kept.tickets.iter().all(|ticket| ticket.leaf != leaf(&unused)));
    let behind: KeptTickets = pair.client.page(&format!("{TICKETS_PATH}?after={}", kept.tickets[0].index)).await;
    assert_eq!(behind.tickets, kept.tickets[1..]);
    let stranger: KeptTickets = pair.client.page(&format!("{TICKETS_PATH}?after={}", u64::MAX)).await;
    assert_eq!(stranger.tickets, []);
    pair.node.stop().await.unwrap();
}
