//! The direct exchange: a member hands its current announcement to a peer that has just connected, on a stream of
//! [`EXCHANGE_PROTOCOL`].
//!
//! It is a connection handler of our own rather than libp2p-stream: that one passes inbound streams through a queue of
//! length zero (bursts are dropped silently), dials by itself, and keeps an entry for every connection that ever was,
//! refused ones included. The handler also reports which protocols either side advertises (from identify).

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::iter::{Once, once};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, ProtocolsChange};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
    NotifyHandler, Stream, StreamUpgradeError, SubstreamProtocol, SupportedProtocols, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};

use crate::config::EXCHANGE_PROTOCOL;

/// How long one exchange may take, negotiation included.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the same announcement is tried on one connection. After that, gossip has to carry the next one.
const ATTEMPTS_MAX: u8 = 3;

/// Pushes announcements to peers and reports what comes from them.
#[derive(Debug)]
pub(crate) struct Exchange {
    bytes_max: usize,
    events: VecDeque<ToSwarm<Exchanged, Push>>,
}

/// What came from a peer.
#[derive(Debug)]
pub(crate) struct Exchanged {
    pub(crate) peer: PeerId,
    pub(crate) report: Report,
}

/// What a connection's handler has to say.
#[derive(Debug)]
pub(crate) enum Report {
    /// An announcement came.
    Announcement(Vec<u8>),
    /// An inbound exchange was cut off, too large or too slow.
    Refused,
    /// What we advertise on this connection.
    OwnProtocols(Vec<String>),
    /// What the peer advertises on this connection.
    PeerProtocols(Vec<String>),
}

/// An announcement to hand over.
#[derive(Debug, Clone)]
pub(crate) struct Push(Arc<[u8]>);

impl Exchange {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, events: VecDeque::new() }
    }

    /// Hands `announcement` to `peer`; dropped silently if the connection goes first.
    pub(crate) fn push(&mut self, peer_id: PeerId, handler: NotifyHandler, announcement: Arc<[u8]>) {
        self.events.push_back(ToSwarm::NotifyHandler { peer_id, handler, event: Push(announcement) });
    }

    fn handler(&self) -> ExchangeHandler {
        ExchangeHandler {
            bytes_max: self.bytes_max,
            outbound: Outbound::Idle,
            reports: VecDeque::new(),
            own: SupportedProtocols::default(),
            remote: SupportedProtocols::default(),
        }
    }
}

impl NetworkBehaviour for Exchange {
    type ConnectionHandler = ExchangeHandler;
    type ToSwarm = Exchanged;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, report: THandlerOutEvent<Self>) {
        self.events.push_back(ToSwarm::GenerateEvent(Exchanged { peer, report }));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.events.pop_front() {
            Some(event) => Poll::Ready(event),
            None => Poll::Pending,
        }
    }
}

/// One connection's side of the exchange. At most one outbound stream at a time; a newer announcement replaces one that
/// still waits. Inbound streams are bounded by the swarm (negotiating streams per connection).
pub(crate) struct ExchangeHandler {
    bytes_max: usize,
    outbound: Outbound,
    reports: VecDeque<Report>,
    own: SupportedProtocols,
    remote: SupportedProtocols,
}

enum Outbound {
    Idle,
    Waiting { announcement: Arc<[u8]>, attempt: u8 },
    InFlight { announcement: Arc<[u8]>, attempt: u8, next: Option<Arc<[u8]>> },
}

impl ExchangeHandler {
    fn outbound_ended(&mut self, again: bool) {
        self.outbound = match std::mem::replace(&mut self.outbound, Outbound::Idle) {
            Outbound::InFlight { next: Some(announcement), .. } => Outbound::Waiting { announcement, attempt: 1 },
            Outbound::InFlight { announcement, attempt, next: None } if again && attempt < ATTEMPTS_MAX => {
                Outbound::Waiting { announcement, attempt: attempt + 1 }
            }
            Outbound::InFlight { .. } => Outbound::Idle,
            other => other,
        };
    }

