//! Accounts of a month, and what gateways say of the node, as the node keeps and shows both.

use domicile_node_protocol::{
    AuditFailure, EvidenceLine, NOTICES_PATH, Notice, Receipt, RefusalCode, STATEMENTS_PATH, SignedStatement, Statement,
};
use domicile_storage_node::accounting::{Account, Month, Tally};
use domicile_storage_node::{LocalView, NodeConfig, start, system_clock};
use domicile_types::{EvidenceGrade, NodeId, OperationKind, OperatorId, Place};

use crate::fixture::{NodeClient, Pair, TestGateway, bytes, data};

/// A month's signed account, verified.
async fn statement(client: &NodeClient, month: Month) -> Statement {
    let answer = client.send(client.http.get(format!("{}{STATEMENTS_PATH}{month}", client.base))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    SignedStatement::from_wire(std::str::from_utf8(&answer.body).unwrap()).verify().unwrap()
}

pub(crate) fn notice(gateway: NodeId) -> Notice {
    Notice {
        gateway,
        time: system_clock()(),
        state: "suspect".to_owned(),
        reasons: vec!["challenge-missed".to_owned()],
        place: Place::parse("CN").unwrap(),
        evidence: EvidenceGrade::Measured,
        evidence_lines: vec![EvidenceLine {
            kind: "location-database".to_owned(),
            says: "two databases put 203.0.113.7 in CN".to_owned(),
            contradicts: false,
            expires: Some(system_clock()().plus_millis(86_400_000)),
        }],
        score_basis_points: 9_870,
        failures: vec![AuditFailure {
            time: system_clock()(),
            shard: "bafkr4ie".to_owned(),
            reason: "timeout".to_owned(),
            log_index: 4711,
        }],
        asks: vec!["renew the attestation of the site by 2026-12-31 <b>soon</b>".to_owned()],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_come_to_the_same_account_from_the_same_receipts() {
    let pair = Pair::start().await;
    let client = &pair.client;
    let month = Month::of(system_clock()());
    let mut receipts: Vec<Receipt> = Vec::new();
    let put = pair.ticket(OperationKind::PutObject);
    for seed in 0..4 {
        receipts.push(client.put(&put, data(1), &bytes(seed, 300_000)).await.receipt());
    }
    let again = client.put(&put, data(1), &bytes(0, 300_000)).await;
    assert_eq!(again.status, 201, "acknowledged again, and not accounted for twice");
    let read = pair.ticket(OperationKind::GetObject);
    receipts.push(client.get_range(&read, &receipts[0].cid, "bytes=0-16399").await.receipt());
    let challenge = pair.ticket(OperationKind::Challenge);
    receipts.push(client.challenge(&challenge, &receipts[1].cid, "bytes=0-1023").await.receipt());
    let delete = pair.ticket(OperationKind::DeleteObject);
    receipts.push(client.delete(&delete, &receipts[3].cid).await.receipt());
    let theirs = statement(client, month).await;
    let mut tally = Tally::default();
    receipts.iter().for_each(|receipt| tally.note(month, receipt));
    let account = Account {
        node: pair.node.id(),
        operator: OperatorId::parse("operator-1").unwrap(),
        gateway: pair.gateway.key.id(),
        month,
    };
    assert_eq!(theirs, tally.statement(&account, theirs.until));
    assert_eq!((theirs.held_bytes, theirs.served_bytes, theirs.proofs), (900_000, 16_400, 1));

    let pair = pair.restart(|_, _| {}).await;
    let after = statement(&pair.client, month).await;
    assert_eq!((after.held_bytes, after.stored_bytes, after.served_bytes), (900_000, 1_200_000, 16_400));
    assert!(after.byte_hours >= theirs.byte_hours);
    for odd in [month.next().to_string(), "2026-13".to_owned()] {
        let answer =
            pair.client.send(pair.client.http.get(format!("{}{STATEMENTS_PATH}{odd}", pair.client.base))).await;
        assert_eq!(answer.refusal(), RefusalCode::BadRequest, "{odd}");
    }
    pair.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_index_still_knows_what_is_held_for_whom() {
    let pair = Pair::start().await;
    pair.store(&bytes(1, 500_000)).await;
    let month = Month::of(system_clock()());
    let before = statement(&pair.client, month).await;
    let pair = pair
        .restart(|directory, config| {
            std::fs::remove_dir_all(directory.join("index")).unwrap();
            config.rebuild_index = true;
        })
        .await;
    let after = statement(&pair.client, month).await;
    assert_eq!((after.held_bytes, after.stored_bytes), (before.held_bytes, before.stored_bytes));
    pair.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_says_is_shown_on_loopback_as_page_json_and_metrics() {
    let gateway = TestGateway::new(1, "domicile.example/cn");
    let directory = tempfile::tempdir().unwrap();
    let config = NodeConfig {
        page: Some("127.0.0.1:0".parse().unwrap()),
        ..crate::fixture::node_config(directory.path(), &[&gateway])
    };
    let node = start(config, system_clock()).await.unwrap();
    let client = gateway.client(node.id(), node.address());
    let said = notice(gateway.key.id());
    let send = |notice: &Notice| {
        let request = client.http.post(format!("{}{NOTICES_PATH}", client.base));
        client.send(request.header("content-type", "application/json").body(serde_json::to_vec(notice).unwrap()))
    };
    assert_eq!(send(&said).await.status, 204);
    let base = format!("http://{}", node.page().unwrap());
    let plain = &client.http;
    let get = |path: &str| plain.get(format!("{base}{path}")).send();
    let page = get("/").await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let html = page.text().await.unwrap();
    for told in ["suspect", "challenge-missed", "98.70%", "entry 4711", "two databases put", "&lt;b&gt;soon"] {
        assert!(html.contains(told), "{told} is not on the page");
    }
    assert!(!html.contains("<script") && !html.contains("<b>soon"));
    let view: LocalView = serde_json::from_str(&get("/status.json").await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(view.gateways[0].notice.as_ref(), Some(&said));
    let metrics = get("/metrics").await.unwrap().text().await.unwrap();
    for line in ["domicile_node_capacity_bytes 1073741824", "domicile_node_in_good_standing{gateway=", "# EOF"] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let rebound = plain.get(&base).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status().as_u16(), 403);
    node.stop().await.unwrap();
}
