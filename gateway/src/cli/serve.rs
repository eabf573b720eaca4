//! The commands that stay.

use std::path::Path;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::{admin, open, s3};

/// Runs a gateway until SIGINT or SIGTERM. `domains` come beside those of its configuration.
pub(super) async fn gateway(path: &Path, domains: Vec<String>) -> anyhow::Result<()> {
    let mut config = Config::read(path)?;
    config.domains.extend(domains);
    let running = open::open(config).await?;
    let admin = admin::serve(running.gateway.clone()).context("the admin API cannot listen")?;
    let admin_handle = admin.handle();
    tokio::spawn(admin);
    let s3 = s3::run_s3(running.gateway.clone(), &running.gateway.config).context("S3 cannot listen")?;
    let listen = &running.gateway.config.listen;
    tracing::info!(s3 = ?listen.s3, s3_tls = ?listen.s3_tls.as_ref().map(|tls| tls.address), admin = %listen.admin,
        default_region = %running.gateway.config.default_region, "gateway listening");
    interrupted().await?;
    tracing::info!("stopping");
    s3.stop().await;
    admin_handle.stop(true).await;
    running.stop().await;
    Ok(())
}

/// Runs a node until SIGINT or SIGTERM.
pub(super) async fn node(path: &Path) -> anyhow::Result<()> {
    Ok(domicile_storage_node::run_file(path).await?)
}

pub(super) async fn interrupted() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
