//! Feeds the directory from the control plane: every announcement is verified before it counts.

use std::sync::Arc;

use domicile_node_protocol::SignedAnnouncement;
use domicile_swarm::Swarm;

use super::Directory;
use crate::clock::Clock;

/// Listens until the swarm ends. A bad announcement is logged and forgotten; it cannot change the directory.
pub async fn follow(swarm: Swarm, directory: Arc<Directory>, clock: Clock) {
    let mut announcements = swarm.announcements();
    while let Some((peer, bytes)) = announcements.next().await {
        match SignedAnnouncement::verify(&bytes, clock.now()) {
            Ok(announcement) => directory.hear(announcement),
            Err(error) => tracing::warn!(%peer, %error, "announcement refused"),
        }
    }
}
