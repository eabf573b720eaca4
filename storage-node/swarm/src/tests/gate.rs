//! Who is not on the list gets nothing.

use std::time::Duration;

use super::probe::Probe;
use super::{address, eventually, hear, member, node, nodes};
use crate::EXCHANGE_PROTOCOL;

#[tokio::test]
async fn a_peer_that_is_not_listed_is_told_nothing_and_heard_by_nobody() {
    let gateway = member(1, &[2], &[]);
    gateway.announce(b"for members only".to_vec()).unwrap();
    let mut reader = gateway.announcements();

    let mut stranger = Probe::start(9);
    stranger.dial(&gateway);
    let sent = stranger.send(&gateway, EXCHANGE_PROTOCOL, b"\0\0\0\x05hello").await;
    assert!(sent.is_err(), "a stream to a member that does not list us");
    eventually("refused", || gateway.counts().connections_denied >= 1).await;
    stranger.gone().await;
    assert_eq!(stranger.identified(), None, "the protocols of the member");
    assert_eq!(stranger.received(), Vec::<Vec<u8>>::new());

    // A whole member that is not listed fares no better, though it lists the gateway and its own connect succeeds.
    let unlisted = member(8, &[1], &[&gateway]);
    let mut at_unlisted = unlisted.announcements();
    unlisted.announce(b"let me in".to_vec()).unwrap();
    eventually("refused again", || gateway.counts().connections_denied >= 4).await;

    // A listed one is served all the while.
    let storage = member(2, &[1], &[&gateway]);
    storage.announce(b"from a member".to_vec()).unwrap();
    hear(&mut storage.announcements(), node(1), b"for members only").await;
    assert_eq!(hear(&mut reader, node(2), b"from a member").await, vec![]);
    assert_eq!(gateway.connected(), vec![node(2)]);
    assert_eq!(at_unlisted.try_next(), None);
    assert_eq!(gateway.protocols_of(&node(8)), None);
}

#[tokio::test]
async fn a_member_does_not_dial_or_let_in_who_is_on_the_other_sides_list_only() {
    let gateway = member(1, &[2], &[]);
    let storage = member(2, &[], &[]);
    gateway.set_bootstrap([(node(2), address(&storage))]);
    eventually("the node refused", || storage.counts().connections_denied >= 1).await;
    storage.set_bootstrap([(node(1), address(&gateway))]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(storage.connected(), vec![]);
    storage.set_allowed([node(1)]);
    eventually("both agree", || storage.connected() == vec![node(1)] && gateway.connected() == vec![node(2)]).await;
}

#[tokio::test]
async fn taking_a_peer_off_the_list_disconnects_it_and_forgets_what_it_said() {
    let gateway = member(1, &[2, 3], &[]);
    let (leaves, stays) = (member(2, &[1], &[&gateway]), member(3, &[1], &[&gateway]));
    leaves.announce(b"two".to_vec()).unwrap();
    stays.announce(b"three".to_vec()).unwrap();
    let mut unread = gateway.announcements();
    eventually("both heard", || gateway.counts().heard >= 2 && gateway.connected().len() == 2).await;

    gateway.set_allowed([node(3)]);
    eventually("disconnected", || gateway.connected() == nodes(&[3]) && leaves.connected().is_empty()).await;
    assert_eq!(unread.try_next(), Some((node(3), b"three".to_vec())));
    assert_eq!(unread.try_next(), None, "what it said before is not read any more");
    let mut late = gateway.announcements();
    assert_eq!(late.try_next(), Some((node(3), b"three".to_vec())));
    assert_eq!(late.try_next(), None);
    let denied = gateway.counts().connections_denied;
    eventually("it tries again in vain", || gateway.counts().connections_denied > denied).await;

    gateway.set_allowed(nodes(&[2, 3]));
    hear(&mut gateway.announcements(), node(2), b"two").await;
}

#[tokio::test]
async fn what_a_stranger_says_is_not_heard_when_a_member_passes_it_on() {
    let gateway = member(1, &[2], &[]);
    let between = member(2, &[1, 3], &[&gateway]);
    let stranger = member(3, &[2], &[&between]);
    let mut at_gateway = gateway.announcements();
    eventually("a chain", || between.connected().len() == 2).await;
    let speak = async {
        loop {
            stranger.announce(b"I was never enrolled there".to_vec()).unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::select! {
        () = speak => unreachable!("it speaks for ever"),
        () = eventually("refused by its author", || gateway.counts().strangers >= 1) => {}
    }
    between.announce(b"but I was".to_vec()).unwrap();
    assert_eq!(hear(&mut at_gateway, node(2), b"but I was").await, vec![]);
}
