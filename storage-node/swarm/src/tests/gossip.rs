//! Announcements between members: directly to who joins, by gossip to all, forwarded, bounded.

use std::time::Duration;

use super::{eventually, hear, member, member_with, node};
use crate::config::Limits;
use crate::{ANNOUNCEMENT_BYTES_MAX, AnnounceError};

#[tokio::test]
async fn a_joiner_is_told_at_once_and_hears_later_announcements_by_gossip() {
    let gateway = member(1, &[2], &[]);
    gateway.announce(b"gateway, first".to_vec()).unwrap();
    let mut at_gateway = gateway.announcements();
    let storage = member(2, &[1], &[&gateway]);
    let mut at_storage = storage.announcements();
    storage.announce(b"node, first".to_vec()).unwrap();

    hear(&mut at_storage, node(1), b"gateway, first").await;
    hear(&mut at_gateway, node(2), b"node, first").await;
    for round in 0..5u8 {
        gateway.announce(vec![b'g', round]).unwrap();
        storage.announce(vec![b's', round]).unwrap();
        hear(&mut at_storage, node(1), &[b'g', round]).await;
        hear(&mut at_gateway, node(2), &[b's', round]).await;
    }
    assert_eq!(gateway.connected(), vec![node(2)]);
    assert_eq!(storage.connected(), vec![node(1)]);
    assert_eq!(gateway.counts().refused, 0);
}

#[tokio::test]
async fn a_reader_that_comes_late_starts_with_what_each_member_said_last() {
    let gateway = member(1, &[2, 3], &[]);
    let (first, second) = (member(2, &[1], &[&gateway]), member(3, &[1], &[&gateway]));
    first.announce(b"two".to_vec()).unwrap();
    second.announce(b"three".to_vec()).unwrap();
    eventually("both heard", || gateway.counts().heard >= 2).await;
    hear(&mut gateway.announcements(), node(2), b"two").await;
    hear(&mut gateway.announcements(), node(3), b"three").await;
}

#[tokio::test]
async fn an_announcement_reaches_members_that_are_not_connected_to_its_author() {
    let gateway = member(1, &[2, 3], &[]);
    let author = member(2, &[1, 3], &[&gateway]);
    let reader = member(3, &[1, 2], &[&gateway]);
    let mut at_reader = reader.announcements();
    eventually("both connected", || gateway.connected().len() == 2).await;
    // Gossip takes a moment to know who is subscribed; what is said before goes to the neighbours only.
    for round in 0..u8::MAX {
        author.announce(vec![b'a', round]).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        if let Some((source, _)) = at_reader.try_next() {
            assert_eq!(source, node(2));
            assert_eq!(reader.connected(), vec![node(1)]);
            return;
        }
    }
    panic!("the announcement never arrived");
}

#[tokio::test]
async fn a_gateway_hears_twenty_nodes_that_start_at_the_same_moment() {
    let seeds: Vec<u8> = (10..30).collect();
    let gateway = member(1, &seeds, &[]);
    let members: Vec<_> = seeds.iter().map(|seed| member(*seed, &[1], &[&gateway])).collect();
    for (seed, storage) in seeds.iter().zip(&members) {
        storage.announce(vec![*seed]).unwrap();
    }
    let mut reader = gateway.announcements();
    let mut missing: std::collections::BTreeSet<_> = seeds.iter().map(|seed| (node(*seed), vec![*seed])).collect();
    let listen = async {
        while !missing.is_empty() {
            let said = reader.next().await.unwrap();
            missing.remove(&said);
        }
    };
    let all = tokio::time::timeout(super::PATIENCE, listen).await;
    assert!(all.is_ok(), "not heard: {missing:?}");
    assert_eq!(gateway.connected().len(), 20);
}

#[tokio::test]
async fn an_announcement_that_is_too_large_is_refused_by_its_author_and_by_its_readers() {
    let reader = member(1, &[2, 3], &[]);
    let mut at_reader = reader.announcements();
    let too_large = ANNOUNCEMENT_BYTES_MAX + 1;
    assert_eq!(
        reader.announce(vec![0; too_large]),
        Err(AnnounceError::TooLarge { bytes: too_large, bytes_max: ANNOUNCEMENT_BYTES_MAX })
    );
    let lax = Limits { announcement_bytes_max: 1 << 20, ..Limits::default() };
    let rogue = member_with(2, &[1], &[&reader], lax);
    // Handed over when it joins; then also by gossip, just too large and far too large for the codec.
    rogue.announce(vec![1; too_large]).unwrap();
    eventually("the exchange refused", || reader.counts().refused >= 1).await;
    for size in [ANNOUNCEMENT_BYTES_MAX + 100, 100_000, 1 << 19] {
        let refused = reader.counts().refused;
        rogue.announce(vec![2; size]).unwrap();
        eventually("refused again", || reader.counts().refused > refused).await;
    }
    // The largest one allowed still comes through, from the rogue too, and nothing too large did before it.
    let (by_rogue, by_other) = (vec![3; ANNOUNCEMENT_BYTES_MAX], vec![4; ANNOUNCEMENT_BYTES_MAX]);
    rogue.announce(by_rogue.clone()).unwrap();
    assert_eq!(hear(&mut at_reader, node(2), &by_rogue).await, vec![]);
    let other = member(3, &[1], &[&reader]);
    other.announce(by_other.clone()).unwrap();
    assert_eq!(hear(&mut at_reader, node(3), &by_other).await, vec![]);
}

#[tokio::test]
async fn gossip_that_is_just_too_large_is_refused_though_the_codec_lets_it_through() {
    let lax = Limits { announcement_bytes_max: 1 << 20, ..Limits::default() };
    let rogue = member_with(2, &[1], &[], lax);
    // The reader seeks the rogue and not the other way round: the rogue hands nothing over once gossip runs.
    let reader = member(1, &[2], &[&rogue]);
    let mut at_reader = reader.announcements();
    eventually("connected", || rogue.connected() == vec![node(1)]).await;
    for round in 0..3u8 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let refused = reader.counts().refused;
        rogue.announce(vec![round; ANNOUNCEMENT_BYTES_MAX + 100]).unwrap();
        eventually("refused", || reader.counts().refused > refused).await;
    }
    rogue.announce(b"small".to_vec()).unwrap();
    assert_eq!(hear(&mut at_reader, node(2), b"small").await, vec![]);
}

#[tokio::test]
async fn a_reader_that_does_not_read_keeps_the_newest_and_the_loss_is_counted() {
    let gateway = member(1, &[2], &[]);
    let mut reader = gateway.announcements();
    let storage = member(2, &[1], &[&gateway]);
    eventually("connected", || gateway.connected() == vec![node(2)]).await;
    for round in 0..20u8 {
        let heard = gateway.counts().heard;
        storage.announce(vec![round]).unwrap();
        eventually("heard", || gateway.counts().heard > heard).await;
    }
    assert!(gateway.counts().dropped >= 16, "{:?}", gateway.counts());
    let mut kept = Vec::new();
    while let Some((_, said)) = reader.try_next() {
        kept.push(said);
    }
    assert!(kept.len() <= crate::ANNOUNCEMENTS_PENDING_PER_SOURCE_MAX);
    assert_eq!(kept.last(), Some(&vec![19]));
}
