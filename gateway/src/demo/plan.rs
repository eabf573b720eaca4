//! Who takes part in the demo, and where: pure, so that a test can hold it against what the README promises.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use domicile_types::{ControllerId, OperatorId, PackId, ParseError, Party, PartyId, Place, RegionName, TenantId};
use ipnet::{IpNet, Ipv4Net};

use crate::config::Lifecycle;

/// Port of a node's data plane, on its own address.
const NODE_DATA_PORT: u16 = 7400;
/// Port of a node's control plane, on its own address.
const NODE_SWARM_PORT: u16 = 7401;
/// Port of a node's page, on its own address.
const NODE_PAGE_PORT: u16 = 7480;
/// Where the demo itself can be told to stop and start processes.
const CONTROL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900);

/// How often lifecycle rules are looked at: whoever tries one wants to see it followed.
const LIFECYCLE_INTERVAL_SECONDS: u64 = 5;

/// Place, second octet of its networks, and how many nodes are there.
const PLACES: [(&str, u8, u8); 10] = [
    ("CN", 10, 8),
    ("HK", 20, 1),
    ("MO", 21, 1),
    ("TW", 22, 1),
    ("DE", 30, 2),
    ("FR", 31, 2),
    ("NL", 32, 1),
    ("IE", 33, 1),
    ("US", 40, 2),
    ("SG", 50, 1),
];

/// Residency regions and the packs that rule them.
const REGIONS: [(&str, &str); 3] = [("cn", "cn-data-export"), ("eu", "eu-gdpr"), ("us", "us-bulk-data")];

/// Tenants, as the profiles of the credentials file end.
const TENANTS: [&str; 2] = ["a", "b"];

/// The demo's cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The gateways.
    pub gateways: Vec<GatewayPlan>,
    /// The nodes.
    pub nodes: Vec<NodePlan>,
    /// Regions, the same at every gateway.
    pub regions: Vec<(RegionName, PackId)>,
    /// Networks of the nodes' places.
    pub networks: Vec<(IpNet, Place)>,
    /// Customers.
    pub tenants: Vec<TenantId>,
    /// Where the control endpoint listens.
    pub control: SocketAddr,
    /// How the gateways follow lifecycle rules.
    pub lifecycle: Lifecycle,
}

/// One gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayPlan {
    /// `cn`
    pub name: String,
    /// Where it is, and where 127.0.0.0/16 is for it.
    pub place: Place,
    /// Who runs it.
    pub party: Party,
    /// The region of buckets created without one.
    pub default_region: RegionName,
    /// S3 over HTTP.
    pub s3: SocketAddr,
    /// S3 over TLS.
    pub s3_tls: SocketAddr,
    /// Admin API.
    pub admin: SocketAddr,
    /// Control plane.
    pub swarm: SocketAddr,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// `cn-1`
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// Who runs it: nobody runs two.
    pub operator: OperatorId,
    /// Who controls the operator: nobody controls two.
    pub controller: ControllerId,
    /// The legal entity, at home where the node is.
    pub party: Party,
    /// Its own address, alone in its /24.
    pub address: Ipv4Addr,
}

impl NodePlan {
    /// Where its data plane listens.
    #[must_use]
    pub const fn data_plane(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.address), NODE_DATA_PORT)
    }

    /// Where its operator's page is.
    #[must_use]
    pub const fn page(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.address), NODE_PAGE_PORT)
    }

    /// Where its control plane listens.
    #[must_use]
    pub const fn swarm(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.address), NODE_SWARM_PORT)
    }
}

impl GatewayPlan {
    /// Networks and their places as this gateway sees them: this machine's own network is where the gateway is.
    #[must_use]
    pub fn place_overrides(&self, plan: &Plan) -> Vec<(IpNet, Place)> {
        let own = (network(0), self.place);
        std::iter::once(own).chain(plan.networks.iter().copied()).collect()
    }
}

impl Plan {
    /// The cast that the README describes.
    ///
    /// # Panics
    /// Never: the constants above are parsed by every test run.
    #[must_use]
    #[allow(clippy::expect_used, reason = "constants of this file, parsed in a test of this file")]
    pub fn of_the_demo() -> Self {
        Self::parse().expect("the constants of the demo's plan are valid")
    }

