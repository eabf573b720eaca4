//! The fleet as a repair sees it: every enrolled node, also one that was not heard of since this process started.

use std::net::{IpAddr, Ipv4Addr};

use domicile_placement::{NodeRecord, Roster};

use crate::objects::Gateway;

/// All enrolled nodes. Placement's own roster leaves those out that it has no address of; to a repair they would look as if
/// they had been struck off, and their shards lost.
pub(super) fn everyone(gateway: &Gateway) -> Roster {
    let records = gateway.directory.standings().into_iter().map(|standing| {
        let announced = standing.announced.as_ref();
        NodeRecord {
            node: standing.enrolled.id,
            operator: standing.enrolled.operator,
            controller: standing.enrolled.controller,
            party: standing.enrolled.party,
            place: standing.enrolled.place,
            evidence: standing.evidence,
            address: announced.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |announced| announced.data_plane.ip()),
            capacity_bytes: announced.map_or(0, |announced| announced.capacity_bytes),
            free_bytes: announced.map_or(0, |announced| announced.free_bytes),
            located: standing.located,
            state: standing.state,
        }
    });
    Roster::new(records).unwrap_or_default()
}
