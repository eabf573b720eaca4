//! The fleet of a real gateway, without its nodes: what they say is put into the directory's ear.

use std::time::Duration;

use domicile_compliance::{Locator, Networks};
use domicile_node_protocol::{Announcement, NodeCondition, ProtocolVersions};
use domicile_placement::NodeState;
use domicile_types::{Entry, EvidenceGrade, FleetChange, IdentityKey, NodeId, OperatorId, Party, PartyId, Place};
use ipnet::IpNet;

use super::Databases;
use super::standing::{Failure, Fault, Reason};
use crate::open::Running;
use crate::testing;

fn place(text: &str) -> Place {
    Place::parse(text).unwrap()
}

fn party(number: u8) -> Party {
    Party {
        id: PartyId::parse(&format!("party-{number}")).unwrap(),
        name: format!("Party {number}"),
        incorporated: place("CN"),
        headquartered: place("CN"),
        owners: Vec::new(),
        controlled_by: None,
        certifications: Vec::new(),
    }
}

pub(crate) fn node(number: u8) -> NodeId {
    IdentityKey::from_seed(&[number; 32]).id()
}

/// Configuration of nodes 1 to `count`, all declared in CN.
pub(crate) fn enrolled(count: u8) -> String {
    let one = |number| {
        format!(
            "[[node]]\nid = \"{}\"\noperator = \"operator-{number}\"\ncontroller = \"controller-{number}\"\nplace = \"CN\"\n\
             party = {{ id = \"party-{number}\", name = \"Party\", incorporated = \"CN\", headquartered = \"CN\" }}\n",
            node(number)
        )
    };
    (1..=count).map(one).collect()
}

/// What node `number` says of itself from `address`, now.
pub(crate) fn says(running: &Running, number: u8, address: &str) -> Announcement {
    let issued = running.gateway.clock.now();
    Announcement {
        v: Announcement::VERSION,
        node: node(number),
        operator: OperatorId::parse(&format!("operator-{number}")).unwrap(),
        party: party(number),
        place: place("CN"),
        data_plane: format!("{address}:7400").parse().unwrap(),
        capacity_bytes: 1 << 30,
        free_bytes: 1 << 30,
        condition: NodeCondition::Serving,
        speaks: ProtocolVersions::SPOKEN,
        software: "test".to_owned(),
        issued,
        expires: issued.plus_millis(Announcement::LIFETIME_MILLIS),
    }
}

/// Waits until node `number` is in `state`, by the changes that the directory publishes.
pub(crate) async fn comes_to(running: &Running, number: u8, state: NodeState) {
    let directory = &running.gateway.directory;
    let mut changes = directory.changes();
    let waiting = async {
        while directory.standing(&node(number)).unwrap().judged.state != state {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the standing changes");
}

/// Changes of the fleet in the log about node `number`, without its enrolment, and incidents.
pub(crate) fn logged(running: &Running, number: u8) -> (Vec<(FleetChange, Vec<String>)>, Vec<String>) {
    let (mut changes, mut incidents) = (Vec::new(), Vec::new());
    for index in 0..running.gateway.log.len() {
        match running.gateway.log.read(index).unwrap().entry {
            Entry::Fleet { what, node: Some(it), reasons, .. }
                if it == node(number) && what != FleetChange::Approved =>
            {
                changes.push((what, reasons));
            }
            Entry::Incident { what, node: Some(it), .. } if it == node(number) => incidents.push(what),
            _ => {}
        }
    }
    (changes, incidents)
}

#[actix_web::test]
async fn a_node_that_announces_itself_from_home_is_online_and_logged_so() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), &enrolled(1)).await;
    let directory = &running.gateway.directory;
    assert_eq!(directory.standing(&node(1)).unwrap().state, NodeState::Offline);
    directory.hear(says(&running, 1, "127.0.5.1"));
    comes_to(&running, 1, NodeState::Online).await;
    let standing = directory.standing(&node(1)).unwrap();
    assert_eq!((standing.state, standing.evidence), (NodeState::Online, EvidenceGrade::Observed));
    assert_eq!(directory.roster().get(&node(1)).unwrap().state, NodeState::Online);
    assert_eq!(logged(&running, 1), (vec![(FleetChange::Online, Vec::new())], Vec::new()));
    running.stop().await;
}

