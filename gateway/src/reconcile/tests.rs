//! What agrees, what does not, and what is no fault.

use std::collections::BTreeSet;

use domicile_node_protocol::{KeptTicket, LeafHash};
use domicile_types::{
    Budget, Commitment, DataId, Decision, Entry, Intent, NodeId, OperationKind, Outcome, OutcomeStatus, Place, Record,
    RequestId, UnixMillis, Verdict,
};

use super::compare::{Fault, Window};

fn leaf(index: u64) -> LeafHash {
    LeafHash::from_digest([u8::try_from(index).unwrap(); 32])
}

fn record(request: u8, entry: Entry) -> Record {
    let gateway = NodeId::from_public_key([9; 32]);
    Record { v: Record::VERSION, time: UnixMillis(1), gateway, request: RequestId::from_bytes([request; 16]), entry }
}

fn intent(node_bytes_max: u64, data: Option<DataId>) -> Entry {
    let decision = Decision {
        verdict: Verdict::Allow,
        export: false,
        rules: Vec::new(),
        obligations: Vec::new(),
        approvals: Vec::new(),
        packs: Vec::new(),
        inputs: String::new(),
        warnings: Vec::new(),
    };
    Entry::Intent(Intent {
        operation: OperationKind::GetObject,
        actor: Commitment::from_digest([1; 32]),
        address: Commitment::from_digest([2; 32]),
        bucket: None,
        key: None,
        requester_places: Vec::new(),
        gateway_place: Place::parse("CN").unwrap(),
        decision,
        data,
        range: None,
        node_places: Vec::new(),
        shards: Vec::new(),
        budget: Budget { node_bytes_max },
        expires: UnixMillis(2),
        epoch: 0,
        worker: None,
        charge: None,
    })
}

fn moved(intent: u64, bytes: u64) -> Entry {
    Entry::Outcome(Outcome { intent, status: OutcomeStatus::Completed, bytes, http_status: 200 })
}

fn kept(index: u64, leaf: LeafHash, spent_bytes: u64) -> KeptTicket {
    KeptTicket { index, leaf, spent_bytes, first_used: UnixMillis(1) }
}

/// 0: an intent for 100 bytes a node, 1: its outcome, 2: an intent that opens no shard.
fn window() -> Window {
    let mut window = Window::default();
    let data = Some(DataId::from_bytes([3; 16]));
    for (index, request, entry) in [(0, 1, intent(100, data)), (1, 1, moved(0, 50)), (2, 2, intent(100, None))] {
        window.add(index, leaf(index), &record(request, entry));
    }
    window
}

#[test]
fn a_ticket_agrees_with_its_entry_or_it_is_said_how_it_does_not() {
    let window = window();
    let faults = [
        (kept(0, leaf(0), 100), None),
        (kept(0, leaf(0), 101), Some(Fault::Overspent)),
        (kept(0, leaf(7), 1), Some(Fault::OtherEntry)),
        (kept(1, leaf(1), 1), Some(Fault::NoTicket)),
        (kept(2, leaf(2), 1), Some(Fault::NoTicket)),
        (kept(3, leaf(3), 1), Some(Fault::NoEntry)),
    ];
    for (ticket, fault) in faults {
        assert_eq!(window.examine(&ticket, 3), fault, "{ticket:?}");
    }
    // Logged, and not in this window: another round's.
    assert_eq!(window.examine(&kept(3, leaf(3), 1), 4), None);
}

#[test]
fn bytes_that_moved_without_a_witness_are_found_and_one_ticket_stands_for_a_request() {
    assert_eq!(window().unseen(&BTreeSet::new(), UnixMillis(0)), [0]);
    assert_eq!(window().unseen(&BTreeSet::from([0]), UnixMillis(0)), [] as [u64; 0]);
    // So long ago that nodes may have forgotten.
    assert_eq!(window().unseen(&BTreeSet::new(), UnixMillis(2)), [] as [u64; 0]);
    // The request read around a node that failed: the ticket is of its second intent.
    let mut window = window();
    window.add(3, leaf(3), &record(1, intent(100, Some(DataId::from_bytes([3; 16])))));
    assert_eq!(window.unseen(&BTreeSet::from([3]), UnixMillis(0)), [] as [u64; 0]);
    // Nothing was to move under it.
    let mut still = Window::default();
    still.add(0, leaf(0), &record(1, intent(0, Some(DataId::from_bytes([3; 16])))));
    still.add(1, leaf(1), &record(1, moved(0, 50)));
    assert_eq!(still.unseen(&BTreeSet::new(), UnixMillis(0)), [] as [u64; 0]);
}
