//! Four eyes, days to come, and the law as it was: with a gateway on disk.

use domicile_compliance::pack::PackFiles;
use domicile_types::{Entry, ProposalChange, UnixMillis};

use super::{NewProposal, ProposalError};
use crate::catalog::{CatalogError, ProposalFault, ProposalState, ProposalVerdict};
use crate::objects::Gateway;
use crate::objects::rejudge_tests::{AT_HOME, FACTS, NO_PLAINTEXT, caller, case, id, pack, publish};
use crate::testing;

/// An installation with approvers.
const APPROVERS: &str = r#"
token = [
    { role = "officer", person = "mei", token = "t-officer" },
    { role = "approver", person = "mei", token = "t-approver-mei" },
    { role = "approver", person = "jun", token = "t-approver-jun" },
]
"#;

fn proposal(files: PackFiles, effective: Option<UnixMillis>) -> NewProposal {
    NewProposal { pack: id(), files, effective, reason: Some("the rules of 2026".to_owned()) }
}

fn verdict(person: &str, becomes: ProposalState) -> ProposalVerdict {
    ProposalVerdict { person: person.to_owned(), becomes, answer: None }
}

/// What the log tells of proposals.
fn told(gateway: &Gateway) -> Vec<ProposalChange> {
    let mut found = Vec::new();
    let read = gateway.log.entries(0..gateway.log.len(), |stored| {
        if let Entry::Proposal { what, .. } = stored.record().unwrap().entry {
            found.push(what);
        }
        true
    });
    read.unwrap();
    found
}

