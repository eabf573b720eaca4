//! Every refusal of the data plane, by its code, and counted.

use std::collections::BTreeMap;

use domicile_node_protocol::{DATA_HEADER, RefusalCode, SHARD_BYTES_MAX, TICKET_HEADER};
use domicile_storage_node::{start, system_clock};
use domicile_types::{OperationKind, RequestId, ShardCid};
use futures::StreamExt;

use crate::fixture::{NodeClient, Pair, TestGateway, Wanted, bytes, data, node_config, wanted};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_true_ticket_is_refused() {
    let pair = Pair::start().await;
    let cid = pair.store(&bytes(1, 1_000)).await;
    let bare = pair.client.send(pair.client.http.get(pair.client.url(&cid))).await;
    assert_eq!(bare.refusal(), RefusalCode::NoTicket);

    let ticket = pair.ticket(OperationKind::GetObject);
    // One bit of the entry, one of the proof, a cut, and words.
    let flip = |at: usize| {
        let mut forged = ticket.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(forged).unwrap()
    };
    let dot = ticket.find('.').unwrap();
    for forged in [flip(dot / 2), flip(dot + 300), ticket[..dot].to_owned(), "let-me-in".to_owned()] {
        let refusal = pair.client.get(&forged, &cid).await.refusal();
        assert_eq!(refusal, RefusalCode::ForgedTicket, "{forged}");
    }
    let status = pair.client.status().await;
    let expected = BTreeMap::from([(RefusalCode::NoTicket, 1), (RefusalCode::ForgedTicket, 4)]);
    assert_eq!(status.refused, expected);
    pair.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_out_of_time_is_refused() {
    let pair = Pair::start().await;
    let cid = pair.store(&bytes(1, 1_000)).await;
    let stale = Wanted { lifetime_millis: -31_000, ..wanted(OperationKind::GetObject) };
    let endless = Wanted { lifetime_millis: 7 * 3_600_000, ..wanted(OperationKind::GetObject) };
    for wanted in [stale, endless] {
        let refused = pair.client.get(&pair.gateway.ticket(&wanted), &cid).await;
        assert_eq!(refused.refusal(), RefusalCode::StaleTicket);
    }
    pair.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_for_something_else_is_refused() {
    let pair = Pair::start().await;
    let shard = bytes(1, 1_000);
    let cid = pair.store(&shard).await;

    let put = pair.ticket(OperationKind::PutObject);
    let get = pair.ticket(OperationKind::GetObject);
    assert_eq!(pair.client.get(&put, &cid).await.refusal(), RefusalCode::WrongOperation);
    assert_eq!(pair.client.put(&get, data(1), &shard).await.refusal(), RefusalCode::WrongOperation);
    assert_eq!(pair.client.delete(&get, &cid).await.refusal(), RefusalCode::WrongOperation);

    let elsewhere = Wanted { node_place: "DE", ..wanted(OperationKind::GetObject) };
    let refused = pair.client.get(&pair.gateway.ticket(&elsewhere), &cid).await;
    assert_eq!(refused.refusal(), RefusalCode::WrongPlace);
    let province = Wanted { node_place: "CN-GD", ..wanted(OperationKind::GetObject) };
    let refused = pair.client.get(&pair.gateway.ticket(&province), &cid).await;
    assert_eq!(refused.refusal(), RefusalCode::WrongPlace, "this node is in CN, the province is not stated");

    let other_data = Wanted { data: data(2), ..wanted(OperationKind::GetObject) };
    let other_data = pair.gateway.ticket(&other_data);
    assert_eq!(pair.client.get(&other_data, &cid).await.refusal(), RefusalCode::WrongShard);
    assert_eq!(pair.client.put(&put, data(2), &shard).await.refusal(), RefusalCode::WrongShard);
    let listed = Wanted { shards: vec![ShardCid::of(b"another")], ..wanted(OperationKind::GetObject) };
    assert_eq!(pair.client.get(&pair.gateway.ticket(&listed), &cid).await.refusal(), RefusalCode::WrongShard);
    let unknown = ShardCid::of(b"never stored");
    assert_eq!(pair.client.get(&get, &unknown).await.refusal(), RefusalCode::NotFound);
    assert_eq!(pair.client.get(&get, &cid).await.status, 200, "the node still serves what it should");
    pair.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_no_allowed_intent_is_no_ticket() {
    let pair = Pair::start().await;
    let cid = pair.store(&bytes(1, 1_000)).await;
    let request = RequestId::from_bytes([7; 16]);
    let incident = pair.gateway.log.incident(request, "drill", None, None).wait().unwrap().ticket().to_string();
    assert_eq!(pair.client.get(&incident, &cid).await.refusal(), RefusalCode::WrongOperation);
    pair.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_gateway_uses_its_own_tickets_and_strangers_are_turned_away() {
    let (one, other) = (TestGateway::new(1, "domicile.example/cn"), TestGateway::new(2, "domicile.example/cn-2"));
    let stranger = TestGateway::new(3, "domicile.example/stranger");
    let directory = tempfile::tempdir().unwrap();
    let node = start(node_config(directory.path(), &[&one, &other]), system_clock()).await.unwrap();
    let client = one.client(node.id(), node.address());
    let shard = bytes(1, 1_000);
    let cid = ShardCid::of(&shard);
    let put = one.ticket(&wanted(OperationKind::PutObject));
    assert_eq!(client.put(&put, data(1), &shard).await.status, 201);

    let others = other.ticket(&wanted(OperationKind::GetObject));
    assert_eq!(client.get(&others, &cid).await.refusal(), RefusalCode::NotTheGateway);
    let strangers = stranger.ticket(&wanted(OperationKind::GetObject));
    assert_eq!(client.get(&strangers, &cid).await.refusal(), RefusalCode::UnknownLog);

    let uninvited = stranger.client(node.id(), node.address());
    for path in ["/v1/status", "/v1/checkpoints", "/v1/holdings", "/v1/tickets", "/v1/nothing"] {
        let answer = uninvited.send(uninvited.http.get(format!("{}{path}", uninvited.base))).await;
        assert_eq!(answer.refusal(), RefusalCode::NotTheGateway, "{path}");
    }
    assert_eq!(uninvited.get(&strangers, &cid).await.refusal(), RefusalCode::UnknownLog);
    let stolen = one.ticket(&wanted(OperationKind::GetObject));
    assert_eq!(uninvited.get(&stolen, &cid).await.refusal(), RefusalCode::NotTheGateway);
    assert_eq!(client.status().await.refused_handshakes, 5);
    // And a gateway does not talk to a node with another key than the one it looks for.
    let mistaken = NodeClient::new(&one.key, stranger.key.id(), node.address());
    assert!(mistaken.http.get(mistaken.url(&cid)).send().await.is_err());
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn work_under_a_lease_that_passed_on_is_refused() {
    let pair = Pair::start().await;
    let cid = pair.store(&bytes(1, 1_000)).await;
    let repair = |epoch| pair.gateway.ticket(&Wanted { epoch, ..wanted(OperationKind::Repair) });
    assert_eq!(pair.client.get(&repair(7), &cid).await.status, 200);
    assert_eq!(pair.client.get(&repair(7), &cid).await.status, 200);
    assert_eq!(pair.client.get(&repair(6), &cid).await.refusal(), RefusalCode::StaleEpoch);
    let pair = pair.restart(|_, _| {}).await;
    let stale = pair.gateway.ticket(&Wanted { epoch: 6, ..wanted(OperationKind::Repair) });
    assert_eq!(pair.client.get(&stale, &cid).await.refusal(), RefusalCode::StaleEpoch, "a restart forgets nothing");
    assert_eq!(pair.client.get(&pair.ticket(OperationKind::GetObject), &cid).await.status, 200);
    pair.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forked_log_is_caught_by_the_node_that_saw_the_other_branch() {
    let pair = Pair::start().await;
    let cid = pair.store(&bytes(1, 1_000)).await;
    for _ in 0..4 {
        assert_eq!(pair.client.get(&pair.ticket(OperationKind::GetObject), &cid).await.status, 200);
    }
    // The same key and name, another history.
    let branch = TestGateway::new(1, "domicile.example/cn");
    let mut caught = 0;
    for _ in 0..12 {
        let answer = pair.client.get(&branch.ticket(&wanted(OperationKind::GetObject)), &cid).await;
        caught += u32::from(answer.status != 200 && answer.refusal() == RefusalCode::ForkedLog);
    }
    assert!(caught > 0, "no ticket of the branch was refused");
    assert_eq!(pair.client.status().await.refused[&RefusalCode::ForkedLog], u64::from(caught));
    pair.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_and_leave_the_connection_usable() {
    let pair = Pair::start().await;
    let shard = bytes(1, 1_000);
    let cid = pair.store(&shard).await;
    let (put, get) = (pair.ticket(OperationKind::PutObject), pair.ticket(OperationKind::GetObject));
    let http = &pair.client.http;

    for (range, expected) in [
        ("bytes=1000-", RefusalCode::BadRange),
        ("bytes=-0", RefusalCode::BadRange),
        ("bytes=5-4", RefusalCode::BadRange),
        ("bytes=0-1,3-4", RefusalCode::BadRange),
        ("lines=1-2", RefusalCode::BadRange),
    ] {
        let answer = pair.client.get_range(&get, &cid, range).await;
        assert_eq!(answer.refusal(), expected, "{range}");
    }
    let outside = pair.client.get_range(&get, &cid, "bytes=1000-").await;
    assert_eq!(outside.headers["content-range"], "bytes */1000");

    let base = &pair.client.base;
    for request in [
        http.get(format!("{base}/v1/shards/not-a-cid")).header(TICKET_HEADER, &get),
        http.get(format!("{base}/v1/nothing")),
        http.post(pair.client.url(&cid)).header(TICKET_HEADER, &put).body("x"),
        http.put(pair.client.url(&cid)).header(TICKET_HEADER, &put).header(DATA_HEADER, "short").body(shard.clone()),
        http.put(pair.client.url(&cid)).header(TICKET_HEADER, &put).header(DATA_HEADER, data(1).to_string()).body(""),
        http.get(pair.client.url(&cid)).header(TICKET_HEADER, &get).header(TICKET_HEADER, &get),
    ] {
        assert_eq!(pair.client.send(request).await.refusal(), RefusalCode::BadRequest);
    }
    let chunked = reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>(shard.clone())]));
    let undeclared =
        http.put(pair.client.url(&cid)).header(TICKET_HEADER, &put).header(DATA_HEADER, data(1).to_string());
    assert_eq!(pair.client.send(undeclared.body(chunked)).await.refusal(), RefusalCode::BadRequest);

    let large = bytes(2, usize::try_from(SHARD_BYTES_MAX).unwrap() + 1);
    assert_eq!(pair.client.put(&put, data(1), &large).await.refusal(), RefusalCode::TooLarge);
    let largest = bytes(3, usize::try_from(SHARD_BYTES_MAX).unwrap());
    assert_eq!(pair.client.put(&put, data(1), &largest).await.status, 201);
    let renamed = pair.client.put_as(&put, data(1), &ShardCid::of(b"another name"), &shard).await;
    assert_eq!(renamed.refusal(), RefusalCode::WrongBytes);
    assert_eq!(pair.client.get(&get, &ShardCid::of(b"another name")).await.refusal(), RefusalCode::NotFound);
    pair.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_stores_nothing_and_costs_nothing() {
    let pair = Pair::start().await;
    let shard = bytes(1, 100_000);
    let cid = ShardCid::of(&shard);
    let put = pair.gateway.ticket(&Wanted { bytes: 100_000, ..wanted(OperationKind::PutObject) });
    // Whether half a request reaches the node before the connection breaks is up to the network: again until it did.
    while !pair.client.status().await.refused.contains_key(&RefusalCode::Incomplete) {
        let half = futures::stream::iter([Ok(shard[..50_000].to_vec())]);
        let pieces = half.chain(futures::stream::once(async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            Err(std::io::Error::other("gone"))
        }));
        let request = pair.client.http.put(pair.client.url(&cid)).header(TICKET_HEADER, &put);
        let request = request.header(DATA_HEADER, data(1).to_string()).header("content-length", "100000");
        assert!(request.body(reqwest::Body::wrap_stream(pieces)).send().await.is_err());
    }
    // The node notices the end of a connection in its own time; then the bytes are given back.
    let mut stored = pair.client.put(&put, data(1), &shard).await;
    while stored.status != 201 {
        assert_eq!(stored.refusal(), RefusalCode::ReplayedTicket);
        stored = pair.client.put(&put, data(1), &shard).await;
    }
    let status = pair.client.status().await;
    assert_eq!((status.shards, status.stored.requests), (1, 1));
    pair.node.stop().await.unwrap();
}
