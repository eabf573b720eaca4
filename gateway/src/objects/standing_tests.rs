//! Documents of place and disputes, from the request to the roster.

use domicile_placement::NodeState;
use domicile_types::{EvidenceGrade, FleetChange, Place, RequestId, TenantId, UnixMillis};

use super::standing::{NewDispute, NewDocument, NewVerdict};
use super::{Caller, Error};
use crate::fleet::standing::{DocumentKind, Reason, Settlement};
use crate::fleet::tests::{comes_to, enrolled, logged, node, says};
use crate::open::Running;
use crate::testing;

const DAY: u64 = 86_400_000;

fn officer(running: &Running) -> Caller {
    let request = RequestId::from_bytes(running.gateway.clock.random());
    Caller::worker(&TenantId::parse("domicile").unwrap(), "officer", request)
}

fn document(kind: DocumentKind, place: &str, expires: UnixMillis) -> NewDocument {
    NewDocument {
        kind,
        place: Place::parse(place).unwrap(),
        sha256: "A5".repeat(32),
        vouched_by: "Inspector Li".to_owned(),
        expires,
    }
}

/// A gateway with one node that the databases put abroad.
async fn with_a_node_abroad(folder: &std::path::Path) -> Running {
    let running = testing::gateway(folder, &enrolled(1)).await;
    running.gateway.directory.hear(says(&running, 1, "127.1.6.1"));
    comes_to(&running, 1, NodeState::Quarantined).await;
    running
}

#[actix_web::test]
async fn a_dispute_that_is_upheld_sets_the_databases_aside_while_its_document_holds() {
    let folder = tempfile::tempdir().unwrap();
    let running = with_a_node_abroad(folder.path()).await;
    let (gateway, officer) = (&running.gateway, officer(&running));
    let expires = gateway.clock.now().plus_millis(DAY);
    let released = gateway.release_node(&officer, &node(1)).await;
    assert!(matches!(released, Err(Error::InvalidArgument(why)) if why.contains("place-located-elsewhere")));

    let statement = NewDispute { statement: "the carrier renumbered".to_owned(), sha256: None };
    let dispute = gateway.open_dispute(&officer, &node(1), statement.clone()).await.unwrap();
    assert_eq!(dispute.contests[0].reason, Reason::PlaceLocatedElsewhere);
    assert!(gateway.open_dispute(&officer, &node(1), statement).await.is_err(), "one at a time");
    let verdict = |document| NewVerdict { upheld: true, answer: "seen on site".to_owned(), document };
    assert!(
        gateway.settle_dispute(&officer, &node(1), &dispute.id, verdict(None)).await.is_err(),
        "no paper, no release"
    );
    let audit = document(DocumentKind::SiteAudit, "CN", expires);
    gateway.settle_dispute(&officer, &node(1), &dispute.id, verdict(Some(audit))).await.unwrap();

    let standing = gateway.directory.standing(&node(1)).unwrap();
    assert_eq!((standing.state, standing.evidence), (NodeState::Online, EvidenceGrade::Observed));
    assert_eq!(standing.disputes[0].settlement, Settlement::Upheld);
    let record = gateway.directory.roster().get(&node(1)).unwrap().clone();
    assert_eq!(record.facts().places, [Place::parse("CN").unwrap()], "the law is not told what was set aside");
    let contract = document(DocumentKind::Contract, "CN", expires);
    gateway.file_document(&officer, &node(1), contract).await.unwrap();
    assert_eq!(gateway.directory.standing(&node(1)).unwrap().evidence, EvidenceGrade::Audited);
    let changes: Vec<FleetChange> = logged(&running, 1).0.into_iter().map(|(what, _)| what).collect();
    for what in [FleetChange::Disputed, FleetChange::DisputeSettled, FleetChange::EvidenceFiled, FleetChange::Released]
    {
        assert!(changes.contains(&what), "{what:?} is logged: {changes:?}");
    }
    running.stop().await;

    // All of it is there after a restart; without its paper, the contradiction counts again.
    let running = testing::gateway(folder.path(), &enrolled(1)).await;
    let gateway = &running.gateway;
    gateway.directory.hear(says(&running, 1, "127.1.6.1"));
    gateway.warden.step().await.unwrap();
    let standing = gateway.directory.standing(&node(1)).unwrap();
    assert_eq!((standing.state, standing.evidence), (NodeState::Online, EvidenceGrade::Audited));
    let audit = standing.documents.iter().find(|it| it.kind == DocumentKind::SiteAudit).unwrap();
    gateway.withdraw_document(&officer, &node(1), &audit.id).await.unwrap();
    assert_eq!(gateway.directory.standing(&node(1)).unwrap().state, NodeState::Quarantined);
    running.stop().await;
}