fn hash_in_force(gateway: &Gateway) -> String {
    gateway.judging.lawbook().pack(&id()).unwrap().version().hash.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_maker_does_not_agree_and_another_person_puts_it_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), APPROVERS).await;
    let gateway = &running.gateway;
    assert!(matches!(gateway.one_person_may_change_packs(), Err(ProposalError::FourEyes)));
    let (before, files) = (hash_in_force(gateway), pack("one", &[]));
    let hash = files.hash();
    let shown = gateway.propose_pack(&caller(gateway), "mei", proposal(files.clone(), None)).await.unwrap();
    let name = shown.proposal.id.clone();
    assert!(shown.diff.unwrap().rules_removed.len() > 1);

    let again = gateway.propose_pack(&caller(gateway), "mei", proposal(files, None)).await;
    assert!(matches!(again, Err(ProposalError::Catalog(CatalogError::Proposal(ProposalFault::Twice { .. })))));
    let own = gateway.decide_proposal(&caller(gateway), &name, verdict("mei", ProposalState::Agreed)).await;
    assert!(matches!(own, Err(ProposalError::Catalog(CatalogError::Proposal(ProposalFault::SamePerson)))), "{own:?}");
    let taken = gateway.decide_proposal(&caller(gateway), &name, verdict("jun", ProposalState::Withdrawn)).await;
    assert!(matches!(taken, Err(ProposalError::Catalog(CatalogError::Proposal(ProposalFault::NotTheMaker)))));
    assert_eq!(hash_in_force(gateway), before);

    let agreed = gateway.decide_proposal(&caller(gateway), &name, verdict("jun", ProposalState::Agreed)).await.unwrap();
    assert_eq!((agreed.state, agreed.checker.as_deref()), (ProposalState::InForce, Some("jun")));
    assert_eq!(hash_in_force(gateway), hash);
    let late = gateway.decide_proposal(&caller(gateway), &name, verdict("jun", ProposalState::Rejected)).await;
    assert!(matches!(late, Err(ProposalError::Catalog(CatalogError::Proposal(ProposalFault::Decided("in-force"))))));
    assert_eq!(told(gateway), [ProposalChange::Proposed, ProposalChange::Agreed, ProposalChange::InForce]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_waits_for_its_day_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), APPROVERS).await;
    let gateway = &running.gateway;
    let files = pack("one", &[]);
    let hash = files.hash();
    let soon = gateway.clock.now().plus_millis(3_000);
    let shown = gateway.propose_pack(&caller(gateway), "mei", proposal(files, Some(soon))).await.unwrap();
    let verdict = verdict("jun", ProposalState::Agreed);
    let agreed = gateway.decide_proposal(&caller(gateway), &shown.proposal.id, verdict).await.unwrap();
    assert_eq!((agreed.state, agreed.effective), (ProposalState::Agreed, soon));
    assert_ne!(hash_in_force(gateway), hash);
    running.stop().await;

    let running = testing::gateway(folder.path(), APPROVERS).await;
    let gateway = &running.gateway;
    let mut law = gateway.judging.changes();
    let new = |law: &std::sync::Arc<super::Law>| law.lawbook.pack(&id()).unwrap().version().hash == hash;
    law.wait_for(new).await.unwrap();
    assert!(gateway.clock.now() >= soon);
    // The row follows the law: asked for until it is so.
    while gateway.proposals().await.unwrap()[0].state != ProposalState::InForce {
        tokio::task::yield_now().await;
    }
    assert_eq!(told(gateway), [ProposalChange::Proposed, ProposalChange::Agreed, ProposalChange::InForce]);
    running.stop().await;

    // And what took force outlives the next restart, though the folder has another version.
    let running = testing::gateway(folder.path(), APPROVERS).await;
    assert_eq!(hash_in_force(&running.gateway), hash);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_hold_is_not_proposed() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), APPROVERS).await;
    let gateway = &running.gateway;
    let mut broken = pack("one", &[]);
    broken.cases = broken.cases.replace("expect = \"allow\"", "expect = \"deny\"");
    let refused = gateway.propose_pack(&caller(gateway), "mei", proposal(broken, None)).await;
    assert!(matches!(refused, Err(ProposalError::Publish(_))), "{refused:?}");
    let far = gateway.clock.now().plus_millis(3 * 366 * 86_400_000);
    let refused = gateway.propose_pack(&caller(gateway), "mei", proposal(pack("one", &[]), Some(far))).await;
    assert!(matches!(refused, Err(ProposalError::Asked(_))), "{refused:?}");
    assert_eq!(gateway.proposals().await.unwrap(), []);
    assert_eq!(told(gateway), []);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_law_of_a_past_moment_judges_as_it_was_known_then() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), "").await;
    let gateway = &running.gateway;
    let at_start = hash_in_force(gateway);
    publish(gateway, pack("one", &[])).await;
    let between = gateway.clock.now();
    // Rows are by the millisecond: the next version comes in a later one.
    while gateway.clock.now() <= between {
        tokio::task::yield_now().await;
    }
    publish(gateway, pack("two", &[NO_PLAINTEXT])).await;
    let known = async |at: UnixMillis| {
        let lawbook = gateway.lawbook_as_known(at).await.unwrap();
        lawbook.map(|lawbook| lawbook.pack(&id()).unwrap().version().hash.clone())
    };
    assert_eq!(known(UnixMillis(1)).await, None);
    assert_eq!(known(between).await, Some(pack("one", &[]).hash()));
    assert_eq!(known(gateway.clock.now()).await, Some(pack("two", &[NO_PLAINTEXT]).hash()));
    let first = gateway.catalog.packs_at(UnixMillis(u64::MAX)).await.unwrap().unwrap();
    assert!(first.packs.iter().any(|version| version.pack == id()));
    // Every version that ever judged is kept, the one of the start among them.
    let kept = |hash: &str| PackFiles::read(&folder.path().join("packs").join(hash)).unwrap().hash() == hash;
    assert!(kept(&at_start) && kept(&pack("one", &[]).hash()));
    running.stop().await;
}