    fn own_protocols_changed(&mut self, change: ProtocolsChange<'_>) {
        if self.own.on_protocols_change(change) {
            self.reports.push_back(Report::OwnProtocols(names(&self.own)));
        }
    }

    fn peer_protocols_changed(&mut self, change: ProtocolsChange<'_>) {
        if self.remote.on_protocols_change(change) {
            self.reports.push_back(Report::PeerProtocols(names(&self.remote)));
        }
    }
}

impl ConnectionHandler for ExchangeHandler {
    type FromBehaviour = Push;
    type ToBehaviour = Report;
    type InboundProtocol = Receive;
    type OutboundProtocol = HandOver;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Receive> {
        SubstreamProtocol::new(Receive { bytes_max: self.bytes_max }, ()).with_timeout(EXCHANGE_TIMEOUT)
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<HandOver, (), Report>> {
        if let Some(report) = self.reports.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(report));
        }
        match std::mem::replace(&mut self.outbound, Outbound::Idle) {
            Outbound::Waiting { announcement, attempt } => {
                let hand_over = HandOver { announcement: announcement.clone() };
                self.outbound = Outbound::InFlight { announcement, attempt, next: None };
                let protocol = SubstreamProtocol::new(hand_over, ()).with_timeout(EXCHANGE_TIMEOUT);
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
            }
            other => {
                self.outbound = other;
                Poll::Pending
            }
        }
    }

    fn on_behaviour_event(&mut self, Push(newer): Push) {
        match &mut self.outbound {
            Outbound::InFlight { next, .. } => *next = Some(newer),
            idle_or_waiting => *idle_or_waiting = Outbound::Waiting { announcement: newer, attempt: 1 },
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Receive, HandOver>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: bytes, .. }) => {
                self.reports.push_back(Report::Announcement(bytes));
            }
            ConnectionEvent::ListenUpgradeError(_) => self.reports.push_back(Report::Refused),
            ConnectionEvent::FullyNegotiatedOutbound(_) => self.outbound_ended(false),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.outbound_ended(!matches!(error, StreamUpgradeError::NegotiationFailed));
            }
            ConnectionEvent::LocalProtocolsChange(change) => self.own_protocols_changed(change),
            ConnectionEvent::RemoteProtocolsChange(change) => self.peer_protocols_changed(change),
            _ => {}
        }
    }
}

fn names(protocols: &SupportedProtocols) -> Vec<String> {
    let mut names: Vec<String> = protocols.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names
}

type Exchanging<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Reads one announcement: its length as a big-endian u32, at most `bytes_max`, then its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Receive {
    bytes_max: usize,
}

impl UpgradeInfo for Receive {
    type Info = StreamProtocol;
    type InfoIter = Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        once(StreamProtocol::new(EXCHANGE_PROTOCOL))
    }
}

impl InboundUpgrade<Stream> for Receive {
    type Output = Vec<u8>;
    type Error = io::Error;
    type Future = Exchanging<Vec<u8>>;

    fn upgrade_inbound(self, mut stream: Stream, _: StreamProtocol) -> Self::Future {
        Box::pin(async move {
            let mut length = [0; 4];
            stream.read_exact(&mut length).await?;
            let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
            if length > self.bytes_max {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the announcement is too large"));
            }
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes).await?;
            Ok(bytes)
        })
    }
}

/// Writes what [`Receive`] reads, and closes.
#[derive(Debug, Clone)]
pub(crate) struct HandOver {
    announcement: Arc<[u8]>,
}

impl UpgradeInfo for HandOver {
    type Info = StreamProtocol;
    type InfoIter = Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        once(StreamProtocol::new(EXCHANGE_PROTOCOL))
    }
}

impl OutboundUpgrade<Stream> for HandOver {
    type Output = ();
    type Error = io::Error;
    type Future = Exchanging<()>;

    fn upgrade_outbound(self, mut stream: Stream, _: StreamProtocol) -> Self::Future {
        Box::pin(async move {
            let length = u32::try_from(self.announcement.len()).map_err(io::Error::other)?;
            stream.write_all(&length.to_be_bytes()).await?;
            stream.write_all(&self.announcement).await?;
            stream.close().await
        })
    }
}