#[actix_web::test]
async fn a_dispute_that_is_dismissed_changes_nothing_and_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let running = with_a_node_abroad(folder.path()).await;
    let (gateway, officer) = (&running.gateway, officer(&running));
    let statement = NewDispute { statement: "no".to_owned(), sha256: Some("0f".repeat(32)) };
    let dispute = gateway.open_dispute(&officer, &node(1), statement).await.unwrap();
    let verdict = || NewVerdict { upheld: false, answer: "it answers from there".to_owned(), document: None };
    gateway.settle_dispute(&officer, &node(1), &dispute.id, verdict()).await.unwrap();
    assert_eq!(gateway.directory.standing(&node(1)).unwrap().state, NodeState::Quarantined);
    assert!(gateway.settle_dispute(&officer, &node(1), &dispute.id, verdict()).await.is_err(), "settled is settled");
    let standing = gateway.directory.standing(&node(1)).unwrap();
    let notice =
        crate::fleet::notices::notice(gateway.identity, &standing, gateway.clock.now(), gateway.warden.patience());
    assert!(notice.asks.iter().any(|ask| ask.contains("it answers from there")), "{:?}", notice.asks);
    assert_eq!(
        (notice.state.as_str(), notice.reasons.as_slice()),
        ("quarantined", &["place-located-elsewhere".to_owned()][..])
    );
    running.stop().await;
}

#[actix_web::test]
async fn documents_raise_the_grade_until_they_lapse_and_one_from_elsewhere_contradicts() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), &enrolled(1)).await;
    let (gateway, officer) = (&running.gateway, officer(&running));
    gateway.directory.hear(says(&running, 1, "127.0.6.1"));
    comes_to(&running, 1, NodeState::Online).await;
    let expires = gateway.clock.now().plus_millis(500);
    let attested = document(DocumentKind::HostAttestation, "CN", expires);
    gateway.file_document(&officer, &node(1), attested).await.unwrap();
    while gateway.clock.now() < expires {
        tokio::task::yield_now().await;
    }
    gateway.warden.step().await.unwrap();
    let standing = gateway.directory.standing(&node(1)).unwrap();
    assert_eq!(standing.evidence, EvidenceGrade::Observed);
    assert!(standing.documents[0].ended.is_some());
    let changes = logged(&running, 1).0;
    assert!(changes.contains(&(FleetChange::EvidenceEnded, vec!["attestation".to_owned(), "lapsed".to_owned()])));

    let later = gateway.clock.now().plus_millis(DAY);
    for (bad, why) in [
        (document(DocumentKind::Contract, "CN", UnixMillis(5)), "in the past"),
        (document(DocumentKind::Contract, "CN", later.plus_millis(900 * DAY)), "for ever"),
        (document(DocumentKind::Contract, "unknown", later), "nowhere"),
        (NewDocument { sha256: "xyz".to_owned(), ..document(DocumentKind::Contract, "CN", later) }, "no hash"),
        (NewDocument { vouched_by: String::new(), ..document(DocumentKind::Contract, "CN", later) }, "nobody"),
    ] {
        assert!(gateway.file_document(&officer, &node(1), bad).await.is_err(), "{why}");
    }
    gateway.file_document(&officer, &node(1), document(DocumentKind::SiteAudit, "HK", later)).await.unwrap();
    let standing = gateway.directory.standing(&node(1)).unwrap();
    assert_eq!(standing.judged.reasons, [Reason::PlaceAttestedElsewhere].into());
    running.stop().await;
}

#[actix_web::test]
async fn an_officer_fences_and_releases() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), &enrolled(1)).await;
    let (gateway, officer) = (&running.gateway, officer(&running));
    gateway.directory.hear(says(&running, 1, "127.0.6.1"));
    comes_to(&running, 1, NodeState::Online).await;
    gateway.fence_node(&officer, &node(1)).await.unwrap();
    let standing = gateway.directory.standing(&node(1)).unwrap();
    assert_eq!((standing.state, standing.judged.reasons), (NodeState::Quarantined, [Reason::FencedByOfficer].into()));
    gateway.release_node(&officer, &node(1)).await.unwrap();
    assert_eq!(gateway.directory.standing(&node(1)).unwrap().state, NodeState::Online);
    assert!(gateway.fence_node(&officer, &node(9)).await.is_err(), "nobody of that name");
    running.stop().await;
}
