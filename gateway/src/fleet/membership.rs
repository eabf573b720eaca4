//! Feeds the directory from the control plane: every announcement is verified before it counts. The control plane lets in
//! who is enrolled, and nobody else.

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

/// Lets the control plane follow the enrolments, until the directory is gone: who is enrolled is let in and dialled, who is
/// not any more is cut off.
pub async fn admit_enrolled(swarm: Swarm, directory: Arc<Directory>) {
    let mut enrolments = directory.enrolments();
    loop {
        let enrolled = directory.enrolled();
        swarm.set_allowed(enrolled.keys().copied());
        swarm.set_bootstrap(enrolled.values().filter_map(|node| Some((node.id, node.swarm?))));
        if enrolments.changed().await.is_err() {
            return;
        }
    }
}
