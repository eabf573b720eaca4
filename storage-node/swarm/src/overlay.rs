//! The behaviour that rust-ipfs runs for us: the gate, gossip, the direct exchange, pings and redialling.
//!
//! Gossipsub stands here rather than in the builder of rust-ipfs because that one fixes everything but the message size:
//! no validation before forwarding, no filter of topics, and a queue of 50 that drops the newest. Pings stand here
//! because rust-ipfs logs a failed one and keeps the dead connection.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use domicile_types::NodeId;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::gossipsub::{
    Config, ConfigBuilder, Event, IdentTopic, IdentityTransform, Message, MessageAcceptance, MessageAuthenticity,
    TopicHash, ValidationMode, WhitelistSubscriptionFilter,
};
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, FromSwarm};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, DialFailure, NetworkBehaviour, NotifyHandler, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, gossipsub, ping};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::{Limits, SwarmConfig, TOPIC};
use crate::exchange::{Exchange, Exchanged, Report};
use crate::peer;
use crate::redial::Redial;
use crate::shared::Shared;

/// What the frame of a gossip message may take besides its data: source (39 bytes), sequence number (8), topic (19),
/// signature (64), key (0 to 36) and their tags.
const FRAME_BYTES_MAX: usize = 1024;

/// How long a message is remembered, so that it is heard once whatever way it comes.
const DUPLICATES_REMEMBERED: Duration = Duration::from_secs(300);

/// How long the redial timer sleeps when nothing is due; any event re-arms it.
const REDIAL_IDLE: Duration = Duration::from_secs(3600);

type Gossip = gossipsub::Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(crate) struct Protocols {
    gossip: Gossip,
    exchange: Exchange,
    ping: ping::Behaviour,
}

/// The gate and what stands behind it.
pub(crate) struct Overlay {
    shared: Arc<Shared>,
    limits: Limits,
    topic: TopicHash,
    protocols: Protocols,
    redial: Redial,
    redial_timer: Pin<Box<Sleep>>,
    actions: VecDeque<ToSwarm<Infallible, THandlerInEvent<Protocols>>>,
}

/// Why a connection is refused. The peer does not see the reason.
#[derive(Debug, thiserror::Error)]
#[error("the peer is not on the allow list")]
struct NotAllowed;

impl Overlay {
    /// Needs a tokio runtime with timers around it.
    pub(crate) fn new(
        key: &Keypair,
        own: NodeId,
        config: &SwarmConfig,
        limits: Limits,
        shared: Arc<Shared>,
    ) -> Result<Self, String> {
        let topic = IdentTopic::new(TOPIC);
        let filter = WhitelistSubscriptionFilter(HashSet::from([topic.hash()]));
        let gossip_config = gossip_config(limits.announcement_bytes_max)?;
        let authenticity = MessageAuthenticity::Signed(key.clone());
        let mut gossip = Gossip::new_with_subscription_filter(authenticity, gossip_config, filter)?;
        gossip.subscribe(&topic).map_err(|error| error.to_string())?;
        let ping = ping::Config::new().with_interval(limits.ping_interval).with_timeout(limits.ping_timeout);
        let now = Instant::now();
        let mut redial = Redial::new(own);
        redial.set(&config.bootstrap, |_| false, now.into_std());
        Ok(Self {
            shared,
            limits,
            topic: topic.hash(),
            protocols: Protocols {
                gossip,
                exchange: Exchange::new(limits.announcement_bytes_max),
                ping: ping::Behaviour::new(ping),
            },
            redial,
            redial_timer: Box::pin(sleep_until(now)),
            actions: VecDeque::new(),
        })
    }

    fn admit(&self, peer: Option<PeerId>) -> Result<(), ConnectionDenied> {
        let node = peer.as_ref().and_then(peer::node_id);
        if node.is_some_and(|node| self.shared.is_allowed(&node)) {
            return Ok(());
        }
        self.shared.count(|counts| counts.connections_denied += 1);
        tracing::debug!(?peer, "refused a peer that is not on the allow list");
        Err(ConnectionDenied::new(NotAllowed))
    }

