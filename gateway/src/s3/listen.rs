//! Listeners: S3 over HTTP and over TLS, with the limits that keep strangers from holding connections.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::{HttpService, Request, Response};
use actix_web::dev::{Server, ServerHandle, fn_service};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpSocket;
use tokio::sync::watch;

use super::auth::Keyring;
use super::crowd::{Crowd, Seated};
use super::{admission, bridge};
use crate::clock::Clock;
use crate::config::{Config, TlsListen};

/// How long an idle connection is kept: longer than the pools of SDKs do (boto3 and the JVM: 60 s), so that none sends a
/// request into a connection that is just being closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a client may take for the head of its first request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that may wait to be accepted. The standard library's 128 overflow when a training job starts: the kernel then
/// drops the rest, and they come back a second later.
const BACKLOG: u32 = 4096;

/// How long a client may take to close.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long requests in flight may take when the server stops.
const STOP_SECONDS: u64 = 10;

/// Why S3 cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum S3ServeError {
    /// The address is taken, or not ours.
    #[error("cannot listen for S3 on {address}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificate chain or the private key is not PEM, or cannot be read.
    #[error("cannot read the PEM file {path}")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// Certificate and key do not go together.
    #[error("the certificate {certificate} cannot be used with its key")]
    Tls {
        /// Which certificate.
        certificate: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// Running listeners. They end with [`S3Server::stop`], not when this is dropped.
pub struct S3Server {
    http: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    handle: ServerHandle,
    stopping: watch::Sender<bool>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl S3Server {
    /// Where S3 over HTTP listens.
    #[must_use]
    pub const fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where S3 over TLS listens.
    #[must_use]
    pub const fn tls(&self) -> Option<SocketAddr> {
        self.tls
    }

    /// Takes no new connections, closes idle ones, gives requests in flight ten seconds, and ends.
    pub async fn stop(self) {
        self.stopping.send_replace(true);
        self.handle.stop(true).await;
        // The listeners have ended either way.
        let _ = self.server.await;
    }
}

/// Binds, then serves. Must be called within a tokio runtime.
pub(super) fn start(door: &bridge::Door, keyring: &Keyring, config: &Config) -> Result<S3Server, S3ServeError> {
    let workers = config.limits.s3_workers.max(1);
    let listeners = usize::from(config.listen.s3.is_some()) + usize::from(config.listen.s3_tls.is_some());
    let connections = config.limits.connections_max.saturating_mul(listeners.max(1)).div_ceil(workers);
    let mut builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(connections)
        .shutdown_timeout(STOP_SECONDS)
        .disable_signals();
    let crowd = Crowd::new(config.limits.connections_per_address_max, &config.trusted_proxies);
    let (stopping, stopped) = watch::channel(false);
    let (mut http, mut tls) = (None, None);
    if let Some(address) = config.listen.s3 {
        let (listener, bound) = bind(address)?;
        let crowd = crowd.clone();
        http = Some(bound);
        let (door, keyring, stopping) = (door.clone(), keyring.clone(), stopped.clone());
        let listening = builder.listen("s3", listener, move || {
            let inner = factory!(door, keyring, stopping, false).tcp();
            Seated { crowd: crowd.clone(), inner }
        });
        builder = listening.map_err(|source| S3ServeError::Bind { address, source })?;
    }
    if let Some(listen) = &config.listen.s3_tls {
        let address = listen.address;
        let (listener, bound) = bind(address)?;
        tls = Some(bound);
        let (door, keyring, stopping) = (door.clone(), keyring.clone(), stopped.clone());
        let tls = tls_config(listen)?;
        let crowd = crowd.clone();
        let listening = builder.listen("s3-tls", listener, move || {
            let inner = factory!(door, keyring, stopping, true).rustls_0_23(tls.clone());
            Seated { crowd: crowd.clone(), inner }
        });
        builder = listening.map_err(|source| S3ServeError::Bind { address, source })?;
    }
    let server = builder.run();
    let handle = server.handle();
    Ok(S3Server { http, tls, handle, stopping, server: tokio::spawn(server) })
}

/// The HTTP service of one worker. A macro, because its type differs by transport and cannot be named.
macro_rules! factory {
    ($door:expr, $keyring:expr, $stopping:expr, $secure:expr) => {{
        let (door, keyring, stopping) = ($door.clone(), $keyring.clone(), $stopping.clone());
        let inviting = door.clone();
        HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .graceful_shutdown_signal(move || {
                let mut stopping = stopping.clone();
                async move {
                    // An error means that the server is gone, which is a stop as well.
                    let _ = stopping.wait_for(|stopping| *stopping).await;
                }
            })
            .expect(fn_service(move |request: Request| {
                let (door, keyring) = (inviting.clone(), keyring.clone());
                async move { admit(&door, request, &keyring, $secure).await }
            }))
            .finish(fn_service(move |request: Request| {
                let door = door.clone();
                async move { Ok::<_, Response<BoxBody>>(bridge::serve(&door, request, $secure).await) }
            }))
    }};
}
use factory;

/// Lets a request with `Expect: 100-continue` send its body, or refuses it and closes.
async fn admit(
    door: &bridge::Door,
    request: Request,
    keyring: &Keyring,
    secure: bool,
) -> Result<Request, Response<BoxBody>> {
    let invited = match admission::look(request.head(), keyring, Clock.now()) {
        Ok(()) => bridge::invite(door, &request, secure).await,
        Err(refusal) => {
            let id = domicile_types::RequestId::from_bytes(Clock.random());
            Err(bridge::turn_away(bridge::refuse(&refusal), request.path(), id))
        }
    };
    match invited {
        Ok(()) => Ok(request),
        Err(response) => Err(response.map_into_boxed_body()),
    }
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), S3ServeError> {
    let failed = |source| S3ServeError::Bind { address, source };
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    let listener = listen().map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The server's certificate and key. ALPN (`h2`, `http/1.1`) is added by the HTTP service.
fn tls_config(listen: &TlsListen) -> Result<ServerConfig, S3ServeError> {
    let pem = |path: &Path| {
        let path = path.to_owned();
        move |source| S3ServeError::Pem { path, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&listen.certificate)
        .and_then(Iterator::collect)
        .map_err(pem(&listen.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&listen.key).map_err(pem(&listen.key))?;
    let unusable = |source| S3ServeError::Tls { certificate: listen.certificate.clone(), source };
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)
}
