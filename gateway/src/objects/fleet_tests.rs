//! Joining and changing, on a gateway without nodes.

use domicile_types::{
    Entry, FleetChange, IdentityKey, NodeId, OperatorId, Party, PartyId, Place, RequestId, TenantId, UnixMillis,
};

use super::{Caller, Gateway, JoinRefusal, NewInvitation, NodeChange};
use crate::fleet::entities::{Confidence, Day, Entity, Source};
use crate::fleet::joining::{Application, Invitation, JoinError};
use crate::testing;

fn admin() -> Caller {
    Caller::worker(&TenantId::parse("domicile").unwrap(), "token/admin", RequestId::from_bytes([5; 16]))
}

async fn invite(gateway: &Gateway, operator: &str, millis: u64) -> Invitation {
    let new = NewInvitation {
        operator: OperatorId::parse(operator).unwrap(),
        millis,
        join: "http://127.0.0.1:9001/".to_owned(),
        swarm: Some("127.0.0.1:9002".parse().unwrap()),
    };
    let made = gateway.invite(&admin(), new).await.unwrap();
    Invitation::parse(&made.text()).unwrap()
}

fn party(id: &str, owners: &[(&str, u16)]) -> Party {
    let place = Place::parse("CN").unwrap();
    let owner = |(owner, share): &(&str, u16)| domicile_types::Ownership {
        owner: PartyId::parse(owner).unwrap(),
        place,
        share_basis_points: *share,
    };
    Party {
        id: PartyId::parse(id).unwrap(),
        name: format!("{id} Ltd"),
        incorporated: place,
        headquartered: place,
        owners: owners.iter().map(owner).collect(),
        controlled_by: None,
        certifications: Vec::new(),
    }
}

fn application(parties: Vec<Party>) -> Application {
    Application {
        party: parties[0].id.clone(),
        as_of: Day::parse("2026-01-31").unwrap(),
        parties,
        contact: Some("ops@example.com".to_owned()),
        place: Place::parse("CN").unwrap(),
        site: Some("Hall 3".to_owned()),
        swarm: Some("127.0.0.1:7401".parse().unwrap()),
        capacity_bytes: 1 << 40,
    }
}

/// Asks to join; what the gateway says then.
async fn ask(
    gateway: &Gateway,
    invitation: &Invitation,
    seed: u8,
    application: Application,
) -> Result<String, JoinRefusal> {
    let key = IdentityKey::from_seed(&[seed; 32]);
    let sealed = invitation.request(&key, application, gateway.clock.now());
    let answer = gateway.take_join(&serde_json::to_vec(&sealed).unwrap()).await?;
    Ok(invitation.open_answer(&answer, &key.id()).unwrap().state)
}

fn node(seed: u8) -> NodeId {
    IdentityKey::from_seed(&[seed; 32]).id()
}

/// What the log says of the fleet, in order.
fn told(gateway: &Gateway) -> Vec<(FleetChange, Option<NodeId>)> {
    let mut told = Vec::new();
    let entries = gateway.log.entries(0..gateway.log.len(), |stored| {
        if let Entry::Fleet { what, node, .. } = stored.record().unwrap().entry {
            told.push((what, node));
        }
        true
    });
    entries.unwrap();
    told
}

#[tokio::test]
async fn an_operator_is_invited_joins_is_approved_and_is_on_the_roster_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), "").await;
    let gateway = &running.gateway;
    let changes = gateway.directory.enrolments();
    let invitation = invite(gateway, "storage-sz", 60_000).await;
    let asked = || ask(gateway, &invitation, 1, application(vec![party("storage-sz", &[("holding", 6_000)])]));
    assert_eq!(asked().await.unwrap(), "waiting");
    assert_eq!(asked().await.unwrap(), "waiting", "the same request again");
    assert!(gateway.directory.enrolled().is_empty(), "nobody approved it");
    gateway.approve_node(&admin(), &node(1)).await.unwrap();
    assert_eq!(asked().await.unwrap(), "enrolled");
    let enrolled = gateway.directory.enrolled();
    let found = &enrolled[&node(1)];
    assert_eq!((found.operator.as_str(), found.controller.as_str()), ("storage-sz", "holding"));
    assert_eq!(found.party.owners[0].share_basis_points, 6_000);
    assert!(changes.has_changed().unwrap());
    assert!(gateway.approve_node(&admin(), &node(1)).await.is_err(), "it is approved already");
    use FleetChange::{Approved, Invited, Joined};
    assert_eq!(told(gateway), [(Invited, None), (Joined, Some(node(1))), (Approved, Some(node(1)))]);
    let why = gateway.remove_node(&admin(), &node(1)).await.unwrap_err().to_string();
    assert!(why.contains("drain it first"), "{why}");
    assert!(gateway.directory.enrolled().contains_key(&node(1)));
    running.stop().await;
}