    fn obey(&mut self) {
        let orders = self.shared.take_orders();
        if orders.allowed {
            for node in self.shared.connected_peers().iter().filter(|node| !self.shared.is_allowed(node)) {
                if let Some(peer_id) = peer::peer_id(node) {
                    tracing::info!(%node, "disconnecting a peer that is no longer on the allow list");
                    self.actions.push_back(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::All });
                }
            }
        }
        if let Some(peers) = orders.bootstrap {
            let shared = &self.shared;
            self.redial.set(&peers, |node| shared.is_connected(node), Instant::now().into_std());
        }
        if orders.announce {
            self.announce();
        }
    }

    /// By gossip to whoever is subscribed. Directly to who is connected but has not said yet that it is, and to the
    /// peers that we seek in any case: libp2p's gossip goes silent on a connection for good after five failed streams,
    /// without a word, and a node must not vanish from its gateways that way. Readers drop the repetition.
    fn announce(&mut self) {
        let Some(announcement) = self.shared.announcement() else { return };
        let published = self.protocols.gossip.publish(self.topic.clone(), announcement.to_vec());
        if let Err(error) = &published {
            tracing::debug!(%error, "no gossip for this announcement: it goes out directly");
        }
        let gossip = &self.protocols.gossip;
        let gossiping: HashSet<PeerId> = match published {
            Ok(_) => gossip.all_peers().filter(|(_, topics)| topics.contains(&&self.topic)).map(|(p, _)| *p).collect(),
            Err(_) => HashSet::new(),
        };
        for node in self.shared.connected_peers() {
            let Some(peer) = peer::peer_id(&node) else { continue };
            if self.redial.seeks(&node) || !gossiping.contains(&peer) {
                self.protocols.exchange.push(peer, NotifyHandler::Any, announcement.clone());
            }
        }
    }

    fn on_protocol_event(&mut self, event: ProtocolsEvent) {
        match event {
            ProtocolsEvent::Gossip(Event::Message { propagation_source, message_id, message }) => {
                let verdict = self.judge(message);
                self.protocols.gossip.report_message_validation_result(&message_id, &propagation_source, verdict);
            }
            ProtocolsEvent::Gossip(_) => {}
            ProtocolsEvent::Exchange(Exchanged { peer, report }) => self.on_exchange(&peer, report),
            ProtocolsEvent::Ping(ping::Event { peer, connection, result: Err(error) }) => {
                if !matches!(error, ping::Failure::Unsupported) {
                    tracing::info!(%peer, %error, "closing a connection that does not answer");
                    let connection = CloseConnection::One(connection);
                    self.actions.push_back(ToSwarm::CloseConnection { peer_id: peer, connection });
                }
            }
            ProtocolsEvent::Ping(ping::Event { result: Ok(_), .. }) => {}
        }
    }

    /// Whether a gossip message is heard and forwarded. Gossipsub has checked the signature.
    fn judge(&self, message: Message) -> MessageAcceptance {
        let source = message.source.as_ref().and_then(peer::node_id);
        match source {
            Some(source) if message.data.len() <= self.limits.announcement_bytes_max => {
                match self.shared.deliver(source, message.data) {
                    true => MessageAcceptance::Accept,
                    // Another member may list the author: not our business to blame who passed it on.
                    false => MessageAcceptance::Ignore,
                }
            }
            _ => {
                self.shared.count(|counts| counts.refused += 1);
                MessageAcceptance::Reject
            }
        }
    }

    fn on_exchange(&mut self, peer: &PeerId, report: Report) {
        let Some(node) = peer::node_id(peer) else { return };
        match report {
            Report::Announcement(bytes) => {
                self.shared.deliver(node, bytes);
            }
            Report::Refused => self.shared.count(|counts| counts.refused += 1),
            Report::OwnProtocols(protocols) => self.shared.add_own_protocols(protocols),
            Report::PeerProtocols(protocols) => self.shared.set_peer_protocols(node, protocols),
        }
    }

    fn on_connected(&mut self, event: &ConnectionEstablished<'_>) {
        let Some(node) = peer::node_id(&event.peer_id) else { return };
        if event.other_established > 0 {
            return;
        }
        tracing::info!(%node, "connected");
        self.shared.set_connected(node);
        self.redial.connected(&node);
        if let Some(announcement) = self.shared.announcement() {
            let handler = NotifyHandler::One(event.connection_id);
            self.protocols.exchange.push(event.peer_id, handler, announcement);
        }
    }

    fn on_closed(&mut self, event: &ConnectionClosed<'_>) {
        let Some(node) = peer::node_id(&event.peer_id) else { return };
        if event.remaining_established > 0 {
            return;
        }
        tracing::info!(%node, cause = ?event.cause, "connection lost");
        self.shared.set_lost(&node);
        self.redial.lost(&node, Instant::now().into_std());
    }

    fn observe(&mut self, event: &FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => self.on_connected(established),
            FromSwarm::ConnectionClosed(closed) => self.on_closed(closed),
            FromSwarm::DialFailure(DialFailure { peer_id: Some(peer), error, .. }) => {
                if let Some(node) = peer::node_id(peer) {
                    tracing::debug!(%node, %error, "could not reach a peer");
                    self.redial.failed(&node, Instant::now().into_std());
                }
            }
            FromSwarm::NewListenAddr(new) => self.set_listening(new.addr, true),
            FromSwarm::ExpiredListenAddr(expired) => self.set_listening(expired.addr, false),
            _ => {}
        }
    }

    fn set_listening(&self, address: &Multiaddr, listening: bool) {
        if let Some(address) = peer::socket_address(address) {
            self.shared.set_listening(address, listening);
        }
    }

    /// The next dial that is due. Otherwise arms the timer for the one after.
    fn poll_redial(&mut self, cx: &mut Context<'_>) -> Option<DialOpts> {
        loop {
            let now = Instant::now();
            let redial = &mut self.redial;
            if let Some((node, address)) = self.shared.with_allowed(|list| redial.take_due(now.into_std(), list)) {
                match dial(&node, address) {
                    Some(options) => return Some(options),
                    // Not a key: nobody can answer to it, but the plan must not believe that it is being dialled.
                    None => redial.failed(&node, now.into_std()),
                }
                continue;
            }
            let due = self.shared.with_allowed(|list| redial.next_due(list));
            let due = due.map_or(now + REDIAL_IDLE, Instant::from_std);
            self.redial_timer.as_mut().reset(due);
            if self.redial_timer.as_mut().poll(cx).is_pending() {
                return None;
            }
        }
    }
}

