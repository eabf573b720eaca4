//! Challenges: a range with the hashes that lead to the shard's name, checked without the shard.

use domicile_node_protocol::{ReceiptVerb, RefusalCode, ResolvedRange};
use domicile_storage_node::proof::{GROUP_BYTES, verify_slice};
use domicile_types::{OperationKind, ShardCid};

use crate::fixture::{Pair, Wanted, bytes, data, wanted};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_proves_a_range_of_a_shard_to_one_who_knows_only_its_name() {
    let pair = Pair::start().await;
    let shard = bytes(1, 1_049_600);
    let cid = pair.store(&shard).await;
    let ticket = pair.ticket(OperationKind::Challenge);
    for (range, start, end) in
        [("bytes=0-0", 0, 1), ("bytes=500000-500031", 500_000, 500_032), ("bytes=1049500-", 1_049_500, 1_049_600)]
    {
        let answer = pair.client.challenge(&ticket, &cid, range).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let proved = verify_slice(&cid, 1_049_600, ResolvedRange { start, end }, &answer.body).unwrap();
        assert_eq!(&proved[..], &shard[start as usize..end as usize]);
        let receipt = answer.receipt();
        assert_eq!((receipt.verb, receipt.cid, receipt.data), (ReceiptVerb::Proved, cid, data(1)));
        assert!(receipt.bytes <= GROUP_BYTES);
    }
    pair.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_needs_a_ticket_for_challenges_that_has_bytes_left_and_a_range_within_the_shard() {
    let pair = Pair::start().await;
    let cid = pair.store(&bytes(1, 100_000)).await;
    let get = pair.ticket(OperationKind::GetObject);
    assert_eq!(pair.client.challenge(&get, &cid, "bytes=0-9").await.refusal(), RefusalCode::WrongOperation);
    let small = Wanted { bytes: GROUP_BYTES, ..wanted(OperationKind::Challenge) };
    let small = pair.gateway.ticket(&small);
    assert_eq!(pair.client.get(&small, &cid).await.refusal(), RefusalCode::WrongOperation);
    assert_eq!(pair.client.challenge(&small, &cid, "bytes=100000-").await.refusal(), RefusalCode::BadRange);
    assert_eq!(pair.client.challenge(&small, &cid, "bytes=0-0,9-9").await.refusal(), RefusalCode::BadRange);
    assert_eq!(pair.client.challenge(&small, &cid, "bytes=4095-4096").await.refusal(), RefusalCode::ReplayedTicket);
    assert_eq!(pair.client.challenge(&small, &cid, "bytes=4096-8191").await.status, 200);
    assert_eq!(pair.client.challenge(&small, &cid, "bytes=0-0").await.refusal(), RefusalCode::ReplayedTicket);
    let ticket = pair.ticket(OperationKind::Challenge);
    let nowhere = ShardCid::of(b"nowhere");
    assert_eq!(pair.client.challenge(&ticket, &nowhere, "bytes=0-0").await.refusal(), RefusalCode::NotFound);
    pair.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_bytes_changed_cannot_prove_even_a_range_that_did_not_change() {
    let pair = Pair::start().await;
    let shard = bytes(1, 300_000);
    let cid = pair.store(&shard).await;
    let pair = pair
        .restart(|directory, _| {
            let path = directory.join("segments/00000001.seg");
            let mut contents = std::fs::read(&path).unwrap();
            let at = contents.windows(32).position(|window| window == &shard[..32]).unwrap();
            contents[at + 250_000] ^= 1;
            std::fs::write(&path, contents).unwrap();
        })
        .await;
    let ticket = pair.ticket(OperationKind::Challenge);
    assert_eq!(pair.client.challenge(&ticket, &cid, "bytes=0-0").await.refusal(), RefusalCode::Corrupt);
    assert_eq!(pair.client.challenge(&ticket, &cid, "bytes=0-0").await.refusal(), RefusalCode::Corrupt);
    pair.node.stop().await.unwrap();
}