#[tokio::test]
async fn used_withdrawn_expired_and_forged_invitations_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), "").await;
    let gateway = &running.gateway;
    let one = || application(vec![party("storage-sz", &[])]);
    let used = invite(gateway, "storage-sz", 60_000).await;
    assert_eq!(ask(gateway, &used, 1, one()).await.unwrap(), "waiting");
    assert!(matches!(ask(gateway, &used, 2, one()).await, Err(JoinRefusal::Used)));
    let withdrawn = invite(gateway, "storage-sz", 60_000).await;
    gateway.withdraw_invitation(&admin(), &withdrawn.claims.id).await.unwrap();
    assert!(matches!(ask(gateway, &withdrawn, 2, one()).await, Err(JoinRefusal::Withdrawn)));
    let forged = Invitation::new(used.claims.clone(), &[0; 32]);
    assert!(matches!(ask(gateway, &forged, 2, one()).await, Err(JoinRefusal::Request(JoinError::Forged))));
    let mut claims = used.claims.clone();
    claims.expires = UnixMillis(1);
    let ended = Invitation::new(claims, &gateway.accounts.seals().invitations());
    assert!(matches!(ask(gateway, &ended, 2, one()).await, Err(JoinRefusal::Request(JoinError::Expired { .. }))));
    assert!(gateway.invite(&admin(), NewInvitation { millis: 31 * 86_400_000, ..new("x") }).await.is_err());
    running.stop().await;
}

fn new(operator: &str) -> NewInvitation {
    NewInvitation {
        operator: OperatorId::parse(operator).unwrap(),
        millis: 1_000,
        join: "http://127.0.0.1:9001".to_owned(),
        swarm: Some("127.0.0.1:9002".parse().unwrap()),
    }
}

#[tokio::test]
async fn an_identity_joins_once_and_a_record_that_contradicts_itself_or_another_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), "").await;
    let gateway = &running.gateway;
    let first = invite(gateway, "storage-sz", 60_000).await;
    let twice = application(vec![party("storage-sz", &[("a", 6_000), ("b", 6_000)])]);
    let refused = ask(gateway, &first, 1, twice).await;
    assert!(matches!(&refused, Err(JoinRefusal::Record(why)) if why.contains("12000")), "{refused:?}");
    let good = application(vec![party("storage-sz", &[("a", 6_000)])]);
    assert_eq!(ask(gateway, &first, 1, good.clone()).await.unwrap(), "waiting", "the invitation was not used up");
    let second = invite(gateway, "other", 60_000).await;
    let clash = ask(gateway, &second, 1, application(vec![party("other", &[])])).await;
    assert!(matches!(clash, Err(JoinRefusal::IdentityClash)), "it waits under another invitation");
    gateway.approve_node(&admin(), &node(1)).await.unwrap();
    let clash = ask(gateway, &second, 1, application(vec![party("other", &[])])).await;
    assert!(matches!(clash, Err(JoinRefusal::IdentityClash)), "it is on the roster");
    let differs = application(vec![party("storage-sz", &[("a", 7_000)])]);
    assert!(matches!(ask(gateway, &second, 2, differs).await, Err(JoinRefusal::Record(_))));
    assert_eq!(ask(gateway, &second, 2, good).await.unwrap(), "waiting", "two operators may share a party on record");
    gateway.reject_node(&admin(), &node(2), "no such hall").await.unwrap();
    assert!(gateway.approve_node(&admin(), &node(2)).await.is_err());
    running.stop().await;
}

#[tokio::test]
async fn a_new_owner_moves_control_of_every_node_below_at_once_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), "").await;
    let gateway = &running.gateway;
    for (seed, operator) in [(1, "one"), (2, "two")] {
        let invitation = invite(gateway, operator, 60_000).await;
        ask(gateway, &invitation, seed, application(vec![party(operator, &[])])).await.unwrap();
        gateway.approve_node(&admin(), &node(seed)).await.unwrap();
    }
    let controllers = |gateway: &Gateway| -> Vec<String> {
        [1, 2].map(|seed| gateway.directory.enrolled()[&node(seed)].controller.to_string()).to_vec()
    };
    assert_eq!(controllers(gateway), ["one", "two"]);
    let bought = |name: &str| {
        let from = Source {
            source: "register".to_owned(),
            as_of: Day::parse("2026-06-30").unwrap(),
            confidence: Confidence::Verified,
        };
        let owners = vec![crate::fleet::entities::Owner {
            id: PartyId::parse("parent").unwrap(),
            place: Place::parse("CN").unwrap(),
            share_basis_points: 5_100,
            from: from.clone(),
        }];
        let place = Place::parse("CN").unwrap();
        Entity {
            id: PartyId::parse(name).unwrap(),
            name: format!("{name} Ltd"),
            incorporated: place,
            headquartered: place,
            certifications: Vec::new(),
            owners,
            controlled_by: None,
            from,
        }
    };
    for name in ["one", "two"] {
        let reached = gateway.record_entity(&admin(), bought(name)).await.unwrap();
        assert_eq!(reached.iter().map(OperatorId::as_str).collect::<Vec<_>>(), [name]);
    }
    assert_eq!(controllers(gateway), ["parent", "parent"], "two operators with one parent count once");
    let change = NodeChange { place: Some(Place::parse("HK").unwrap()), ..NodeChange::default() };
    gateway.change_node(&admin(), &node(2), change).await.unwrap();
    running.stop().await;
    let again = testing::gateway(folder.path(), "").await;
    assert_eq!(controllers(&again.gateway), ["parent", "parent"]);
    assert_eq!(again.gateway.directory.enrolled()[&node(2)].place, Place::parse("HK").unwrap());
    again.stop().await;
}