/// A fresh port, not that of the listener: reusing it would bind the wildcard address and collide with its neighbours.
fn dial(node: &NodeId, address: SocketAddr) -> Option<DialOpts> {
    let options = DialOpts::peer_id(peer::peer_id(node)?)
        .condition(PeerCondition::DisconnectedAndNotDialing)
        .addresses(vec![peer::multiaddr(address)])
        .allocate_new_port()
        .build();
    Some(options)
}

/// Gossip for 3 to 1,000 members that announce about once a minute.
///
/// An author floods its own message to everyone subscribed that it is connected to, so a star around a gateway is
/// reached in one hop; meshes of 4 to 12 forward it further, and the heartbeat repairs what was missed. Below five
/// members a mesh is simply everybody. The heartbeat of 5 s (gossipsub's default is 1 s) keeps an idle member idle.
fn gossip_config(announcement_bytes_max: usize) -> Result<Config, String> {
    ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(announcement_bytes_max + FRAME_BYTES_MAX)
        .mesh_outbound_min(2)
        .mesh_n_low(4)
        .mesh_n(6)
        .mesh_n_high(12)
        .flood_publish(true)
        .heartbeat_initial_delay(Duration::from_secs(1))
        .heartbeat_interval(Duration::from_secs(5))
        .history_length(5)
        .history_gossip(3)
        .duplicate_cache_time(DUPLICATES_REMEMBERED)
        .max_messages_per_rpc(Some(64))
        .max_ihave_length(1000)
        .connection_handler_queue_len(1024)
        .build()
        .map_err(|error| error.to_string())
}

impl Drop for Overlay {
    /// The swarm's task owns the overlay: when it ends, for whatever reason, readers must come to know.
    fn drop(&mut self) {
        self.shared.ended();
    }
}

impl NetworkBehaviour for Overlay {
    type ConnectionHandler = <Protocols as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.protocols.handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(Some(peer))?;
        self.protocols.handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.admit(peer)?;
        self.protocols.handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(Some(peer))?;
        self.protocols.handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.observe(&event);
        self.protocols.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.protocols.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        self.shared.listen_for_orders(cx.waker());
        self.obey();
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action);
            }
            match self.protocols.poll(cx) {
                Poll::Ready(ToSwarm::GenerateEvent(event)) => self.on_protocol_event(event),
                Poll::Ready(other) => return Poll::Ready(other.map_out(|_| unreachable!("events were taken above"))),
                Poll::Pending => break,
            }
        }
        match self.poll_redial(cx) {
            Some(opts) => Poll::Ready(ToSwarm::Dial { opts }),
            None => Poll::Pending,
        }
    }
}
