//! The daemon: opens what the node keeps, serves the data plane, announces itself, and stops in good order.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use domicile_compliance::audit::Clock;
use domicile_node_protocol::Announcement;
use domicile_swarm::{Swarm, SwarmConfig, SwarmError};
use domicile_types::{NodeId, UnixMillis};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::accounting::book::Book;
use crate::admission::{Gateways, GatewaysError};
use crate::binding;
use crate::clock::system_clock;
use crate::config::{ConfigError, NodeConfig};
use crate::database::{Database, DatabaseError};
use crate::health::Health;
use crate::http;
use crate::identity::{IdentityError, load_or_create};
use crate::identity_tls::{EnrolledPeers, TlsIdentityError, server_config};
use crate::ledger::Ledger;
use crate::local;
use crate::node::{Node, NodeParts, Persona};
use crate::notices::Notices;
use crate::repair::{ClientError, PeerClient};
use crate::run_marker::{begin_run, end_run};
use crate::store::{Disk, OpenError, Opened, RealDisk, ShardStore, StoreConfig};

/// How often counters are saved and the database is synced.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// Why a node does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its configuration.
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// Its identity.
    #[error("the node has no usable identity")]
    Identity(#[from] IdentityError),
    /// Its shard store.
    #[error("the shard store does not open")]
    Store(#[from] OpenError),
    /// Its memory of tickets and checkpoints.
    #[error("the node's evidence cannot be read")]
    Ledger(#[from] DatabaseError),
    /// Its gateways.
    #[error("the enrolled gateways cannot be used")]
    Gateways(#[from] GatewaysError),
    /// TLS.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsIdentityError),
    /// The address of the data plane.
    #[error("cannot listen on {address}: is another process there, is the address this machine's?")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The client of other nodes.
    #[error("no repairs can be done")]
    Peers(#[from] ClientError),
    /// The control plane.
    #[error("the control plane does not start")]
    Swarm(#[from] SwarmError),
    /// The system's randomness.
    #[error("no randomness to be had from the operating system")]
    Randomness(#[from] getrandom::Error),
    /// The server ended with an error.
    #[error("the data plane ended")]
    Server(#[source] std::io::Error),
}

/// A running node.
pub struct RunningNode {
    id: NodeId,
    address: SocketAddr,
    swarm: Option<Swarm>,
    server: ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
    housekeeping: JoinHandle<()>,
    stop: watch::Sender<bool>,
    page: Option<(ServerHandle, SocketAddr)>,
    pub(crate) node: Arc<Node>,
    database: Arc<Database>,
    health: Arc<Health>,
}

/// Runs a node until SIGTERM or SIGINT.
pub async fn run(config: NodeConfig) -> Result<(), NodeError> {
    let node = start(config, system_clock()).await?;
    wait_for_signal().await;
    tracing::info!("stopping");
    node.stop().await
}

/// Starts a node in this process. `clock` dates receipts and judges tickets.
pub async fn start(config: NodeConfig, clock: Clock) -> Result<RunningNode, NodeError> {
    start_on(Box::new(RealDisk), config, clock).await
}

/// [`start`] on any disk.
pub(crate) async fn start_on(disk: Box<dyn Disk>, config: NodeConfig, clock: Clock) -> Result<RunningNode, NodeError> {
    let mut seeds = [0; 48];
    getrandom::fill(&mut seeds)?;
    let (seed, store_id) = seeds.split_first_chunk::<32>().unwrap_or((&[0; 32], &[]));
    let key = load_or_create(&config.data_dir, seed)?;
    let id = key.id();
    let store_config = StoreConfig {
        directory: config.data_dir.clone(),
        node: id,
        capacity_bytes: config.capacity_bytes,
        high_water_percent: config.upkeep.high_water_percent,
        segment_bytes_max: config.segment_bytes_max,
        rebuild_index: config.rebuild_index,
    };
    let Opened { store, rebuilt, database, health } =
        crate::store::open_with(disk, &store_config, store_id.try_into().unwrap_or_default())?;
    let not_before = tickets_not_before(&config.data_dir, &database, &health, rebuilt, clock())?;
    let gateways = Gateways::new(config.enrolled_gateways()?, not_before)?;
    let ledger = Ledger::open(Arc::clone(&database), &gateways, Arc::clone(&health))?;
    let (book, notices) = (Book::new(Arc::clone(&database)), Notices::new(Arc::clone(&database)));
    let enrolled = EnrolledPeers::new(config.gateways.iter().map(|gateway| gateway.id));
    let tls = server_config(&key)?;
    let outbound = Some(config.listen.ip()).filter(|ip| !ip.is_unspecified());
    let peers = PeerClient::new(&key, outbound)?;
    if rebuilt {
        for (gateway, _) in gateways.iter() {
            book.begin_with(gateway, clock(), held(&store, &gateway)?)?;
        }
    }
    let swarm = start_swarm(&config, &key)?;
    let persona = Persona { place: config.place, operator: config.operator, party: config.party, terms: config.terms };
    let upkeep_clock = Arc::clone(&clock);
    let node =
        Arc::new(Node::new(NodeParts { key, persona, store, ledger, book, notices, gateways, enrolled, clock, peers }));

    let listen = |source| NodeError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let server = http::serve(Arc::clone(&node), listener, tls, config.workers).map_err(NodeError::Server)?;
    let page = serve_page(&node, config.page)?;
    let handle = server.handle();
    let serving = tokio::spawn(server);
    let (stop, stopping) = watch::channel(false);
    let upkeep =
        node.upkeep(config.upkeep, config.segment_bytes_max, Arc::clone(&database), upkeep_clock, stopping.clone());
    let keeping = Housekeeping {
        node: Arc::clone(&node),
        database: Arc::clone(&database),
        health: Arc::clone(&health),
        swarm: swarm.clone(),
    };
    let keeping = keeping.run(config.advertise.unwrap_or(address), stopping);
    let housekeeping = tokio::spawn(async move {
        tokio::join!(keeping, upkeep.run());
    });
    let place = config.place;
    tracing::info!(node = %id, %address, %place, data_dir = %config.data_dir.display(), "node is serving");
    Ok(RunningNode { id, address, swarm, server: handle, serving, housekeeping, stop, page, node, database, health })
}

impl RunningNode {
    /// Who it is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Where its data plane listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its control plane listens, if it has one.
    #[must_use]
    pub fn swarm_addresses(&self) -> Vec<SocketAddr> {
        self.swarm.as_ref().map(Swarm::listen_addresses).unwrap_or_default()
    }

    /// Where its operator's page is, if it has one.
    #[must_use]
    pub fn page(&self) -> Option<SocketAddr> {
        self.page.as_ref().map(|(_, address)| *address)
    }

    /// Finishes the requests that run, writes everything down, and ends.
    pub async fn stop(self) -> Result<(), NodeError> {
        self.server.stop(true).await;
        if let Some((page, _)) = &self.page {
            page.stop(false).await;
        }
        // Waited for, because a step of it holds the store and the database open.
        self.stop.send_replace(true);
        if let Err(error) = self.housekeeping.await {
            tracing::error!(%error, "the housekeeping broke off");
        }
        if let Some(swarm) = &self.swarm {
            swarm.shutdown().await;
        }
        let (node, database, health) = (self.node, self.database, self.health);
        let closed = tokio::task::spawn_blocking(move || {
            node.close();
            // After a failed write nothing is known to be written: the run did not end in good order.
            if health.failed() { Ok(()) } else { end_run(&database) }
        });
        if let Ok(result) = closed.await {
            result?;
        }
        self.serving.await.unwrap_or(Ok(())).map_err(NodeError::Server)
    }
}

/// The length of everything held for `gateway`, and since when.
fn held(store: &ShardStore, gateway: &NodeId) -> Result<Vec<(u64, UnixMillis)>, DatabaseError> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.holdings(gateway, after)?;
        all.extend(page.holdings.iter().map(|holding| (holding.bytes, holding.since)));
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}

fn serve_page(node: &Arc<Node>, page: Option<SocketAddr>) -> Result<Option<(ServerHandle, SocketAddr)>, NodeError> {
    let Some(address) = page else { return Ok(None) };
    let (server, bound) =
        local::serve(Arc::clone(node), address).map_err(|source| NodeError::Listen { address, source })?;
    let handle = server.handle();
    tokio::spawn(server);
    tracing::info!(page = %format!("http://{bound}/"), "the operator's page is served");
    Ok(Some((handle, bound)))
}

/// What a node does without being asked.
struct Housekeeping {
    node: Arc<Node>,
    database: Arc<Database>,
    health: Arc<Health>,
    swarm: Option<Swarm>,
}

impl Housekeeping {
    async fn run(self, data_plane: SocketAddr, stop: watch::Receiver<bool>) {
        let mut save = tokio::time::interval(SAVE_INTERVAL);
        let mut announce = tokio::time::interval(Duration::from_millis(Announcement::INTERVAL_MILLIS));
        let mut told = self.node.condition();
        let stopped = stopped(stop);
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return,
                _ = save.tick() => {
                    self.save().await;
                    // What a gateway must know at once: that nothing more is to be sent here, or that it is again.
                    if self.node.condition() != told {
                        announce.reset_immediately();
                    }
                }
                _ = announce.tick() => {
                    told = self.node.condition();
                    self.announce(data_plane);
                }
            }
        }
    }

    async fn save(&self) {
        if self.health.failed() {
            return;
        }
        let (node, database) = (Arc::clone(&self.node), Arc::clone(&self.database));
        let saved = tokio::task::spawn_blocking(move || {
            node.save_counters();
            database.sync()
        });
        if let Ok(Err(error)) = saved.await {
            // What is on the disk is unknown after a failed sync, of this database as of a segment file.
            self.health.fail(&error);
        }
    }

    fn announce(&self, data_plane: SocketAddr) {
        let Some(swarm) = &self.swarm else { return };
        let announcement = self.node.announcement(data_plane);
        if let Err(error) = swarm.announce(announcement.as_bytes().to_vec()) {
            tracing::error!(%error, "cannot announce this node");
        }
    }
}

/// Returns when the node is told to stop, or when nobody is left to tell it.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    // What comes back holds the channel locked: it must not live on.
    drop(stop.wait_for(|stop| *stop).await);
}

fn start_swarm(config: &NodeConfig, key: &domicile_types::IdentityKey) -> Result<Option<Swarm>, NodeError> {
    if config.swarm_listen.is_empty() {
        return Ok(None);
    }
    let gateways = config.gateways.iter().filter_map(|gateway| Some((gateway.id, gateway.swarm?)));
    let bootstrap: Vec<_> = gateways.chain(config.swarm_peers.iter().map(|peer| (peer.id, peer.swarm))).collect();
    let others = config.swarm_peers.iter().map(|peer| peer.id);
    let allow = config.gateways.iter().map(|gateway| gateway.id).chain(others).collect();
    let swarm = SwarmConfig { listen: config.swarm_listen.clone(), bootstrap, allow };
    Ok(Some(domicile_swarm::start(key, swarm)?))
}

/// From when on tickets are believed. What earlier ones were used for is forgotten if the database is new (the index was
/// rebuilt), is a copy's, or may have lost its last second (the machine stopped without warning, a write failed).
fn tickets_not_before(
    data_dir: &Path,
    database: &Database,
    health: &Health,
    rebuilt: bool,
    now: UnixMillis,
) -> Result<UnixMillis, DatabaseError> {
    let lost = begin_run(database, &boot_id())?;
    let moved = binding::has_moved(database, &binding::whereabouts(data_dir).unwrap_or_default())?;
    if moved {
        tracing::warn!(
            data_dir = %data_dir.display(),
            "the data directory was moved or copied: if the node still runs from the other copy, stop one of the two now"
        );
    }
    if rebuilt || lost || moved || health.was_marked() {
        tracing::warn!("the spending of earlier tickets may be lost: tickets from before this start are refused");
        crate::run_marker::set_fence(database, now)?;
    }
    let fence = crate::run_marker::fence(database)?;
    health.clear_mark();
    Ok(fence)
}

/// Linux's name for one boot of the machine; empty where there is none, which counts as another boot.
fn boot_id() -> Vec<u8> {
    std::fs::read(Path::new("/proc/sys/kernel/random/boot_id")).unwrap_or_default()
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("cannot wait for signals: the node runs until it is killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Reads a configuration file and runs by it.
pub async fn run_file(path: &Path) -> Result<(), NodeFileError> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|source| NodeFileError::Read { path: path.to_owned(), source })?;
    let config =
        NodeConfig::from_toml(&text).map_err(|source| NodeFileError::Config { path: path.to_owned(), source })?;
    Ok(run(config).await?)
}

/// Why a node did not run by a file.
#[derive(Debug, thiserror::Error)]
pub enum NodeFileError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file does not hold a configuration.
    #[error("{path} is not a node's configuration")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ConfigError,
    },
    /// The node did not start, or ended.
    #[error("the node ended")]
    Node(#[from] NodeError),
}
