//! Databases that change under a running gateway.

use domicile_compliance::LocatorError;
use domicile_placement::NodeState;
use domicile_types::{Entry, EvidenceGrade};

use super::ReloadError;
use crate::fleet::tests::{comes_to, enrolled, node, says};
use crate::fleet::{Databases, DatabasesError};
use crate::testing;

#[actix_web::test]
async fn a_file_that_changes_is_followed_and_garbage_in_its_place_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("places");
    std::fs::write(&file, "127.0.6.0/24 CN\n").unwrap();
    let more = format!("place_overrides_file = \"{}\"\n{}", file.display(), enrolled(1));
    let running = testing::gateway(folder.path(), &more).await;
    let gateway = &running.gateway;
    gateway.directory.hear(says(&running, 1, "127.0.6.1"));
    comes_to(&running, 1, NodeState::Online).await;
    let epoch = gateway.judging.law().epoch;

    std::fs::write(&file, "127.0.6.0/24 Atlantis\n").unwrap();
    let refused = gateway.reload_databases().await;
    assert!(matches!(refused, Err(ReloadError::Databases(DatabasesError::Line { line: 1, .. }))));
    gateway.warden.step().await.unwrap();
    assert_eq!(gateway.directory.standing(&node(1)).unwrap().state, NodeState::Online);
    assert_eq!(gateway.judging.law().epoch, epoch);

    std::fs::write(&file, "127.0.6.0/24 HK # it moved\n").unwrap();
    comes_to(&running, 1, NodeState::Quarantined).await;
    assert!(gateway.judging.law().epoch > epoch, "what was judged before is judged again before it commits");
    let told = (0..gateway.log.len()).filter(|index| {
        matches!(gateway.log.read(*index).unwrap().entry, Entry::Judging { ref databases, by: None, .. } if databases.len() == 2)
    });
    assert!(told.count() >= 1);
    running.stop().await;
}

#[actix_web::test]
async fn a_damaged_database_is_refused_and_those_in_force_stay() {
    let folder = tempfile::tempdir().unwrap();
    let running = testing::gateway(folder.path(), &enrolled(1)).await;
    let gateway = &running.gateway;
    gateway.directory.hear(says(&running, 1, "127.0.6.1"));
    comes_to(&running, 1, NodeState::Online).await;
    let whole = std::fs::read(&gateway.config.location_databases[0]).unwrap();
    for (name, bytes) in
        [("garbage", vec![7; 5_000]), ("half", whole[..whole.len() / 2].to_vec()), ("empty", Vec::new())]
    {
        let mut config = gateway.config.clone();
        config.location_databases[0] = folder.path().join(name);
        std::fs::write(&config.location_databases[0], bytes).unwrap();
        let refused = Databases::open(&config, gateway.clock.now());
        assert!(matches!(refused, Err(DatabasesError::Database(LocatorError::Damaged { .. }))), "{name}: {refused:?}");
    }
    let standing = gateway.directory.standing(&node(1)).unwrap();
    assert_eq!((standing.state, standing.evidence), (NodeState::Online, EvidenceGrade::Observed));
    running.stop().await;
}
