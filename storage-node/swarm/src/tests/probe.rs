//! An independent libp2p peer: identify and raw streams, none of our behaviours and no rust-ipfs.
//!
//! It accepts gossip streams, and never answers on them: a member withdraws what the peer does not speak, and the probe
//! is here to see everything.

use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, identify, noise, tcp, yamux};
use libp2p_stream::{Control, OpenStreamError};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{PATIENCE, address, key};
use crate::{EXCHANGE_PROTOCOL, Swarm, peer};

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Looking {
    identify: identify::Behaviour,
    streams: libp2p_stream::Behaviour,
}

/// What a probe has seen.
#[derive(Default)]
struct Seen {
    protocols: Option<Vec<String>>,
    received: Vec<Vec<u8>>,
    closed: bool,
}

/// A running probe.
pub(super) struct Probe {
    control: Control,
    dials: mpsc::UnboundedSender<Multiaddr>,
    seen: Arc<Mutex<Seen>>,
}

impl Probe {
    pub(super) fn start(seed: u8) -> Self {
        let identity = libp2p::identity::Keypair::ed25519_from_bytes(key(seed).signing_key().to_bytes()).unwrap();
        let mut swarm = SwarmBuilder::with_existing_identity(identity)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|key| Looking {
                identify: identify::Behaviour::new(identify::Config::new("/probe/1".into(), key.public())),
                streams: libp2p_stream::Behaviour::new(),
            })
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
            .build();
        let mut control = swarm.behaviour().streams.new_control();
        let mut incoming = control.accept(StreamProtocol::new(EXCHANGE_PROTOCOL)).unwrap();
        let mut gossip = control.accept(StreamProtocol::new("/meshsub/1.2.0")).unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (dials, mut to_dial) = mpsc::unbounded_channel::<Multiaddr>();
        let (by_swarm, by_streams) = (seen.clone(), seen.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    address = to_dial.recv() => match address {
                        Some(address) => swarm.dial(address).unwrap(),
                        None => break,
                    },
                    event = swarm.select_next_some() => match event {
                        SwarmEvent::Behaviour(LookingEvent::Identify(identify::Event::Received { info, .. })) => {
                            let mut protocols: Vec<String> = info.protocols.iter().map(ToString::to_string).collect();
                            protocols.sort();
                            by_swarm.lock().protocols = Some(protocols);
                        }
                        SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => {
                            by_swarm.lock().closed = true;
                        }
                        _ => {}
                    },
                }
            }
        });
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Some(stream) = gossip.next().await {
                open.push(stream);
            }
        });
        tokio::spawn(async move {
            while let Some((_, mut stream)) = incoming.next().await {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).await.ok();
                by_streams.lock().received.push(bytes);
            }
        });
        Self { control, dials, seen }
    }

    pub(super) fn dial(&mut self, target: &Swarm) {
        let address = peer::multiaddr(address(target)).with_p2p(target_peer(target)).unwrap();
        self.dials.send(address).unwrap();
    }

    /// Opens a stream, writes `bytes`, and waits until the other side closes.
    pub(super) async fn send(
        &self,
        target: &Swarm,
        protocol: &'static str,
        bytes: &[u8],
    ) -> Result<(), OpenStreamError> {
        let mut control = self.control.clone();
        let open = control.open_stream(target_peer(target), StreamProtocol::new(protocol));
        let mut stream = tokio::time::timeout(PATIENCE, open).await.unwrap()?;
        stream.write_all(bytes).await?;
        stream.close().await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    }

    /// Waits until the member has told what it speaks.
    pub(super) async fn protocols(&self) -> Vec<String> {
        super::eventually("identified", || self.identified().is_some()).await;
        self.identified().unwrap()
    }

    pub(super) fn identified(&self) -> Option<Vec<String>> {
        self.seen.lock().protocols.clone()
    }

    /// What was pushed to the probe.
    pub(super) fn received(&self) -> Vec<Vec<u8>> {
        self.seen.lock().received.clone()
    }

    /// Waits until the connection ended, and a moment longer for what may still be under way.
    pub(super) async fn gone(&self) {
        super::eventually("the connection ended", || self.seen.lock().closed).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn target_peer(target: &Swarm) -> PeerId {
    peer::peer_id(&target.node()).unwrap()
}
