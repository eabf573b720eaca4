//! Real nodes in this process, for tests of what a gateway does with them.

use std::net::IpAddr;
use std::path::Path;

use domicile_node_protocol::{Announcement, NodeCondition, ProtocolVersions};
use domicile_storage_node::{NodeConfig, RunningNode, load_or_create, start, system_clock};
use domicile_types::{IdentityKey, OperatorId, Party, PartyId, Place};

use crate::clock::Clock;
use crate::keys;
use crate::open::{Running, log_origin};

const MIB: u64 = 1 << 20;

/// A gateway in CN and its nodes, all on loopback. They know each other without a swarm.
pub(crate) struct Fleet {
    /// The gateway.
    pub(crate) running: Running,
    /// Its nodes, in the order in which their parties' seats were given.
    pub(crate) nodes: Vec<RunningNode>,
}

fn party(index: usize, seat: &str) -> String {
    format!(r#"party = {{ id = "p{index}", name = "P{index}", incorporated = "{seat}", headquartered = "{seat}" }}"#)
}

/// Starts a node in CN for every seat of a party, each of a controller of its own, and a gateway that knows them.
pub(crate) async fn start_fleet(folder: &Path, seats: &[&str]) -> Fleet {
    let gateway_folder = folder.join("gateway");
    std::fs::create_dir_all(&gateway_folder).unwrap();
    let gateway = IdentityKey::from_seed(&keys::read_secret(&gateway_folder.join("identity.key"), Clock).unwrap()).id();
    let mut nodes = Vec::new();
    let mut enrolled = String::new();
    for (index, seat) in seats.iter().enumerate() {
        let data = folder.join(format!("node-{index}"));
        std::fs::create_dir_all(&data).unwrap();
        let id = load_or_create(&data, &Clock.random()).unwrap().id();
        let party = party(index, seat);
        let text = format!(
            r#"
            data_dir = "{}"
            listen = "127.0.0.1:0"
            place = "CN"
            operator = "op-{index}"
            capacity_bytes = {}
            segment_bytes_max = {}
            workers = 1
            {party}
            gateways = [{{ id = "{gateway}", origin = "{}" }}]
            "#,
            data.display(),
            64 * MIB,
            8 * MIB,
            log_origin(&gateway),
        );
        nodes.push(start(NodeConfig::from_toml(&text).unwrap(), system_clock()).await.unwrap());
        enrolled.push_str(&format!(
            r#"[[node]]
            id = "{id}"
            operator = "op-{index}"
            controller = "c-{index}"
            place = "CN"
            {party}
            "#
        ));
    }
    let running = super::gateway(&gateway_folder, &enrolled).await;
    let fleet = Fleet { running, nodes };
    for (index, seat) in seats.iter().enumerate() {
        fleet.hear_of(index, seat, "127.0.0.1");
    }
    fleet.running.gateway.warden.step().await.unwrap();
    fleet.running.gateway.warden.step().await.unwrap();
    fleet
}

impl Fleet {
    /// Has the gateway hear of a node, as if it had announced itself just now from that address.
    pub(crate) fn hear_of(&self, index: usize, seat: &str, address: &str) {
        let (node, gateway) = (&self.nodes[index], &self.running.gateway);
        let now = gateway.clock.now();
        let seat = Place::parse(seat).unwrap();
        gateway.directory.hear(Announcement {
            v: Announcement::VERSION,
            node: node.id(),
            operator: OperatorId::parse(&format!("op-{index}")).unwrap(),
            party: Party {
                id: PartyId::parse(&format!("p{index}")).unwrap(),
                name: format!("P{index}"),
                incorporated: seat,
                headquartered: seat,
                owners: Vec::new(),
                controlled_by: None,
                certifications: Vec::new(),
            },
            place: Place::parse("CN").unwrap(),
            data_plane: (address.parse::<IpAddr>().unwrap(), node.address().port()).into(),
            capacity_bytes: 64 * MIB,
            free_bytes: 64 * MIB,
            condition: NodeCondition::Serving,
            speaks: ProtocolVersions::SPOKEN,
            software: "test".to_owned(),
            issued: now,
            expires: now.plus_millis(Announcement::LIFETIME_MILLIS_MAX),
        });
    }

    /// Stops everything.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
        for node in self.nodes {
            node.stop().await.unwrap();
        }
    }
}
