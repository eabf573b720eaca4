//! The swarm's thread: a current-thread runtime with one rust-ipfs node on it.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use domicile_types::NodeId;
use libp2p::identity::Keypair;
use rust_ipfs::Ipfs;
use rust_ipfs::builder::IpfsBuilder;
use rust_ipfs::p2p::IdentifyConfiguration;
use tokio::sync::watch;

use crate::config::{Limits, SwarmConfig, SwarmError};
use crate::overlay::Overlay;
use crate::peer;
use crate::shared::Shared;

/// What identify calls our protocol family.
const PROTOCOL_VERSION: &str = "/domicile/1";
/// Members stay connected however little they say; pings find the dead ones. One year, in seconds.
const IDLE_CONNECTION: Duration = Duration::from_secs(365 * 24 * 3600);
/// How often identify repeats itself on a connection. It also pushes changes at once.
const IDENTIFY_INTERVAL: Duration = Duration::from_secs(3600);
/// Streams that one peer may have in negotiation. An honest one needs five: gossip, identify and its push, ping, exchange.
const NEGOTIATING_STREAMS_MAX: usize = 16;
/// Connections whose peer is not known yet. Each ends after the transport's 10 s at the latest.
const PENDING_INBOUND_MAX: u32 = 256;
/// Connections of one peer: both sides may dial at once, and a restarted peer comes back before its old connection is
/// known to be dead.
const CONNECTIONS_PER_PEER_MAX: u32 = 4;
/// All connections: 1,000 members, four each.
const CONNECTIONS_MAX: u32 = 4096;

/// Everything that the thread takes with it.
pub(crate) struct Member {
    pub(crate) key: Keypair,
    pub(crate) own: NodeId,
    pub(crate) config: SwarmConfig,
    pub(crate) limits: Limits,
    pub(crate) shared: Arc<Shared>,
}

impl Member {
    /// Runs until it is asked to stop or the swarm ends by itself. `ready` hears how the start went, `done` when all is
    /// over and every socket is closed.
    pub(crate) fn run(self, ready: &mpsc::SyncSender<Result<(), SwarmError>>, done: &watch::Sender<bool>) {
        let shared = self.shared.clone();
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                runtime.block_on(self.serve(ready));
                runtime.shutdown_background();
            }
            Err(error) => report(ready, Err(SwarmError::Start(error.into()))),
        }
        shared.ended();
        done.send_replace(true);
    }

    async fn serve(self, ready: &mpsc::SyncSender<Result<(), SwarmError>>) {
        let shared = self.shared.clone();
        match self.assemble().await {
            Ok(ipfs) => {
                report(ready, Ok(()));
                shared.asked_to_stop().await;
                ipfs.exit_daemon().await;
            }
            Err(error) => report(ready, Err(error)),
        }
    }

    /// Turns protocols on one by one. What is not named here is off: bitswap, kad, relay, mDNS, UPnP, QUIC, pnet.
    async fn assemble(self) -> Result<Ipfs, SwarmError> {
        for address in &self.config.listen {
            require_free(*address)?;
        }
        let overlay = Overlay::new(&self.key, self.own, &self.config, self.limits, self.shared)
            .map_err(|reason| SwarmError::Start(reason.into()))?;
        let identify = IdentifyConfiguration {
            protocol_version: PROTOCOL_VERSION.into(),
            agent_version: concat!("domicile/", env!("CARGO_PKG_VERSION")).into(),
            interval: IDENTIFY_INTERVAL,
            push_update: true,
            cache: 0,
        };
        let ipfs = IpfsBuilder::<Overlay>::with_keypair(&self.key)
            .map_err(|error| SwarmError::Start(error.into()))?
            .with_custom_behaviour(move |_| Ok(overlay))
            .with_identify(identify)
            .set_connection_limits(|limits| {
                limits
                    .with_max_pending_incoming(Some(PENDING_INBOUND_MAX))
                    .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
                    .with_max_established(Some(CONNECTIONS_MAX))
            })
            .set_swarm_configuration(|swarm| {
                swarm
                    .with_idle_connection_timeout(IDLE_CONNECTION)
                    .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS_MAX)
            })
            .enable_tcp()
            .start()
            .await
            .map_err(|error| SwarmError::Start(error.into()))?;
        // Not through the builder: it only logs an address that it cannot have.
        for address in &self.config.listen {
            ipfs.add_listening_address(peer::multiaddr(*address))
                .await
                .map_err(|error| SwarmError::Listen { address: *address, source: error.into() })?;
        }
        Ok(ipfs)
    }
}

/// libp2p sets SO_REUSEPORT on its listeners, so two members on one port would both "succeed" and share the
/// connections. A plain bind finds that out first.
fn require_free(address: SocketAddr) -> Result<(), SwarmError> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => Err(SwarmError::Listen { address, source: error.into() }),
    }
}

/// The starter may have given up waiting; then nobody needs to know.
fn report(ready: &mpsc::SyncSender<Result<(), SwarmError>>, result: Result<(), SwarmError>) {
    if ready.send(result).is_err() {
        tracing::debug!("nobody waits for the start of the swarm");
    }
}
