//! The operator's page in Chromium, as wide as a phone: what it says can be read, and it asks nobody for anything.

#[path = "data_plane/fixture.rs"]
#[allow(dead_code, reason = "shared with the tests of the data plane")]
mod fixture;

use std::path::Path;
use std::process::Command;

use domicile_node_protocol::{AuditFailure, EvidenceLine, NOTICES_PATH, Notice};
use domicile_storage_node::{NodeConfig, start, system_clock};
use domicile_types::{EvidenceGrade, OperationKind, Place, UnixMillis};
use fixture::{TestGateway, bytes, data, node_config, wanted};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_reads_the_page_on_a_phone() {
    let Some(python) = std::env::var_os("DOMICILE_PYTHON") else {
        panic!("DOMICILE_PYTHON is not set: run `cargo xtask test`, which installs what this needs");
    };
    let gateway = TestGateway::new(1, "domicile.example/cn");
    let directory = tempfile::tempdir().unwrap();
    let page = Some("127.0.0.1:0".parse().unwrap());
    let config = NodeConfig { page, ..node_config(directory.path(), &[&gateway]) };
    let node = start(config, system_clock()).await.unwrap();
    let client = gateway.client(node.id(), node.address());
    let put = gateway.ticket(&wanted(OperationKind::PutObject));
    assert_eq!(client.put(&put, data(1), &bytes(1, 1_000_000)).await.status, 201);
    let notice = Notice {
        gateway: gateway.key.id(),
        time: system_clock()(),
        state: "quarantined".to_owned(),
        reasons: vec!["place-contradicted".to_owned()],
        place: Place::parse("CN").unwrap(),
        evidence: EvidenceGrade::Declared,
        evidence_lines: vec![EvidenceLine {
            kind: "location-database".to_owned(),
            says: "puts 198.51.100.23 in SG".to_owned(),
            contradicts: true,
            expires: Some(UnixMillis(1_900_000_000_000)),
        }],
        score_basis_points: 9_500,
        failures: vec![AuditFailure {
            time: system_clock()(),
            shard: "bafkr4ih5jvz4f3w2mfs5yrrwqk6l5k2pmrnzyecb6uj5eymhaoqf5dvmi4".to_owned(),
            reason: "timeout".to_owned(),
            log_index: 4_711,
        }],
        asks: vec!["dispute the quarantine, or move the node back".to_owned()],
    };
    let body = serde_json::to_vec(&notice).unwrap();
    let sent = client.http.post(format!("{}{NOTICES_PATH}", client.base)).body(body);
    assert_eq!(client.send(sent).await.status, 204);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operator_page.py");
    let url = format!("http://{}/", node.page().unwrap());
    let run = move || Command::new(python).arg(script).arg(url).output().unwrap();
    let done = tokio::task::spawn_blocking(run).await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}");
    node.stop().await.unwrap();
}