/// The pack, with a place that is as good as home until a day.
fn with_adequacy() -> PackFiles {
    let mut files = pack("adequacy", &[]);
    files.facts = format!("{FACTS}\n[groups.adequate]\nmembers = [{{ places = [\"SG\"], to = \"2031-12-27\" }}]\n");
    files.rules = format!(
        "{AT_HOME}\n@id(\"under-adequacy\")\n@cite(\"Test Act s. 5\")\npermit (principal, action, resource) when {{ context.place.within.adequate }};\n"
    );
    files.cases.push_str(&case("under-adequacy", "requester", "Retrieve", "allow").replace("\"CN\"", "\"SG\""));
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_of_adequacy_that_ended_is_answered_by_the_day_that_is_asked_about() {
    use crate::admin::views::{ExplainRequest, Explained};
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), "").await;
    let gateway = &running.gateway;
    publish(gateway, pack("one", &[])).await;
    let before = gateway.clock.now();
    while gateway.clock.now() <= before {
        tokio::task::yield_now().await;
    }
    publish(gateway, with_adequacy()).await;
    let ask = async |on: &str, as_known: Option<UnixMillis>| {
        let day = time::OffsetDateTime::parse(on, &time::format_description::well_known::Rfc3339).unwrap();
        let request = ExplainRequest {
            region: gateway.config.default_region.clone(),
            operation: domicile_types::OperationKind::GetObject,
            from: domicile_types::Place::parse("SG").unwrap(),
            classes: Vec::new(),
            as_known,
            on: Some(day.into()),
        };
        let explained: Explained = crate::admin::explained(gateway, &request).await.unwrap();
        explained.decision.verdict
    };
    use domicile_types::Verdict::{Allow, Deny};
    assert_eq!(ask("2031-12-27T12:00:00Z", None).await, Allow);
    assert_eq!(ask("2031-12-28T00:00:00Z", None).await, Deny);
    // As it was known before that version, nobody knew of the adequacy, whatever the day.
    assert_eq!(ask("2031-12-27T12:00:00Z", Some(before)).await, Deny);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_decided_again_under_another_version() {
    use super::{PackUpload, PastSupposed};
    let folder = tempfile::tempdir().unwrap();
    let fleet = testing::fleet::start_fleet(folder.path(), &["CN", "CN", "CN", "CN", "CN", "CN"]).await;
    let gateway = &fleet.running.gateway;
    publish(gateway, pack("one", &[])).await;
    let from = gateway.clock.now();
    let bucket = testing::bucket(gateway, "past", "tenant-a", "cn").await;
    use crate::objects::rejudge_tests::{halves, put_request};
    gateway.put_object(&caller(gateway), put_request(&bucket, "k", halves(gateway, None))).await.unwrap();
    let ask = async |files: PackFiles, from: UnixMillis| {
        let packs = [(id(), PackUpload::from(files))].into_iter().collect();
        gateway.past_impact(PastSupposed { from, to: UnixMillis(u64::MAX), packs }).await.unwrap()
    };
    let same = ask(pack("another hash", &[]), from).await;
    assert!(same.decisions > 0);
    assert_eq!((same.same, same.changes), (same.decisions, vec![]));
    let narrower = ask(pack("two", &[NO_PLAINTEXT]), from).await;
    assert_eq!(narrower.decisions, same.decisions);
    assert!(narrower.would_be_denied > 0 && narrower.would_be_allowed == 0, "{narrower:?}");
    let put = narrower.changes.iter().find(|change| change.operation == "put-object").unwrap();
    assert!(put.would_be.contains("cn-data-export/no-plaintext"), "{put:?}");
    let mut entry = None;
    let [example, ..] = put.examples.as_slice() else { panic!("{put:?}") };
    let read = gateway.log.entries(*example..example + 1, |stored| {
        entry = Some(stored.record().unwrap().entry);
        false
    });
    read.unwrap();
    assert!(matches!(entry, Some(Entry::Intent(_))), "{entry:?}");
    assert_eq!(narrower.rules["cn-data-export/no-plaintext"], narrower.would_be_denied);
    let later = ask(pack("two", &[NO_PLAINTEXT]), gateway.clock.now().plus_millis(1)).await;
    assert_eq!((later.entries, later.decisions), (0, 0));
    fleet.stop().await;
}