#[actix_web::test]
async fn what_fails_at_once_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), &enrolled(1)).await;
    let directory = &running.gateway.directory;
    directory.hear(says(&running, 1, "127.0.5.1"));
    comes_to(&running, 1, NodeState::Online).await;
    (0..50).for_each(|_| directory.note_failure(&node(1)));
    running.gateway.warden.step().await.unwrap();
    assert_eq!(directory.standing(&node(1)).unwrap().judged.state, NodeState::Online);
    running.stop().await;
}

#[actix_web::test]
async fn a_node_that_moves_abroad_is_fenced_at_once_with_an_incident_and_stays_so_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), &enrolled(1)).await;
    let directory = &running.gateway.directory;
    directory.hear(says(&running, 1, "127.0.5.1"));
    comes_to(&running, 1, NodeState::Online).await;
    let mut moved = says(&running, 1, "127.1.5.1");
    moved.issued = moved.issued.plus_millis(1);
    directory.hear(moved);
    assert!(!directory.standing(&node(1)).unwrap().state.takes_shards(), "nothing new, before anything is logged");
    comes_to(&running, 1, NodeState::Quarantined).await;
    let (changes, incidents) = logged(&running, 1);
    assert_eq!(changes[1], (FleetChange::Quarantined, vec!["place-located-elsewhere".to_owned()]));
    assert_eq!(incidents, ["node-quarantined"]);
    let standing = directory.standing(&node(1)).unwrap();
    assert_eq!(standing.evidence, EvidenceGrade::Declared);
    assert!(standing.evidence_lines.iter().any(|line| line.contradicts && line.kind == "location-database"));
    running.stop().await;
    let running = testing::gateway(folder.path(), &enrolled(1)).await;
    assert_eq!(running.gateway.directory.standing(&node(1)).unwrap().state, NodeState::Quarantined);
    running.gateway.directory.hear(says(&running, 1, "127.0.5.1"));
    running.gateway.warden.step().await.unwrap();
    let standing = running.gateway.directory.standing(&node(1)).unwrap();
    assert_eq!(standing.judged.reasons, [Reason::AwaitsRelease].into(), "back home is not yet released");
    running.gateway.warden.order(node(1), FleetChange::Released, None, |it| it.release()).await.unwrap();
    assert_eq!(running.gateway.directory.standing(&node(1)).unwrap().state, NodeState::Online);
    running.stop().await;
}

#[actix_web::test]
async fn other_databases_in_force_fence_who_they_contradict() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), &enrolled(2)).await;
    let gateway = &running.gateway;
    for (number, address) in [(1, "127.0.5.1"), (2, "127.0.6.1")] {
        gateway.directory.hear(says(&running, number, address));
        comes_to(&running, number, NodeState::Online).await;
    }
    let home: IpNet = "127.0.0.0/16".parse().unwrap();
    let abroad: IpNet = "127.0.6.0/24".parse().unwrap();
    let overrides = vec![(home, place("CN")), (abroad, place("HK"))];
    let locator = Locator::open(&gateway.config.location_databases, overrides, gateway.clock.now()).unwrap();
    gateway.locator.replace(Databases { locator, networks: Networks::default() });
    gateway.directory.judge_again();
    comes_to(&running, 2, NodeState::Quarantined).await;
    assert_eq!(gateway.directory.standing(&node(1)).unwrap().state, NodeState::Online);
    running.stop().await;
}

#[actix_web::test]
async fn shards_that_are_not_proved_make_a_node_corrupt_and_its_failures_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), &enrolled(1)).await;
    let gateway = &running.gateway;
    gateway.directory.hear(says(&running, 1, "127.0.5.1"));
    comes_to(&running, 1, NodeState::Online).await;
    for shard in 0..3u8 {
        let failure = Failure {
            time: gateway.clock.now(),
            cid: domicile_types::ShardCid::of(&[shard]),
            data: domicile_types::DataId::from_bytes([1; 16]),
            fault: Fault::Missing,
            log_index: 40 + u64::from(shard),
        };
        gateway.warden.challenged(node(1), Err(failure));
    }
    comes_to(&running, 1, NodeState::Corrupt).await;
    assert_eq!(logged(&running, 1).1, ["node-corrupt"]);
    running.stop().await;
    let running = testing::gateway(folder.path(), &enrolled(1)).await;
    let judged = running.gateway.directory.standing(&node(1)).unwrap().judged;
    assert_eq!(judged.state, NodeState::Corrupt);
    assert_eq!(judged.failures.iter().map(|failure| failure.log_index).collect::<Vec<_>>(), [42, 41, 40]);
    running.stop().await;
}