    fn parse() -> Result<Self, ParseError> {
        let mut nodes = Vec::new();
        let mut networks = Vec::new();
        for (code, octet, count) in PLACES {
            let place = Place::parse(code)?;
            networks.push((network(octet), place));
            for number in 1..=count {
                let name = format!("{}-{number}", code.to_lowercase());
                nodes.push(NodePlan {
                    operator: OperatorId::parse(&format!("operator-{name}"))?,
                    controller: ControllerId::parse(&format!("controller-{name}"))?,
                    party: party(&format!("storage-{name}"), place)?,
                    address: Ipv4Addr::new(127, octet, number, 1),
                    place,
                    name,
                });
            }
        }
        let region = |(name, pack): (&str, &str)| Ok((RegionName::parse(name)?, PackId::parse(pack)?));
        Ok(Self {
            gateways: vec![gateway("cn", "CN", 9000, 9443)?, gateway("eu", "DE", 9100, 9543)?],
            nodes,
            regions: REGIONS.into_iter().map(region).collect::<Result<_, ParseError>>()?,
            networks,
            tenants: TENANTS.into_iter().map(TenantId::parse).collect::<Result<_, _>>()?,
            control: CONTROL,
            lifecycle: Lifecycle { interval_seconds: LIFECYCLE_INTERVAL_SECONDS, ..Lifecycle::default() },
        })
    }
}

/// Ports: S3, then admin and the control plane next to it; TLS apart.
fn gateway(name: &str, place: &str, s3: u16, s3_tls: u16) -> Result<GatewayPlan, ParseError> {
    let place = Place::parse(place)?;
    let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    Ok(GatewayPlan {
        name: name.to_owned(),
        place,
        party: party(&format!("gateway-{name}"), place)?,
        default_region: RegionName::parse(name)?,
        s3: local(s3),
        s3_tls: local(s3_tls),
        admin: local(s3 + 1),
        swarm: local(s3 + 2),
    })
}

fn party(id: &str, place: Place) -> Result<Party, ParseError> {
    Ok(Party {
        id: PartyId::parse(id)?,
        name: format!("{id} Ltd"),
        incorporated: place,
        headquartered: place,
        owners: Vec::new(),
        controlled_by: None,
        certifications: Vec::new(),
    })
}

const fn network(octet: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, octet, 0, 0), 16))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn count(plan: &Plan, place: &str) -> usize {
        let place = Place::parse(place).unwrap();
        plan.nodes.iter().filter(|node| node.place == place).count()
    }

    #[test]
    fn twenty_nodes_share_no_operator_no_controller_no_party_and_no_network() {
        let plan = Plan::of_the_demo();
        assert_eq!(plan.nodes.len(), 20);
        let distinct = |of: &dyn Fn(&NodePlan) -> String| plan.nodes.iter().map(of).collect::<BTreeSet<_>>().len();
        assert_eq!(distinct(&|node| node.name.clone()), 20);
        assert_eq!(distinct(&|node| node.operator.to_string()), 20);
        assert_eq!(distinct(&|node| node.controller.to_string()), 20);
        assert_eq!(distinct(&|node| node.party.id.to_string()), 20);
        assert_eq!(distinct(&|node| format!("{:?}", &node.address.octets()[..3])), 20);
    }

    #[test]
    fn every_place_has_the_nodes_that_it_should() {
        let plan = Plan::of_the_demo();
        let expected = [
            ("CN", 8),
            ("HK", 1),
            ("MO", 1),
            ("TW", 1),
            ("DE", 2),
            ("FR", 2),
            ("NL", 1),
            ("IE", 1),
            ("US", 2),
            ("SG", 1),
        ];
        for (place, nodes) in expected {
            assert_eq!(count(&plan, place), nodes, "{place}");
        }
    }

    #[test]
    fn every_node_stands_in_a_network_of_its_place_and_its_party_is_at_home_there() {
        let plan = Plan::of_the_demo();
        for node in &plan.nodes {
            let address = IpAddr::V4(node.address);
            let places: Vec<Place> =
                plan.networks.iter().filter(|(net, _)| net.contains(&address)).map(|(_, place)| *place).collect();
            assert_eq!(places, [node.place], "{}", node.name);
            assert_eq!((node.party.incorporated, node.party.headquartered), (node.place, node.place));
        }
    }

    #[test]
    fn this_machine_is_in_china_for_one_gateway_and_in_germany_for_the_other() {
        let plan = Plan::of_the_demo();
        let seen_from = |gateway: &GatewayPlan| {
            let overrides = gateway.place_overrides(&plan);
            let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let found: Vec<String> = overrides
                .iter()
                .filter(|(net, _)| net.contains(&address))
                .map(|(_, place)| place.to_string())
                .collect();
            found.join(" ")
        };
        assert_eq!(plan.gateways.iter().map(seen_from).collect::<Vec<_>>(), ["CN", "DE"]);
    }

    #[test]
    fn the_ports_are_those_that_the_readme_names() {
        let ports: Vec<[u16; 3]> = Plan::of_the_demo()
            .gateways
            .iter()
            .map(|gateway| [gateway.s3.port(), gateway.s3_tls.port(), gateway.admin.port()])
            .collect();
        assert_eq!(ports, [[9000, 9443, 9001], [9100, 9543, 9101]]);
    }
}
