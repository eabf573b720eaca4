//! A node on the control plane: what it announces, and to whom.

use domicile_node_protocol::SignedAnnouncement;
use domicile_storage_node::{start, system_clock};
use domicile_swarm::SwarmConfig;

use crate::fixture::{TestGateway, node_config};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_announces_itself_signed_to_the_gateway_it_is_enrolled_with() {
    let gateway = TestGateway::new(1, "domicile.example/cn");
    let directory = tempfile::tempdir().unwrap();
    let mut config = node_config(directory.path(), &[&gateway]);
    config.swarm_listen = vec!["127.0.0.1:0".parse().unwrap()];
    let node = start(config.clone(), system_clock()).await.unwrap();
    let swarm_address = node.swarm_addresses()[0];
    let member = SwarmConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        bootstrap: vec![(node.id(), swarm_address)],
        allow: vec![node.id()],
    };
    let key = domicile_types::IdentityKey::from_seed(&[1; 32]);
    let member = tokio::task::spawn_blocking(move || domicile_swarm::start(&key, member)).await.unwrap().unwrap();
    let (source, announcement) = member.announcements().next().await.unwrap();
    let announcement = SignedAnnouncement::verify(&announcement, system_clock()()).unwrap();
    assert_eq!((source, announcement.node), (node.id(), node.id()));
    assert_eq!((announcement.place, announcement.data_plane), (config.place, node.address()));
    assert_eq!((announcement.capacity_bytes, announcement.free_bytes), (1 << 30, (1 << 30) / 100 * 95));
    assert_eq!(announcement.party, config.party);
    member.shutdown().await;
    node.stop().await.unwrap();
}
